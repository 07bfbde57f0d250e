"""Carrying a plan out in PostgreSQL: one table at a time, so that no writer ever waits long, whatever others hold.

A lock that is asked for makes writers queue behind the one who asks. So a table's transaction waits for each lock only
briefly, and is cut off as a whole when it has taken too long; then the table is let go, others have their turn, and it
is tried again. All statements of a transaction are one message: no round trip lies between lock and commit.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from syncline.capture.postgres.composing import dollar_quoted
from syncline.capture.postgres.install_plan import InstallPlan, Step
from syncline.capture.postgres.state import read
from syncline.errors import OvertakenError, PartlyDoneError, SourceError
from syncline.model.link import current
from syncline.postgres.connection import first_line, translated

HOLDS = 2.5
"""An attempt takes at most so many lock timeouts in all."""
PAUSE_SECONDS = (0.3, 0.9)
"""Between two rounds; drawn by lot, so that nobody's rhythm is met again and again."""
ARMED_TOGETHER = 25
CHUNK = 100
"""Statements of one message."""

_INSTALL_LOCK = (1398361667, 2)
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled, psycopg.errors.DeadlockDetected)
_TAKEN = (
    psycopg.errors.DuplicateColumn,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateSchema,
    psycopg.errors.DuplicateTable,
    psycopg.errors.UniqueViolation,
    psycopg.errors.UndefinedObject,
)
"""What comes of a plan that was made before somebody else's installation."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who has a lock that an installation waits for."""

    table: str
    pid: int
    role: str
    application: str
    kind: str
    """``client backend``, ``autovacuum worker`` …"""
    state: str
    since: datetime | None
    """When its transaction began."""

    def __str__(self) -> str:
        who = self.application or self.role or self.kind
        began = f" since {self.since:%Y-%m-%d %H:%M:%S %Z}" if self.since else ""
        return f"pid {self.pid} ({who}, {self.state or self.kind}{began}) holds {self.table}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A table whose lock could not be taken."""

    table: str
    entities: tuple[str, ...]
    """Those that are not armed for it."""
    holders: tuple[Holder, ...]
    """Who had it at the last attempt."""

    def __str__(self) -> str:
        who = "; ".join(map(str, self.holders)) or "its holder has finished meanwhile"
        return f"{self.table}: {who}"

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        holders = [
            {
                "table": one.table,
                "pid": one.pid,
                "application": one.application,
                "role": one.role,
                "state": one.state or one.kind,
                "since": one.since.isoformat() if one.since else None,
            }
            for one in self.holders
        ]
        return {"table": self.table, "entities": list(self.entities), "holders": holders}


async def carry_out(
    conn: AsyncConnection[Any], plan: InstallPlan, *, lock_timeout: timedelta, patience: timedelta, command: str
) -> None:
    """Do what a plan says.

    Raises:
        PartlyDoneError: tables were locked by others until the patience was over.
        SourceError: somebody else installed meanwhile, or a statement failed; what was done before stays.
        PrivilegeError: the role lacks a privilege.

    """
    until = time.monotonic() + patience.total_seconds()
    run = _Run(conn, plan, lock_timeout)
    for statements in (plan.statements, plan.rows):
        await run.patiently(statements, until)
    waiting = await run.tables(until)
    if waiting:
        raise PartlyDoneError(waiting, command=command)
    await run.patiently(plan.last, until)


def prologue(lock_timeout: timedelta, *, hold: bool = True, holds: float = HOLDS) -> list[sql.Composed]:
    """Compose what stands before the statements of each transaction.

    Args:
        lock_timeout: how long it waits for a lock.
        hold: each statement is bounded as a whole, too.
        holds: by so many lock timeouts.

    """
    milliseconds = lock_timeout.total_seconds() * 1000
    limits = [("lock_timeout", milliseconds), ("statement_timeout", holds * milliseconds if hold else 0)]
    # Else our own event trigger would say that a trigger is missing.
    ours = sql.Identifier(f"{current().schema}.installing")
    return [
        sql.SQL("/* syncline */ SET LOCAL search_path = pg_catalog, pg_temp").format(),
        sql.SQL("/* syncline */ SET LOCAL {} = 'on'").format(ours),
        *(
            sql.SQL("/* syncline */ SET LOCAL {} = {}").format(sql.Identifier(name), sql.Literal(f"{int(value)}ms"))
            for name, value in limits
        ),
        sql.SQL("/* syncline */ SELECT pg_advisory_xact_lock({}, {})").format(*map(sql.Literal, _INSTALL_LOCK)),
    ]


