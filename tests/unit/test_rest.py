"""When a session may rest: alone, woken by writers, with nothing to do for long enough."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from syncline.config.settings import WorkerSettings
from syncline.relay import rest as shipped
from syncline.relay.rest import Rest


class Scene:
    """A session in which nothing happens; ``now`` is its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, allowed: bool = True, **worker: Any) -> None:
        self.now = 1000.0
        monkeypatch.setattr(shipped, "time", SimpleNamespace(monotonic=lambda: self.now))
        self.waker: Any = SimpleNamespace(holds=True)
        self.leases: Any = SimpleNamespace(alone=True)
        self.pump: Any = SimpleNamespace(totals={"marks": 0}, is_idle=True)
        self.plans: Any = SimpleNamespace(problems={}, pending=set())
        source: Any = SimpleNamespace(waker=self.waker)
        settings = WorkerSettings(**worker)
        self.rest = Rest(source, self.plans, self.leases, self.pump, settings, allowed=allowed)

    def may_begin(self, *, after: float = 40.0) -> bool:
        self.now += after
        return self.rest.may_begin()


def test_a_session_rests_after_a_while_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert not scene.may_begin(after=29)
    assert scene.may_begin(after=10)


@pytest.mark.parametrize("what", ["work", "call", "busy"])
def test_whatever_happens_begins_the_while_anew(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.may_begin()
    if what == "work":
        scene.pump.totals = {"marks": 1}
    elif what == "call":
        scene.rest.interrupt()
    else:
        scene.pump.is_idle = False
    assert not scene.may_begin(after=1)
    scene.pump.is_idle = True
    assert not scene.may_begin(after=29)
    assert scene.may_begin(after=10)


@pytest.mark.parametrize("what", ["others", "unwoken", "problem", "pending", "not allowed"])
def test_what_needs_a_frequent_look_gets_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, allowed=what != "not allowed")
    scene.leases.alone = what != "others"
    scene.waker.holds = what != "unwoken"
    scene.plans.problems = {"todo": "its table is gone"} if what == "problem" else {}
    scene.plans.pending = {1} if what == "pending" else set()
    assert not scene.may_begin()


def test_a_rest_begins_when_second_deletes_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, grace=timedelta(seconds=100))
    assert not scene.may_begin(after=100)
    assert scene.may_begin(after=6)


def test_who_renews_seldom_anyway_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Scene(monkeypatch, renew=timedelta(seconds=30), lease=timedelta(seconds=60)).may_begin()
