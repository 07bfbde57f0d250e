"""When a process asks again how far its collections have come."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from syncline.engines.mongo.gates import Gate
from syncline.phases import pace


class Due:
    """Notes how long it is waited for, and does not wait."""

    def __init__(self) -> None:
        self.is_set, self.waited = False, [0.0]

    def wait(self, seconds: float) -> None:
        self.waited.append(0.0 if self.is_set else seconds)

    def set(self) -> None:
        self.is_set = True

    def clear(self) -> None:
        self.is_set = False


@pytest.fixture
def now(monkeypatch):
    at = [1000.0]
    monkeypatch.setattr(pace, "threading", SimpleNamespace(Event=Due))
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: at[0]))
    return at


def rested(of: pace.Pace, name: str, *, idle: bool = False) -> float:
    of.rest(name, idle=idle)
    return of._due[name].waited[-1]


def gates(*, change: int, hurries: bool) -> dict[str, Gate]:
    return {"tasks": Gate("a", 1, 1, 0, change, hurries)}


def test_before_a_gate_changes_it_is_asked_often_and_a_moment_longer(now):
    of = pace.Pace(["here", "there"], 0.75)
    assert rested(of, "here") == 0.75
    of.heard(gates(change=5, hurries=True))
    assert rested(of, "here") == 0.02
    now[0] += 10
    of.heard(gates(change=7, hurries=False))
    assert rested(of, "here") == 0.02
    now[0] += 1.1
    assert rested(of, "here") == 0.75


def test_a_coordinator_that_died_has_it_asked_often_for_a_while(now):
    of = pace.Pace(["here"], 0.75)
    of.heard(gates(change=5, hurries=True))
    now[0] += 31
    of.heard(gates(change=5, hurries=True))
    assert rested(of, "here") == 0.75
    of.heard(gates(change=6, hurries=True))
    assert rested(of, "here") == 0.02, "another one is at work"


def test_a_place_from_which_nothing_comes_is_asked_rarely_and_told_at_once(now):
    of = pace.Pace(["here", "there"], 0.75)
    of.heard(gates(change=5, hurries=True))
    assert rested(of, "there", idle=True) == 0.75
    of.wake(but="here")
    assert (rested(of, "here"), rested(of, "there", idle=True)) == (0.02, 0.0)
    assert rested(of, "there", idle=True) == 0.75


def test_a_lease_that_is_shorter_than_that_is_kept(now):
    of = pace.Pace(["here"], 0.01)
    of.hurry(1.0)
    assert rested(of, "here") == 0.01
