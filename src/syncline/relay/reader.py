"""The reading half of the pump: marks, ticket, states."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime

from syncline.errors import KeyFormatError, PrivilegeError, SourceError, SynclineError, TableLockedError
from syncline.model.mark import MAX_BATCH, Mark
from syncline.narrowing import Narrowed, ambiguous, is_of_records, narrowed, nothing, trials, width, without
from syncline.ports import Excerpt, Plan, Rejection, Source, States
from syncline.relay.apart import GROUP, STATEMENTS, Apart, Crowds
from syncline.relay.clock import boottime
from syncline.relay.leases import Leases
from syncline.relay.outcome import Outcome
from syncline.relay.poison import Poison
from syncline.relay.underway import UnderWay
from syncline.relay.work import Touched, Work

SLICE = 1000
"""Keys of one read of states: large enough to amortise the round trip, small enough to notice wide rows."""
FIRST_SLICE = 250
"""The same, while nothing is known of the rows' width."""
FEW = 25
"""Marks of one read that brings their states along: nobody knows yet how wide these are, and no bound applies."""
BREATH = 10
"""Rows that are tried one after the other before other tasks have their turn."""
PASS_SECONDS = 1.0
FLOOR_SECONDS = 2.0


class StalePlanError(SynclineError):
    """The tables are not what they were when the entities were compiled."""

    retryable = True

    def __init__(self, message: str, plan: Plan | None = None) -> None:
        super().__init__(message)
        self.plan = plan
        """The entity whose records could not be read."""


class UnreadableError(SynclineError):
    """Some record among those that were asked for cannot be read, or not now: its table is locked."""


class SpentEpochError(SynclineError):
    """The batch numbers of this session are used up: the next one has new epochs, and counts from 1."""

    retryable = True