class _Run:
    """One installation under way."""

    def __init__(self, conn: AsyncConnection[Any], plan: InstallPlan, lock_timeout: timedelta) -> None:
        self._conn = conn
        self._plan = plan
        self._lock_timeout = lock_timeout
        self._left = dict.fromkeys(plan.arming, 0)
        for step in plan.steps.values():
            for entity in step.entities:
                self._left[entity] = self._left.get(entity, 0) + 1
        self._ready = [entity for entity, count in self._left.items() if not count]

    async def tables(self, until: float) -> list[Waiting]:
        """Do the tables in rounds, each once a round; return those that still wait when the time is over."""
        waiting = list(self._plan.steps.values())
        while True:
            waiting, blocked = await self._round(waiting, until)
            await self._arm(until)
            if not waiting or time.monotonic() > until:
                return blocked
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311  no secret

    async def _round(self, steps: Sequence[Step], until: float) -> tuple[list[Step], list[Waiting]]:
        failed, blocked = [], []
        for step in steps:
            holders = await self._attempt(step)
            if holders is not None:
                failed.append(step)
                names = tuple(self._plan.names[one] for one in sorted(step.entities) if one in self._plan.names)
                blocked.append(Waiting(str(step.table), names, holders))
                continue
            for entity in step.entities:
                self._left[entity] -= 1
                if not self._left[entity]:
                    self._ready.append(entity)
            if len(self._ready) >= ARMED_TOGETHER:
                await self._arm(until)
        return failed, blocked

    async def _attempt(self, step: Step) -> tuple[Holder, ...] | None:
        """Do what is to be done to a table; return who is in the way, ``None`` when it is done."""
        statements = [*prologue(self._lock_timeout), _as_one(step.statements)]
        with translated():
            try:
                await self._send(statements)
            except _BUSY:
                return await self._holders(self._plan.tables.get(step.table, []))
        return None

    async def _holders(self, tables: Sequence[int] = ()) -> tuple[Holder, ...]:
        """Read who has locks on these tables, or the one that installations have in turn."""
        found = await read(self._conn, "blockers", {"tables": list(tables)})
        return tuple(Holder(**row) for row in found)

    async def _arm(self, until: float) -> None:
        """Arm, in one transaction, the entities whose tables have been done."""
        ready, self._ready = self._ready, []
        await self.patiently([statement for one in ready for statement in self._plan.arming.get(one, ())], until)

    async def patiently(self, statements: Sequence[sql.Composed], until: float) -> None:
        """Carry out statements on our own tables, in one transaction, again and again until its locks are taken.

        Raises:
            SourceError: they were not.

        """
        while statements:
            with translated():
                try:
                    async with self._conn.transaction():
                        for part in _chunks([*prologue(self._lock_timeout, hold=False), *statements]):
                            await self._send(part)
                except _BUSY as error:
                    if time.monotonic() > until:
                        who = "".join(f"; {holder}" for holder in await self._holders())
                        raise SourceError(
                            f"a lock on Syncline's own tables could not be taken: {first_line(error)}{who}",
                            hint="run it again, it goes on from here; end long transactions first",
                        ) from error
                else:
                    return
            await asyncio.sleep(random.uniform(*PAUSE_SECONDS))  # noqa: S311  no secret

    async def _send(self, statements: Sequence[sql.Composed]) -> None:
        """Send statements as one message, which is a transaction of its own unless one is open."""
        await self._conn.execute(sql.SQL(";\n").join(statements))


def _as_one(statements: Sequence[sql.Composed]) -> sql.Composed:
    """Make one statement of several: the limit of a statement then holds for all of them together."""
    body = "BEGIN\n" + "".join(text + ";\n" for text in texts(statements)) + "END"
    return sql.SQL("/* syncline */ DO {}").format(dollar_quoted(body))


def texts(statements: Iterable[sql.Composed]) -> list[str]:
    """Write statements out, without the semicolon at their end."""
    return [statement.as_string(None).strip().removesuffix(";") for statement in statements]


def _chunks(statements: Sequence[sql.Composed]) -> Iterable[Sequence[sql.Composed]]:
    return (statements[place : place + CHUNK] for place in range(0, len(statements), CHUNK))


@contextmanager
def overtaken() -> Iterator[None]:
    """Tell errors that come of somebody else's installation."""
    try:
        yield
    except SourceError as error:
        if isinstance(error.__cause__, _TAKEN):
            raise OvertakenError(error.message) from error
        raise
