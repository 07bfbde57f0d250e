"""Reading the states of what is marked, and planning the writes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import UTC, datetime

from syncline.errors import (
    KeyFormatError,
    PrivilegeError,
    SourceError,
    StalePlanError,
    TableLockedError,
    UnreadableError,
)
from syncline.narrowing import Narrowed, ambiguous, is_of_records, narrowed, nothing, trials, width, without
from syncline.ports import Excerpt, Plan, Rejection, Source, States
from syncline.relay.apart import STATEMENTS, Apart, Crowds
from syncline.relay.poison import Poison
from syncline.relay.underway import UnderWay
from syncline.relay.work import Work

SLICE = 1000
"""Keys of one read of states: large enough to amortise the round trip, small enough to notice wide rows."""
FIRST_SLICE = 250
"""The same, while nothing is known of the rows' width."""
BREATH = 10
"""Rows that are tried one after the other before other tasks have their turn."""


class Planner:
    """Turns marks into writes: reads the records as they are, within a bound on memory, and maps them."""

    def __init__(
        self, source: Source, plans: Mapping[int, Plan], under_way: UnderWay, poison: Poison, *, bytes_in_flight: int
    ) -> None:
        self.asynchronous = False
        """Somebody commits asynchronously: states are durable only after a while."""
        self.insert_backfills: dict[int, bool] = {}
        """Entities whose backfilled records are tried as inserts first; false once they were found to be there."""
        self.width = 0.0
        """Bytes of a row, as far as is known."""
        self._source = source
        self._plans = plans
        self._under_way = under_way
        self._poison = poison
        self._bytes = bytes_in_flight

    async def fill(self, work: Work, crowds: Crowds) -> list[Apart]:
        """Read the states of a batch's keys and plan the writes; give the groups that are to be read apart.

        Args:
            work: the batch.
            crowds: entities that are read apart whatever their records are.

        Raises:
            StalePlanError: the tables have changed.

        """
        now = _milliseconds()
        left = {entity: list(touched.hints) for entity, touched in work.touched.items()}
        apart = []
        for entity in list(left):
            plan = self._plans[entity]
            if entity in crowds:
                apart.append(_cut_out(work, plan, left.pop(entity)))
                continue
            left[entity] = self._without_poison(work, plan, left[entity])
            if work.states is not None and work.states.plan is plan:
                wanted = set(left.pop(entity))
                rows = [row for row in work.states.rows if row[-1] in wanted]  # others are under way
                await self._plan(work, States(plan, rows, ()), wanted, now)
                continue
            while left[entity] and work.bytes <= self._bytes / 2:
                most = min(SLICE, int(self._bytes / 4 / self.width) or 1) if self.width else FIRST_SLICE
                keys, left[entity] = left[entity][:most], left[entity][most:]
                try:
                    left[entity] = await self._fill(work, plan, keys, now) + left[entity]
                except UnreadableError:
                    apart.append(_cut_out(work, plan, keys + left.pop(entity)))
                    break
        if any(left.values()):
            self._under_way.put_back(work, left)  # wider rows than before
        await self._wait_durable()
        return apart

    def _without_poison(self, work: Work, plan: Plan, keys: list[str]) -> list[str]:
        """Reject the records that were found to bring the target down; give the others."""
        if not self._poison.found:
            return keys
        work.reject(plan, self._poison.rejections(plan.id, keys))
        return [key for key in keys if (plan.id, key) not in self._poison.found]

    async def fill_part(self, work: Work, group: Apart) -> None:
        """Read the states of a part, record by record where that must be, and plan the writes.

        Raises:
            StalePlanError: the tables have changed.

        """
        plan = group.plan
        keys = self._without_poison(work, plan, list(work.touched[plan.id].hints))
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
            alone=self._poison.quarantined,
        )
        self._weigh(work, states)

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
            raise StalePlanError(f"entity {plan.name}: {error.message}", entity=plan.id) from error
        return result, bad + [Rejection(key, "mapping", why) for key, why in result.bad.items()]

    def _weigh(self, work: Work, states: States) -> None:
        """Estimate bytes from a few rows, to keep the next batches within the memory bound."""
        rows = states.rows[:: max(1, len(states.rows) // 4)]
        if rows:
            children = (
                sum(map(width, (row for rows in states.children for row in rows[:100]))) if states.children else 0
            )
            mean = sum(map(width, rows)) / len(rows) + children
            self.width = max(mean, 0.9 * self.width)
            work.bytes += int(mean * len(states.rows))


def _cut_out(work: Work, plan: Plan, keys: Collection[str]) -> Apart:
    """Take an entity's keys out of a batch: they are read apart, and stay taken."""
    marks = work.leave_out({plan.id: keys})
    group = Apart(plan, {mark[1]: work.leases[mark[1]] for mark in marks}, work.admission)
    group.add(marks)
    return group


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
