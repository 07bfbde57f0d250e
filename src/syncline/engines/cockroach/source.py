"""A session with a CockroachDB cluster. What it keeps by rule is said in ``past``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any

from syncline.engines.cockroach.past import STALENESS, Past
from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.journal import SqlJournal
from syncline.engines.postgres.lanes import SqlLanes
from syncline.engines.postgres.marks import SqlMarks
from syncline.engines.postgres.source import SqlSource
from syncline.engines.postgres.states import as_of, read_states_within
from syncline.journal import acknowledge
from syncline.journal.named import Statements
from syncline.model.mark import Mark
from syncline.ports import Acknowledgement, Durability, Floor, Identity, Plan, States, Traces
from syncline.postgres.connection import translated
from syncline.postgres.dialect import Dialect, statements

FORGET = 10_000
"""Rows of history that one statement deletes."""


class CockroachRecords:
    """Reads states as of the time at which marks were read last; see ``syncline.ports.Records``."""

    name = "cockroachdb"
    durability: Durability | None = None
    """What is committed there is on a majority of disks."""

    def __init__(self, connections: Connections, past: Past) -> None:
        self._connections = connections
        self._past = past

    async def read(
        self,
        plan: Plan,
        keys: Sequence[str],
        *,
        most_bytes: int | None = None,  # noqa: ARG002
        apart: bool = False,
    ) -> States:
        """Read records; all of them, whatever the bound."""
        with translated():
            async with (
                self._connections.reading_on(apart=apart) as connection,
                as_of(connection, self._past.read_at),
            ):
                return await read_states_within(connection, plan, keys)


class CockroachMarks(SqlMarks):
    """Marks as they were a moment ago; see ``syncline.ports.Marks``. Numbers are not in the order of their commits."""

    traces: Traces | None = None

    def __init__(self, connections: Connections, worker: str, past: Past) -> None:
        super().__init__(connections, worker, Dialect.COCKROACHDB)
        self._past = past

    def floor(self) -> Floor | None:
        """Numbers are not in the order in which they become visible."""
        return None

    async def read_with_states(
        self,
        plan: Plan,  # noqa: ARG002
        *,
        after: int,  # noqa: ARG002
        lanes: int,  # noqa: ARG002
        limit: int,  # noqa: ARG002
        without: Sequence[int] = (),  # noqa: ARG002
    ) -> tuple[list[Mark], States] | None:
        """Leave it: a statement has one time for both, and that is now."""
        return None

    async def read(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        """Read waiting marks as they were a moment ago, without those that this worker has acknowledged since."""
        found: list[Mark] = []
        values: dict[str, Any] = {"after": after, "lanes": lanes, "limit": limit, "except": list(without)}
        ago = f"-{round(STALENESS.total_seconds() * 1000)}ms"
        self._past.acknowledged.forget()
        reader = self._connections.reader
        with translated():
            async with self._connections.reading, as_of(reader, ago), reader.cursor(binary=True) as cursor:
                while True:
                    await cursor.execute(self._queries["read_marks"], values)
                    rows = await cursor.fetchall()
                    if rows and not self._past.advance(Decimal(rows[0][-1])):
                        return []
                    found += [row[:-1] for row in rows if row[0] not in self._past.acknowledged]  # type: ignore[misc]
                    if len(rows) < limit or len(found) >= limit:
                        return found[:limit]
                    values["after"] = rows[-1][0]

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        """Remove marks under the lease; return the lanes that are still held."""
        unpark = ack.unpark
        if unpark and ack.rejected:  # a statement changes a table once
            values = acknowledge.parameters(ack, self._connections.acker) | {"worker": self.worker, "grace": grace}
            await Statements(self._connections.acker, self._queries).run("unpark", **values)
            unpark = False
        held = await self._acknowledge(ack, grace=grace, history=history, unpark=unpark)
        if held >= ack.leases.keys():
            self._past.acknowledged.add([mark[0] for mark in ack.marks])
        return held


class CockroachLanes(SqlLanes):
    """Leases whose time bounds what is read under them."""

    def __init__(self, statements: Statements, worker: str, identity: Identity, past: Past) -> None:
        super().__init__(statements, worker, identity)
        self._past = past

    async def acquire(self, lanes: Sequence[int], *, above: int) -> dict[int, int]:
        """Take free lanes; from now on nothing is read as of an earlier time."""
        rows = await self._acquired(lanes, above)
        for row in rows:
            self._past.bound(Decimal(row[-1]))
        return {lane: epoch for lane, epoch, *_ in rows}


class CockroachJournal(SqlJournal):
    """Its history is one table."""

    async def foreign_rules(self) -> Sequence[str]:
        """Name none: its catalog does not say whose a trigger is."""
        return ()

    async def rotate_history(self, keep: timedelta) -> None:
        """Delete what is older, in small transactions."""
        values: Mapping[str, Any] = {"keep": keep, "limit": FORGET}
        while await self._statements.run("forget_history", **values) == FORGET:
            pass


def cockroach_source(connections: Connections, worker: str) -> SqlSource:
    """Put a session with CockroachDB together; nobody can wake it: no NOTIFY, and advisory locks that lock nothing."""
    past = Past()
    calls = Statements(connections.control, statements("queries.sql", Dialect.COCKROACHDB), worker=worker)
    lanes = CockroachLanes(calls, worker, connections.identity, past)
    return SqlSource(
        connections,
        worker,
        CockroachRecords(connections, past),
        CockroachMarks(connections, worker, past),
        None,
        CockroachJournal(calls, lanes),
    )
