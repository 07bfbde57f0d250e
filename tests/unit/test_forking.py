"""What a forked process does anew: whatever its parent's threads were at."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

import pytest

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.contrib.openfeature import FlaggedRamp
from syncline.forking import after_fork
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import DualWriteService
from syncline.phases.shadow import BlockingShadowReads, Outcome, Read, Report
from tests.dual_write import TASKS

READ = Read("tasks", "get", "1")


def forked(work: Callable[[], Any]) -> int | None:
    """Run something in a forked process; None: it did not end."""
    child = multiprocessing.get_context("fork").Process(target=work, daemon=True)
    child.start()
    child.join(60)
    found = child.exitcode
    child.kill()
    child.join()
    return found


class Noting:
    def __init__(self, *, fails: bool = False) -> None:
        self.called, self._fails = 0, fails
        after_fork(self.forked)

    def forked(self) -> None:
        self.called += 1
        if self._fails:
            raise RuntimeError("no")


def test_one_that_fails_keeps_no_other_from_beginning_anew():
    all_of_them = [Noting(fails=True) for _ in range(20)]

    def work() -> None:
        assert [one.called for one in all_of_them] == [1] * 20

    assert forked(work) == 0
    assert not any(one.called for one in all_of_them)


@pytest.mark.parametrize(
    ("made", "used"),
    [
        (Report(), lambda report: report.add(READ, Outcome.EQUAL)),
        (BlockingShadowReads(), lambda reads: reads.read(READ, int, int)),
        (FlaggedRamp(FixedPhases(Phase.RAMP)), lambda ramp: ramp.percent("tasks")),
    ],
    ids=["report", "shadow reads", "ramp"],
)
def test_a_lock_that_a_thread_of_the_parent_has_is_not_the_childs(made: Any, used: Callable[[Any], Any]):
    with made._lock:
        assert forked(lambda: used(made)) == 0


def test_counts_of_the_parent_are_given_out_by_the_parent_alone():
    report = Report()
    report.declare("tasks", ["list"])
    report.add(READ, Outcome.EQUAL)

    def work() -> None:
        report.add(READ, Outcome.ERROR)
        assert dict(report.take()) == {("tasks", "list", Outcome.EQUAL): 0, ("tasks", "get", Outcome.ERROR): 1}

    assert forked(work) == 0
    assert report.take()["tasks", "get", Outcome.EQUAL] == 1


def test_a_service_begins_anew_without_a_question_to_anybody():
    class Asked(FixedPhases):
        asked = 0

        def of(self, collection: str) -> Phase:
            self.asked += 1
            return super().of(collection)

    phases = Asked()
    urls = {"source": "mongodb://127.0.0.1:1/none", "target": "postgresql://127.0.0.1:1/none"}
    service = DualWriteService(
        Documents((TASKS,), None, urls), phases=phases, settings=DualWriteSettings(enabled=False)
    )
    asked, parents = phases.asked, service._service

    def work() -> None:
        assert phases.asked == asked
        assert service._service is not parents

    assert forked(work) == 0
