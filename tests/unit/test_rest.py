"""When a session may renew seldom: alone; and at rest: woken by writers, with nothing to do for long enough."""

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
        self.waker: Any = SimpleNamespace(holds=True, can_listen=True)
        self.leases: Any = SimpleNamespace(alone=True)
        self.pump: Any = SimpleNamespace(totals={"marks": 0}, is_idle=True)
        self.plans: Any = SimpleNamespace(problems={}, pending=set())
        source: Any = SimpleNamespace(waker=self.waker)
        settings = WorkerSettings(**worker)
        self.rest = Rest(source, self.plans, self.leases, self.pump, settings, allowed=allowed)

    def rests(self, *, after: float = 40.0) -> bool:
        self.now += after
        return self.rest.rhythm() is self.rest.at_rest


def test_a_session_rests_after_a_while_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert not scene.rests(after=29)
    assert scene.rests(after=10)


@pytest.mark.parametrize("what", ["work", "call", "busy"])
def test_whatever_happens_begins_the_while_anew(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.rests()
    if what == "work":
        scene.pump.totals = {"marks": 1}
    elif what == "call":
        scene.rest.interrupt()
    else:
        scene.pump.is_idle = False
    assert not scene.rests(after=1)
    scene.pump.is_idle = True
    assert not scene.rests(after=29)
    assert scene.rests(after=10)


@pytest.mark.parametrize("what", ["others", "deaf", "problem", "pending", "not allowed"])
def test_what_needs_a_frequent_look_gets_it(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, allowed=what != "not allowed")
    scene.leases.alone = what != "others"
    scene.waker.can_listen = what != "deaf"
    scene.plans.problems = {"todo": "its table is gone"} if what == "problem" else {}
    scene.plans.pending = {1} if what == "pending" else set()
    assert not scene.rests()
    assert scene.rest.rhythm() is None


def test_a_session_alone_at_work_renews_seldom_but_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    assert scene.rest.rhythm() is scene.rest.at_work is not None
    assert scene.rest.at_work.pause == 5
    assert scene.rest.at_work.lease == timedelta(seconds=15)


def test_a_session_that_no_writer_wakes_does_not_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch)
    scene.waker.holds = False
    assert not scene.rests()
    assert scene.rest.rhythm() is scene.rest.at_work


def test_a_rest_begins_when_second_deletes_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(monkeypatch, grace=timedelta(seconds=100))
    assert not scene.rests(after=100)
    assert scene.rests(after=6)


@pytest.mark.parametrize(("renew", "at_work", "at_rest"), [(30, False, False), (5, False, True), (1, True, True)])
def test_nobody_renews_more_often_than_usual(
    renew: int, at_work: bool, at_rest: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(monkeypatch, renew=timedelta(seconds=renew), lease=timedelta(seconds=60))
    assert (scene.rest.at_work is not None, scene.rest.at_rest is not None) == (at_work, at_rest)