class Reader:
    """Reads marks in passes over the outbox, and the states of what they mark.

    A pass goes on after the last ``seq`` seen; it starts over from the floor when it has come to the end, and at least
    every second, because transactions commit in another order than they draw numbers. A key that is under way is passed
    over: its mark is found again by the next pass.
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
    ) -> None:
        self.under_way = UnderWay()
        self.asynchronous = False
        self.stopped: dict[int, str] = dict(stopped)
        """Entities that cannot be served, and why."""
        self.insert_backfills: dict[int, bool] = {}
        """Entities whose backfilled records are tried as inserts first; false once they were found to be there."""
        self._read_something = False
        self._poison = poison
        self._source = source
        self._plans = plans
        self._leases = leases
        self._range = range_
        self._size = range_[0]
        self._most = range_[1]
        self._number = 0
        self._cursor = 0
        self._latest = -1  # entity of the last mark
        self._floor = source.marks.floor()
        self._pass_began = time.monotonic()
        self._floor_moved = 0.0
        self._width = 0.0
        self._apart: dict[int, Apart] = {}
        """Entities whose marks are read apart: they are passed over meanwhile."""
        self._crowds = Crowds()
        self._joined = False
        self._bytes = bytes_in_flight

    def too_slow(self, work: Work) -> None:
        """Read smaller batches: this one could not be written before its states were too old."""
        self._most = max(1, min(self._most, len(work.marks)) // 2)
        self._size = min(self._size, self._most)

    def in_time(self) -> None:
        """Let batches grow again, slowly."""
        if self._most < self._range[1]:
            self._most = min(self._range[1], self._most + self._most // 8 + 1)

    def restart(self, *, lanes_changed: bool = False) -> None:
        """Start the next pass now."""
        if lanes_changed and self._floor is not None:
            self._floor.reset()
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
        passed_over = [*self.stopped, *self._apart]
        size = max(1, self._size >> self._poison.shrink)
        if self._joined and not self._poison.shrink:  # more of a crowd is likely to wait
            size, few = max(size, min(self._most, GROUP)), False
        if self._width:
            size = max(1, min(size, int(self._bytes / 4 / self._width)))
        if few:
            size = min(size, FEW)
        # Marks of an entity that is read apart may stand below the first one that is seen.
        floor = self._floor if self._cursor == self._start and not self._apart else None
        again = self._joined = False
        self.under_way.reading = True
        try:
            marks, states = await self._read(_mask(held), size, passed_over, few=few)
            if floor is not None:
                floor.seen(marks[0][0] if marks else None)
            full = len(marks) == size
            self._adapt(full=full)
            self._cursor = marks[-1][0] if full else self._start
            work = self._take(marks, held, number, started)
        finally:
            if self.under_way.read() or self._joined:
                again = True
                self.restart()
        if work is not None:
            self._number = max(number, self._number)  # parts that are read apart have drawn some meanwhile
            self._latest = next(reversed(work.touched))
            work.states = states
        return work, full or again

    async def _read(
        self, lanes: int, size: int, without: Sequence[int], *, few: bool
    ) -> tuple[list[Mark], States | None]:
        """Read marks; a few with the states of the entity that changed last, where that is possible."""
        plan = self._plans.get(self._latest)
        source, after = self._source.marks, self._cursor
        if few and self._width and plan is not None:
            try:
                both = await source.read_with_states(plan, after=after, lanes=lanes, limit=size, without=without)
                if both is not None:
                    return both
            except (KeyFormatError, SourceError, PrivilegeError) as error:
                if error.retryable:
                    raise  # else one after the other, which finds out what it is
        return await source.read(after=after, lanes=lanes, limit=size, without=without), None

    def _next_number(self) -> int:
        if self._number == MAX_BATCH:
            raise SpentEpochError
        return self._number + 1

    async def fill(self, work: Work) -> list[Apart]:
        """Read the states of a batch's keys and plan the writes; give the groups that are to be read apart.

        Raises:
            StalePlanError: the tables have changed.

        """
        now = _milliseconds()
        left = {entity: list(touched.hints) for entity, touched in work.touched.items()}
        apart = []
        for entity in list(left):
            plan = self._plans[entity]
            if entity in self._crowds:
                apart.append(self._cut_out(work, plan, left.pop(entity)))
                continue
            left[entity] = self._unsentenced(work, plan, left[entity])
            if work.states is not None and work.states.plan is plan:
                wanted = set(left.pop(entity))
                rows = [row for row in work.states.rows if row[-1] in wanted]  # others are under way
                await self._plan(work, States(plan, rows, ()), wanted, now)
                continue
            while left[entity] and work.bytes <= self._bytes / 2:
                most = min(SLICE, int(self._bytes / 4 / self._width) or 1) if self._width else FIRST_SLICE
                keys, left[entity] = left[entity][:most], left[entity][most:]
                try:
                    left[entity] = await self._fill(work, plan, keys, now) + left[entity]
                except UnreadableError:
                    apart.append(self._cut_out(work, plan, keys + left.pop(entity)))
                    break
        if any(left.values()):
            self.under_way.put_back(work, left)  # wider rows than before
        await self._wait_durable()
        return apart

    def _unsentenced(self, work: Work, plan: Plan, keys: list[str]) -> list[str]:
        """Reject the records that were found to bring the target down; give the others."""
        if not self._poison.sentenced:
            return keys
        work.reject(plan, self._poison.sentences(plan.id, keys))
        return [key for key in keys if (plan.id, key) not in self._poison.sentenced]

    def _cut_out(self, work: Work, plan: Plan, keys: Collection[str]) -> Apart:
        """Take an entity's keys out of a batch: they are read apart, and stay taken."""
        marks = work.leave_out({plan.id: keys})
        group = Apart(plan, {mark[1]: work.leases[mark[1]] for mark in marks})
        group.add(marks)
        self._apart[plan.id] = group
        return group

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
        return Work(number, started, time.monotonic(), leases, touched, marks)

    async def fill_part(self, work: Work, group: Apart) -> None:
        """Read the states of a part, record by record where that must be, and plan the writes.

        Raises:
            StalePlanError: the tables have changed.

        """
        plan = group.plan
        keys = self._unsentenced(work, plan, list(work.touched[plan.id].hints))
        try:
            unread = await self._fill(work, plan, keys, _milliseconds(), apart=True)
        except TableLockedError:
            unread = keys  # tried again with the next part, until the table is let go
        if unread:
            group.add(work.leave_out({plan.id: unread}))
        await self._wait_durable(apart=True)

    async def _wait_durable(self, *, apart: bool = False) -> None:
        """See that no state is written that a crash of the source would undo."""
        durability = self._source.records.durability
        if self.asynchronous and durability is not None:
            await durability.wait(apart=apart)

    def join(self, group: Apart) -> None:
        """Read a group's entity with the others again; what is left of the group is found by a new pass."""
        self.under_way.free(group.rest())
        self._crowds.leave(group)
        del self._apart[group.plan.id]
        self._joined = True
        self.restart()

    async def _fill(self, work: Work, plan: Plan, keys: list[str], now: datetime, *, apart: bool = False) -> list[str]:
        """Read states of keys; return those for which there was no room or no time.

        Raises:
            UnreadableError: some record cannot be read, and they are not read ``apart``.

        """
        read, bad = await self._states(plan, keys, apart=apart)
        states, unread = read.states, read.left
        if bad or unread:
            work.reject(plan, bad)
            gone = {*unread, *(rejection.key for rejection in bad)}
            keys = [key for key in keys if key not in gone]  # not absent: nobody knows
        if isinstance(states, Excerpt):
            found = {row[-1] for row in states.rows}
            unread = [*unread, *(key for key in keys if key not in found)]
            keys = [key for key in keys if key in found]
        twice = ambiguous(states)
        if twice:
            work.reject(plan, [Rejection(key, "ambiguous_key", "more than one row has this key") for key in twice])
            keys = [key for key in keys if key not in twice]
            states = without(states, twice)
        await self._plan(work, states, keys, now)
        return unread

    async def _plan(self, work: Work, states: States, keys: Collection[str], now: datetime) -> None:
        try:
            self._plan_writes(work, states, keys, now)
        except Exception:  # a value that the mapping stumbles over, whatever it raises
            bad = await _unmappable(states)
            if not bad:
                raise
            work.reject(states.plan, [Rejection(key, "mapping", why) for key, why in bad.items()])
            self._plan_writes(work, without(states, bad), [key for key in keys if key not in bad], now)

    def _plan_writes(self, work: Work, states: States, keys: Collection[str], now: datetime) -> None:
        work.plan_writes(
            states,
            keys,
            source=self._source.records.name,
            now=now,
            insert_backfills=self.insert_backfills.get(states.plan.id, True),
            alone=self._poison.known,
        )
        self._weigh(work, states)

    def written(self, outcome: Outcome) -> None:
        """Look how many records of a batch could not be written."""
        self._crowds.look(outcome)

    def release(self, work: Work) -> None:
        """Free a batch's keys; marks that were passed over for them are found by a new pass."""
        if self.under_way.release(work):
            self.restart()

    def _take(self, marks: list[Mark], held: Mapping[int, int], number: int, started: float) -> Work | None:
        """Make a batch of those marks that no other batch has."""
        strangers = {mark[2] for mark in marks} - self._plans.keys()
        self.stopped |= dict.fromkeys(strangers, "it is installed, but not in the configuration")
        touched, taken = self.under_way.take(marks, self._plans.keys())
        if not taken:
            return None
        self._read_something = True
        self.asynchronous = self.asynchronous or not all(mark[5] for mark in taken)
        lanes = {mark[1] for mark in taken}
        return Work(
            number,
            started,
            time.monotonic(),
            {lane: held[lane] for lane in lanes},
            touched,
            taken,
        )

    async def _states(self, plan: Plan, keys: list[str], *, apart: bool) -> tuple[Narrowed, list[Rejection]]:
        """Read states; apart, a key whose row cannot be read is rejected alone, within so many statements."""
        good, bad = _sift(plan, keys)

        async def read(part: list[str]) -> States:
            return await self._source.records.read(plan, part, most_bytes=self._bytes // 4, apart=apart)

        if not good:
            return Narrowed(nothing(plan)), bad
        try:
            if not apart:
                return Narrowed(await read(good)), bad
            result = await narrowed(plan, read, good, most=STATEMENTS)
        except (SourceError, PrivilegeError) as error:
            if error.retryable:
                raise
            if not apart and (isinstance(error, TableLockedError) or is_of_records(error)):
                raise UnreadableError from error
            if isinstance(error, TableLockedError):
                raise
            raise StalePlanError(f"entity {plan.name}: {error.message}", plan) from error
        return result, bad + [Rejection(key, "mapping", why) for key, why in result.bad.items()]

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

    def _weigh(self, work: Work, states: States) -> None:
        """Estimate bytes from a few rows, to keep the next batches within the memory bound."""
        rows = states.rows[:: max(1, len(states.rows) // 4)]
        if rows:
            children = (
                sum(map(width, (row for rows in states.children for row in rows[:100]))) if states.children else 0
            )
            mean = sum(map(width, rows)) / len(rows) + children
            self._width = max(mean, 0.9 * self._width)
            work.bytes += int(mean * len(states.rows))


def _milliseconds() -> datetime:
    """Give the time as documents have it."""
    now = datetime.now(UTC).replace(tzinfo=None)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


async def _unmappable(states: States) -> dict[str, str]:
    """Find the keys of which no document can be made; the event loop goes on meanwhile."""
    bad = {}
    for number, (key, why) in enumerate(trials(states), 1):
        if why is not None:
            bad[key] = why
        if number % BREATH == 0:
            await asyncio.sleep(0)
    return bad


def _mask(lanes: Mapping[int, int]) -> int:
    mask = 0
    for lane in lanes:
        mask |= 1 << lane
    return mask - (1 << 64) if mask >= 1 << 63 else mask


def _sift(plan: Plan, keys: list[str]) -> tuple[list[str], list[Rejection]]:
    parse = plan.projection.codec.parse
    try:
        plan.projection.codec.parameters(keys)
    except KeyFormatError:
        good, bad = [], []
        for key in keys:
            try:
                parse(key)
                good.append(key)
            except KeyFormatError as error:
                bad.append(Rejection(key, "bad_key", error.message))
        return good, bad
    return keys, []
