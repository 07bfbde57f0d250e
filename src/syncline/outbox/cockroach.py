"""CockroachDB as a source: it polls, retries, and reads marks and states a moment in the past.

A read in the past moves no writer's timestamp, so that polling does not push the application's transactions into
retries. Marks and states of a batch are read as of the same time, so a state contains the change of its mark. What a
present read gets for nothing must be kept by rule here:

- No state is older than the lease of its lane. Else a new owner would read, in the past, a mark that the old owner has
  acknowledged since, and write the older state under its higher ticket. So the lease's own timestamp bounds every read.
- Times never go back within a session: a higher ticket is never an older state.
- Marks that this worker has acknowledged are still there in the past; they are remembered and passed over.

See https://www.cockroachlabs.com/docs/stable/as-of-system-time and docs/explanation/cockroachdb.md.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from syncline.model.mark import Mark
from syncline.outbox import acknowledge
from syncline.outbox.bounded import Bound
from syncline.outbox.connection import translated
from syncline.outbox.source import PostgresSource
from syncline.outbox.states import as_of, read_states_within
from syncline.ports import Acknowledgement, Plan, States

STALENESS = timedelta(milliseconds=500)
"""How far in the past marks are read. Writers that take longer from first to last write may still be pushed."""
MARGIN_SECONDS = 5.0
"""How long acknowledged marks are remembered beyond that: ten times the clock offset that its nodes tolerate."""
FORGET = 10_000
"""Rows of history that one statement deletes."""


class CockroachSource(PostgresSource):
    """A session with a CockroachDB cluster; made by ``PostgresSource.open``, which looks what it has connected to."""

    source_name = "cockroachdb"
    can_wake = False

    def __init__(self, *args: Any) -> None:
        """Take what ``PostgresSource`` takes."""
        super().__init__(*args)
        self._read_at: Decimal | None = None
        self._not_before = Decimal(0)
        self._acknowledged = Recent(STALENESS.total_seconds() + MARGIN_SECONDS)

    async def read_marks(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        """Read waiting marks as they were a moment ago, without those that this worker has acknowledged since."""
        found: list[Mark] = []
        values: dict[str, Any] = {"after": after, "lanes": lanes, "limit": limit, "except": list(without)}
        past = f"-{round(STALENESS.total_seconds() * 1000)}ms"
        self._acknowledged.forget()
        with translated():
            async with self._reading, as_of(self.reader, past), self.reader.cursor(binary=True) as cursor:
                while True:
                    await cursor.execute(self._queries["read_marks"], values)
                    rows = await cursor.fetchall()
                    if rows and not self._advance(Decimal(rows[0][-1])):
                        return []
                    found += [row[:-1] for row in rows if row[0] not in self._acknowledged]  # type: ignore[misc]
                    if len(rows) < limit or len(found) >= limit:
                        return found[:limit]
                    values["after"] = rows[-1][0]

    @staticmethod
    def reads_together(plan: Plan) -> bool:  # noqa: ARG004
        """A statement has one time for both, and that is now."""
        return False

    async def read_states(
        self,
        plan: Plan,
        keys: Sequence[str],
        *,
        bound: Bound | None = None,  # noqa: ARG002
        apart: bool = False,
    ) -> States:
        """Read records as of the time at which marks were read last; all of them, whatever the bound."""
        with translated():
            async with self._reading_on(apart=apart) as connection, as_of(connection, self._read_at):
                return await read_states_within(connection, plan, keys)

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        """Take free lanes; from now on nothing is read as of an earlier time."""
        values = {"lanes": list(lanes), "above": above, "worker": self.worker}
        with translated():
            rows = await (await self.control.execute(self._queries["acquire"], values)).fetchall()
        self._not_before = max([self._not_before, *(Decimal(row[-1]) for row in rows)])
        return {lane: epoch for lane, epoch, *_ in rows}

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        """Remove marks under the lease; return the lanes that are still held."""
        values = acknowledge.parameters(ack) | {"worker": self.worker, "grace": grace}
        unpark = ack.unpark
        if unpark and ack.rejected:
            with translated():
                await self.acker.execute(self._queries["unpark"], values)
            unpark = False
        query = acknowledge.statement(
            self.dialect,
            history=history,
            absent=bool(ack.absent),
            rejected=bool(ack.rejected),
            unpark=unpark,
            documents=bool(ack.documents),
        )
        with translated():
            held = {lane for (lane,) in await (await self.acker.execute(query, values)).fetchall()}
        if held >= ack.leases.keys():
            self._acknowledged.add(ack.seqs)
        return held

    async def wait_flushed(self, *, apart: bool = False) -> None:
        """Do nothing: what is committed there is on a majority of disks."""

    async def asynchronous_writers(self) -> bool:
        """There are none."""
        return False

    async def drawn(self) -> int:
        """There is no floor: numbers are not in the order in which they become visible."""
        return 0

    async def next_transaction(self) -> int:
        """See ``drawn``."""
        return 0

    async def oldest_transaction(self) -> int:
        """See ``drawn``."""
        return 0

    async def announce_idle(self) -> bool:
        """Nobody can wake us: no NOTIFY, and advisory locks that lock nothing."""
        return False

    async def announce_busy(self) -> None:
        """Nothing was announced."""

    async def another_is_idle(self) -> bool:
        """Nor can anybody else be woken."""
        return False

    async def is_another_idle_still(self) -> bool:
        """See ``another_is_idle``."""
        return False

    async def listen(self, wake: Callable[[], None]) -> None:  # noqa: ARG002
        """Wait for ever: there are no notifications."""
        await asyncio.Event().wait()

    async def notify(self) -> None:
        """Wake nobody."""

    async def rotate_history(self, keep: timedelta) -> None:
        """Delete what is older, in small transactions."""
        with translated():
            values: Mapping[str, Any] = {"keep": keep, "limit": FORGET}
            while (await self.control.execute(self._queries["forget_history"], values)).rowcount == FORGET:
                pass

    def _advance(self, when: Decimal) -> bool:
        if when < self._not_before or (self._read_at is not None and when < self._read_at):
            return False
        self._read_at = when
        return True


class Recent:
    """Numbers that are remembered for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._numbers: set[int] = set()
        self._batches: deque[tuple[float, Collection[int]]] = deque()

    def add(self, numbers: Collection[int]) -> None:
        """Remember these."""
        self._numbers.update(numbers)
        self._batches.append((time.monotonic(), numbers))

    def forget(self) -> None:
        """Forget what is old."""
        until = time.monotonic() - self._seconds
        while self._batches and self._batches[0][0] < until:
            self._numbers.difference_update(self._batches.popleft()[1])

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)
