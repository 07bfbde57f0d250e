"""The reading half of the pump: marks and ticket; the planner reads the states."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from syncline.clock import boottime
from syncline.errors import KeyFormatError, PrivilegeError, SourceError, SpentEpochError
from syncline.model.mark import MAX_BATCH, Mark, any_block, lane_mask, there_may_be_more
from syncline.ports import Plan, Source, States
from syncline.relay.apart import GROUP, Apart, Crowds
from syncline.relay.leases import Leases
from syncline.relay.outcome import Outcome
from syncline.relay.planner import Planner
from syncline.relay.poison import Poison
from syncline.relay.turns import Turns
from syncline.relay.underway import UnderWay
from syncline.relay.work import Touched, Work

FEW = 25
"""Marks of one read that brings their states along: nobody knows yet how wide these are, and no bound applies."""
BLOCK = 1000
"""A block of so many keys is taken whole into a batch that would be smaller, unless it is kept small for a reason."""
PASS_SECONDS = 1.0
FLOOR_SECONDS = 2.0
LONG_WALK_SECONDS = 0.05
"""A read that takes longer has walked over much that is not for this worker to take."""


class Reader:
    """Reads marks in passes over the outbox.

    A pass goes on after the last ``seq`` seen; it starts over from the floor when it has come to the end, and at least
    every second, because transactions commit in another order than they draw numbers. A key that is under way is passed
    over: its mark is found again by the next pass. While many marks wait, newer ones have turns in between (``Turns``).
    """

    def __init__(
        self,
        source: Source,
        plans: Mapping[int, Plan],
        leases: Leases,
        *,
        stopped: Mapping[int, str],
        poison: Poison,
        range_: tuple[int, int],
        bytes_in_flight: int,
        admission: Callable[[], str] = str,
    ) -> None:
        self.under_way = UnderWay()
        self.planner = Planner(source, plans, self.under_way, poison, bytes_in_flight=bytes_in_flight)
        self.stopped: dict[int, str] = dict(stopped)
        """Entities that cannot be served, and why."""
        self._read_something = False
        self._poison = poison
        self._source = source
        self._plans = plans
        self._leases = leases
        self._admission = admission
        """What the target's gate said last."""
        self._range = range_
        self._size = range_[0]
        self._most = range_[1]
        self._number = 0
        self._cursor = 0
        self._latest = -1  # entity of the last mark
        self._floor = source.marks.floor()
        self._turns = Turns(self._floor)
        self._pass_began = time.monotonic()
        self._floor_moved = 0.0
        self._apart: dict[int, Apart] = {}
        """Entities whose marks are read apart: they are passed over meanwhile."""
        self._crowds = Crowds()
        self._joined = False
        self._bytes = bytes_in_flight
        self._mask: tuple[Mapping[int, int], int] = {}, 0

    def too_slow(self, work: Work) -> None:
        """Read smaller batches: this one could not be written before its states were too old."""
        self._most = max(1, min(self._most, work.size) // 2)
        self._size = min(self._size, self._most)

    def in_time(self) -> None:
        """Let batches grow again, slowly."""
        if self._most < self._range[1]:
            self._most = min(self._range[1], self._most + self._most // 8 + 1)

    def restart(self, *, lanes_changed: bool = False) -> None:
        """Start the next pass now."""
        if lanes_changed and self._floor is not None:
            self._floor.reset()
            self._turns.reset()
        self._cursor = self._start

    @property
    def _start(self) -> int:
        """Where a pass begins."""
        return 0 if self._floor is None else self._floor.value

    async def next(self, *, few: bool = False) -> tuple[Work | None, bool]:
        """Read the next batch of marks; return it and whether there may be more behind it.

        Args:
            few: no more than a handful is expected: read their states along with them, and save a round trip.

        """
        held = dict(self._leases.held)
        if not held:
            return None, False
        await self._begin_pass()
        number, started = self._next_number(), boottime()  # both before any state is read
        admission = self._admission()  # before any mark is read
        passed_over = [*self.stopped, *self._apart]
        size = max(1, self._size >> self._poison.shrink)
        if self._joined and not self._poison.shrink:  # more of a crowd is likely to wait
            size, few = max(size, min(self._most, GROUP)), False
        if self.planner.width:
            size = max(1, min(size, int(self._bytes / 4 / self.planner.width)))
        most = size if size < self._size else min(self._most, max(size, BLOCK))
        if few:
            size = min(size, FEW)
        front = self._turns.next()
        # Marks of an entity that is read apart may stand below the first one that is seen.
        floor = self._floor if front is None and self._cursor == self._start and not self._apart else None
        again = self._joined = False
        self.under_way.reading = True
        try:
            began = time.monotonic()
            after = self._cursor if front is None else front
            asked = size - BLOCK // 2 if size >= 4 * BLOCK else size  # the last block is mostly larger than the room
            marks, states = await self._read(after, self._lanes(held), asked, passed_over, few=few)
            if time.monotonic() - began > LONG_WALK_SECONDS:
                self._read_something = True  # a higher floor spares the next pass the walk, if nothing was found either
            if floor is not None:
                floor.seen(marks[0][0] if marks else None)
            full = there_may_be_more(marks, asked)
            if front is None:
                self._adapt(full=full)
                self._cursor = marks[-1][0] if full else self._start
            await self._turns.look(turn=front is not None, full=full, size=size, most=self._size >= self._most)
            if self._leases.held != held:  # given up while marks were read: those wait for a new epoch
                marks = [mark for mark in marks if self._leases.held.get(mark[1]) == held[mark[1]]]
            work, left = self._take(marks, held, number, started, admission, most=most)
            if left is not None and front is None:
                self._cursor, full = left - 1, True
        finally:
            if self.under_way.read() or self._joined:
                again = True
                self.restart()
        if work is not None:
            self._number = max(number, self._number)  # parts that are read apart have drawn some meanwhile
            self._latest = work.marks[-1][2]
            work.states = states
        return work, full or again or front is not None

    async def _read(
        self, after: int, lanes: int, size: int, without: Sequence[int], *, few: bool
    ) -> tuple[list[Mark], States | None]:
        """Read marks; a few with the states of the entity that changed last, where that is possible."""
        plan = self._plans.get(self._latest)
        source = self._source.marks
        if few and self.planner.width and plan is not None:
            try:
                both = await source.read_with_states(plan, after=after, lanes=lanes, limit=size, without=without)
                if both is not None:
                    marks, states = both
                    return marks, states if not any_block(marks) else None
            except (KeyFormatError, SourceError, PrivilegeError) as error:
                if error.retryable:
                    raise  # else one after the other, which finds out what it is
        return await source.read(after=after, lanes=lanes, limit=size, without=without), None

    def _lanes(self, held: Mapping[int, int]) -> int:
        """Pack the lanes; they change too seldom to do it for every read."""
        if held != self._mask[0]:
            self._mask = held, lane_mask(held)
        return self._mask[1]

    def _next_number(self) -> int:
        if self._number == MAX_BATCH:
            raise SpentEpochError
        return self._number + 1

    async def fill(self, work: Work) -> list[Apart]:
        """Plan a batch's writes; give the groups that are to be read apart, whose entities are passed over from now on.

        Raises:
            StalePlanError: the tables have changed.

        """
        groups = await self.planner.fill(work, self._crowds)
        self._apart |= {group.plan.id: group for group in groups}
        return groups

    def part(self, group: Apart) -> Work | None:
        """Make a batch of the next part of a group, as far as its leases are still held; ``None``: it is done."""
        held = dict(self._leases.held)
        self.under_way.free(group.lost(held))
        marks = group.next()
        if not marks:
            return None
        number, started = self._next_number(), boottime()
        self._number = number
        leases = {lane: held[lane] for lane in {mark[1] for mark in marks}}
        touched = {group.plan.id: Touched.of(marks)}
        return Work(number, started, time.monotonic(), leases, touched, marks, group.admission)

    def join(self, group: Apart) -> None:
        """Read a group's entity with the others again; what is left of the group is found by a new pass."""
        self.under_way.free(group.rest())
        self._crowds.leave(group)
        del self._apart[group.plan.id]
        self._joined = True
        self.restart()

    def written(self, outcome: Outcome) -> None:
        """Look how many records of a batch could not be written."""
        self._crowds.look(outcome)

    def release(self, work: Work) -> None:
        """Free a batch's keys; marks that were passed over for them are found by a new pass."""
        if self.under_way.release(work):
            self.restart()

    def _take(
        self, marks: list[Mark], held: Mapping[int, int], number: int, started: float, admission: str, *, most: int
    ) -> tuple[Work | None, int | None]:
        """Make a batch of those marks that no other batch has; say, too, which is the first that has no room in it."""
        strangers = {mark[2] for mark in marks} - self._plans.keys()
        self.stopped |= dict.fromkeys(strangers, "it is installed, but not in the configuration")
        touched, taken, left = self.under_way.take(marks, self._plans.keys(), most=most)
        if not taken:
            return None, left
        self._read_something = True
        self.planner.asynchronous = self.planner.asynchronous or not all(mark[5] for mark in taken)
        lanes = {mark[1] for mark in taken}
        leases = {lane: held[lane] for lane in lanes}
        return Work(number, started, time.monotonic(), leases, touched, taken, admission), left

    async def _begin_pass(self) -> None:
        now = time.monotonic()
        if now - self._pass_began > PASS_SECONDS:
            self._pass_began = now
            self.restart()
        if self._floor is not None and self._read_something and now - self._floor_moved > FLOOR_SECONDS:
            self._floor_moved = now
            self._read_something = False
            await self._floor.advance()

    def _adapt(self, *, full: bool) -> None:
        if not self._poison.shrink:
            self._size = min(self._most, self._size * 2 if full else self._range[0])
