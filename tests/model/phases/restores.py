"""How a restore of a side is noticed: two counters, each advanced on its own side first and then noted on the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.search import Told

MONGO, POSTGRES = 0, 1
SIDES = ("MongoDB", "PostgreSQL")


@dataclass(frozen=True, kw_only=True)
class RestoreScope:
    """One exploration. The defaults are the design."""

    about: str = ""
    rounds: int = 3
    """How often workers look and advance, all together."""
    workers: int = 2
    reads: str = "note first"
    """What a look reads first: note first: what the other side knows of a counter; counter first."""
    advances: str = "own first"
    """own first: a counter, then the note of it; note first."""
    notes: bool = True
    """MongoDB notes PostgreSQL's counter."""
    cut_off: bool = True
    """Who is under way when a side is restored does not go on: that side was away."""
    livelocks: bool = False
    limit: int = 1_500_000


class Side(NamedTuple):
    """What a database has."""

    own: int = 0
    """Its own counter."""
    note: int = 0
    """What it knows of the other's."""


class Worker(NamedTuple):
    """What it has read, one question after the other; 0: idle."""

    step: int = 0
    notes: tuple[int, int] = (0, 0)
    """What is known of each side's counter on the other one."""
    counters: tuple[int, int] = (0, 0)
    backed: bool = False
    """Ghost: the backup was made before it began."""


class State(NamedTuple):
    """Everything."""

    sides: tuple[Side, Side]
    workers: tuple[Worker, ...]
    backup: tuple[int, Side] | None
    """Of which side there is one, and what is in it."""
    worked: bool
    """Ghost: a worker has gone through all of its steps since."""
    restored: bool
    rounds: int
    broken: str = ""


class RestoreWorld:
    """A scope, as something to search."""

    def __init__(self, scope: RestoreScope) -> None:
        self.limit, self.livelocks = scope.limit, scope.livelocks
        self._scope = scope

    def first(self) -> State:
        """Nobody has worked yet."""
        workers = (Worker(),) * self._scope.workers
        return State((Side(), Side()), workers, None, worked=False, restored=False, rounds=self._scope.rounds)

    def normal(self, state: State) -> State:
        """Workers have no names."""
        return state._replace(workers=tuple(sorted(state.workers)), broken="")

    def steps(self, state: State) -> Iterator[tuple[Told, State]]:
        """Let everybody do whatever may come next."""
        for place, worker in enumerate(state.workers):
            if worker.step or state.rounds:
                yield self._worker(state, place)
        if state.backup is None:
            for side in (MONGO, POSTGRES):
                yield ("a backup of {} is made", SIDES[side]), state._replace(backup=(side, state.sides[side]))
        elif not state.restored:
            side, kept = state.backup
            workers = (Worker(),) * len(state.workers) if self._scope.cut_off else state.workers
            after = state._replace(sides=_put(state.sides, side, kept), workers=workers, restored=True)
            yield ("{} is restored", SIDES[side]), after

    def _worker(self, state: State, place: int) -> tuple[Told, State]:
        one = state.workers[place]
        step = (self._notes_of_postgresql, self._notes_of_mongodb, self._counters, self._own, self._noted, self._end)
        if not one.step:
            begun = Worker(step=1, backed=state.backup is not None)
            spent = state._replace(workers=_placed(state, place, begun), rounds=state.rounds - 1)
            return step[0](spent, place, begun)
        return step[one.step](state, place, one)

    def _notes_of_postgresql(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        mongo, postgresql = state.sides
        notes, counters = (0, mongo.note), (mongo.own, 0)
        if self._scope.reads == "counter first":
            counters = (mongo.own, postgresql.own)
        after = _placed(state, place, one._replace(notes=notes, counters=counters))
        return ("worker {} reads what MongoDB knows", place), state._replace(workers=after)

    def _notes_of_mongodb(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        postgresql = state.sides[POSTGRES]
        counters = one.counters if self._scope.reads == "counter first" else (0, postgresql.own)
        read = one._replace(step=2, notes=(postgresql.note, one.notes[1]), counters=counters)
        told = ("worker {} reads what PostgreSQL knows, and its counter", place)
        return told, state._replace(workers=_placed(state, place, read))

    def _counters(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        mongo = state.sides[MONGO]
        there = one.counters[0] if self._scope.reads == "counter first" else mongo.own
        lower = there < one.notes[0] or one.counters[1] < one.notes[1]
        if lower:
            broken = "" if state.restored else "a restore is noticed, and there was none"
            ended = _placed(state, place, Worker())
            return ("worker {} notices a restore", place), state._replace(workers=ended, rounds=0, broken=broken)
        lost = state.restored and state.worked
        broken = "a worker works on, and what was carried since the backup is missing" if lost else ""
        passed = _placed(state, place, one._replace(step=3))
        return ("worker {} finds both sides as they were", place), state._replace(workers=passed, broken=broken)

    def _own(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        mongo, postgresql = state.sides
        if self._scope.advances == "note first":
            noted = postgresql._replace(note=max(postgresql.note, mongo.own + 1), own=postgresql.own + 1)
            sides, told = (mongo, noted), "worker {} notes MongoDB's next counter"
            counters = (mongo.own + 1, noted.own)
        else:
            advanced = mongo._replace(own=mongo.own + 1)
            sides, told = (advanced, postgresql), "worker {} advances MongoDB's counter"
            counters = (advanced.own, 0)
        after = _placed(state, place, one._replace(step=4, counters=counters))
        return (told, place), state._replace(sides=sides, workers=after)

    def _noted(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        mongo, postgresql = state.sides
        if self._scope.advances == "note first":
            sides, told = (
                (mongo._replace(own=max(mongo.own, one.counters[0])), postgresql),
                "worker {} advances MongoDB's",
            )
            own = one.counters[1]
        else:
            noted = Side(postgresql.own + 1, max(postgresql.note, one.counters[0]))
            sides, told, own = (mongo, noted), "worker {} notes it, and advances PostgreSQL's", noted.own
        after = _placed(state, place, one._replace(step=5, counters=(one.counters[0], own)))
        return (told, place), state._replace(sides=sides, workers=after)

    def _end(self, state: State, place: int, one: Worker) -> tuple[Told, State]:
        mongo, postgresql = state.sides
        if self._scope.notes:
            mongo = mongo._replace(note=max(mongo.note, one.counters[1]))
        worked = state.worked or (one.backed and not state.restored)
        after = state._replace(sides=(mongo, postgresql), workers=_placed(state, place, Worker()), worked=worked)
        return ("worker {} notes PostgreSQL's counter", place), after

    def violation(self, _: State, after: State) -> str:
        """Say what a step has broken."""
        return after.broken

    def at_rest(self, state: State) -> bool:
        """Nobody works."""
        return not any(one.step for one in state.workers)

    def is_fault(self, before: State, after: State) -> bool:
        """Tell whether a side was restored in a step."""
        return after.restored != before.restored


def _put(sides: tuple[Side, Side], place: int, side: Side) -> tuple[Side, Side]:
    return (side, sides[1]) if place == MONGO else (sides[0], side)


def _placed(state: State, place: int, worker: Worker) -> tuple[Worker, ...]:
    return (*state.workers[:place], worker, *state.workers[place + 1 :])
