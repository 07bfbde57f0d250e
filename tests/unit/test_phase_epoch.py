"""One phase for all reads of a request."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from syncline.phases import Phase, epoch
from syncline.phases.epoch import Epochs, kept, one_epoch
from syncline.phases.standing import Standing

OFF = Standing(Phase.OFF)
LONG = 3600.0


@pytest.fixture(autouse=True)
def held_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change waits for as long as a test takes."""
    monkeypatch.setattr(epoch, "HOLD_SECONDS", LONG)


class Phases:
    """A source of phases that is told what to know."""

    def __init__(self, **standings: Standing) -> None:
        self.epochs, self.now = Epochs(), standings
        self.epochs.learn(standings)

    def learn(self, **standings: Standing) -> int:
        """Learn of a change; the newest one that is acknowledged."""
        self.now = {**self.now, **standings}
        self.epochs.learn(self.now)
        return self.epochs.known(max(one.number for one in self.now.values()))

    def of(self, name: str) -> Standing:
        return self.epochs.standing(name, self.now.get(name, OFF), OFF)


def standing(phase: Phase, number: int, percent: float = 0.0) -> Standing:
    return Standing(phase, percent, number)


def test_outside_of_a_request_what_was_learned_holds_at_once():
    phases = Phases(tasks=standing(Phase.SHADOW, 1))
    assert phases.learn(tasks=standing(Phase.RAMP, 2, 50)) == 2
    assert phases.of("tasks").phase is Phase.RAMP


def test_a_request_keeps_what_its_first_question_found_and_the_change_waits_for_its_end():
    phases = Phases(tasks=standing(Phase.RAMP, 1, 50))
    with one_epoch() as request:
        assert request.number is None
        assert phases.of("tasks").percent == 50
        assert phases.learn(tasks=standing(Phase.SHADOW, 2)) == 1
        assert phases.of("tasks") == standing(Phase.RAMP, 1, 50)
        assert request.number == 1
    assert phases.of("tasks").phase is Phase.SHADOW
    assert phases.epochs.known(2) == 2


def test_collections_that_are_asked_about_later_are_of_the_same_moment():
    phases = Phases(tasks=standing(Phase.SHADOW, 1), labels=standing(Phase.SHADOW, 2))
    with one_epoch():
        phases.of("tasks")
        phases.learn(labels=standing(Phase.RAMP, 3, 100))
        assert phases.of("labels").phase is Phase.SHADOW


def test_after_a_moment_the_request_goes_by_the_change_too(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(epoch, "HOLD_SECONDS", 0.0)
    phases = Phases(tasks=standing(Phase.RAMP, 1, 50))
    with one_epoch():
        phases.of("tasks")
        assert phases.learn(tasks=standing(Phase.SHADOW, 2)) == 2
        assert phases.of("tasks").phase is Phase.SHADOW


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (Phase.RAMP, Phase.LIVE),
        (Phase.LIVE, Phase.RAMP),
        (Phase.OFF, Phase.DUAL_WRITE),
        (Phase.DUAL_WRITE, Phase.OFF),
        (Phase.LIVE, Phase.COMPLETE),
    ],
)
def test_a_change_of_the_truth_or_of_who_is_written_waits_for_no_request(was: Phase, becomes: Phase):
    phases = Phases(tasks=standing(was, 1))
    with one_epoch():
        phases.of("tasks")
        assert phases.learn(tasks=standing(becomes, 2)) == 2
        assert phases.of("tasks").phase is becomes


def test_a_request_that_began_after_a_change_holds_nothing_back():
    phases = Phases(tasks=standing(Phase.SHADOW, 1))
    phases.learn(tasks=standing(Phase.RAMP, 2, 50))
    with one_epoch():
        phases.of("tasks")
        assert phases.epochs.known(2) == 2


def test_the_oldest_of_several_requests_counts():
    phases = Phases(tasks=standing(Phase.SHADOW, 4))
    with one_epoch() as outer:
        phases.of("tasks")
        with one_epoch() as inner:
            assert inner is outer, "a block within a request is a part of it"
        assert phases.learn(labels=standing(Phase.OFF, 5), tasks=standing(Phase.RAMP, 6, 10)) == 4


def test_what_was_told_first_is_kept_for_the_request():
    assert [kept("percent", 10.0), kept("percent", 20.0)] == [10.0, 20.0]
    with one_epoch():
        assert [kept("percent", 10.0), kept("percent", 20.0)] == [10.0, 10.0]


def test_two_sources_of_phases_are_kept_apart():
    first, second = Phases(tasks=standing(Phase.SHADOW, 1)), Phases(tasks=standing(Phase.RAMP, 7, 50))
    found: Mapping[str, Phase]
    with one_epoch() as request:
        found = {"first": first.of("tasks").phase, "second": second.of("tasks").phase}
    assert found == {"first": Phase.SHADOW, "second": Phase.RAMP}
    assert request.number == 7
