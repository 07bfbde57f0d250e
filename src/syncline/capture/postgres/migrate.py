"""Our schema's migrations in the plan, and how they are carried out: step by step, each for a moment only."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import tuple_row

from syncline.capture.postgres.install_plan import InstallPlan
from syncline.errors import SourceError
from syncline.journal.migration import EACH, SCHEMA_VERSION, Migration, SchemaVersion, migrations, pending
from syncline.postgres.connection import translated
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import blocks

LOCK_TIMEOUT = timedelta(milliseconds=200)
"""How long one attempt may make others wait behind it."""
HOLDS = 2.5
"""And takes at most so many of these in all."""
PATIENCE = timedelta(seconds=60)
PAUSE_SECONDS = 0.3
OUTSIDE = timedelta(seconds=60)
"""How long a statement may take that stands outside of a transaction; nobody waits behind it."""


class Each(sql.Composed):
    """A query whose rows are statements, each to be run by itself: what ``CONCURRENTLY`` needs."""


def plan_migrations(plan: InstallPlan, version: SchemaVersion, dialect: Dialect, *, finish: bool) -> None:
    """Add the migrations that the database lacks; with ``finish`` also what ends the previous release's time."""
    for migration in pending(dialect, version.missing):
        plan.migrations += _statements(migration, together=dialect is Dialect.POSTGRESQL)
        plan.summary.append(f"migrate syncline's tables: {migration.title}")
    if plan.migrations and dialect is Dialect.POSTGRESQL:
        plan.migrations.append(grants_of_roles())
    if version.oldest >= SCHEMA_VERSION:
        return
    if not finish:
        plan.warnings.append(
            "the previous release of Syncline still works here; when nothing of it runs any more: "
            "`syncline install --finish`"
        )
        return
    for migration in migrations(dialect, finish=True):
        if version.oldest < migration.number:
            plan.migrations += [_step(step) for step in migration.steps]
    plan.migrations.append(sql.SQL(_block("finish")).format(version=sql.Literal(SCHEMA_VERSION)))
    if dialect is Dialect.POSTGRESQL:
        plan.migrations.append(_trusted(_block("end_sessions")))
    plan.summary.append(f"end the previous release's time here: schema version {SCHEMA_VERSION}")


def grants_of_roles() -> sql.Composed:
    """Compose what lets those who work with our tables work with the new ones too."""
    return _trusted(_block("grants"))


def record_all() -> sql.Composed:
    """Compose the note that a new schema needs no migration."""
    known = [(one.number, one.name) for one in migrations(Dialect.POSTGRESQL)]
    rows = sql.SQL(", ").join(
        sql.SQL("({}, {})").format(sql.Literal(number), sql.Literal(name)) for number, name in known
    )
    return sql.SQL(_block("record")).format(rows=rows)


async def migrate(
    conn: AsyncConnection[Any],
    steps: Sequence[sql.Composed],
    prologue: Callable[[timedelta, float], Iterable[sql.Composed]],
) -> None:
    """Carry the steps out, each in a transaction of its own that waits for a lock only briefly, and again.

    As a whole it takes no more than ``HOLDS`` of these times either. Where the server is too slow for that, the next
    attempt may take twice as long.

    Raises:
        SourceError: a lock could not be taken for a minute; what was done stays, and the next run goes on from there.

    """
    for step in steps:
        if isinstance(step, Each):
            await _patiently(lambda _, step=step: _each(conn, step))  # type: ignore[misc]
            continue
        await _patiently(lambda holds, step=step: _one(conn, [*prologue(LOCK_TIMEOUT, holds), step]))  # type: ignore[misc]


async def _one(conn: AsyncConnection[Any], statements: Iterable[sql.Composed]) -> None:
    """Send a step as one message, which is a transaction: no round trip lies between its locks and its commit."""
    with translated():
        await conn.execute(sql.SQL(";\n").join(statements))


async def _each(conn: AsyncConnection[Any], query: Each) -> None:
    """Run what a query says, statement by statement; nobody waits behind them, but they may have to wait for others.

    No setting limits that: it would be the session's, which is not ours behind a pooler.
    """
    with translated():
        found = await conn.cursor(row_factory=tuple_row).execute(query)
        for (statement,) in await found.fetchall():
            try:
                await asyncio.wait_for(conn.execute(statement), OUTSIDE.total_seconds())
            except TimeoutError as error:
                raise SourceError(
                    f"this did not end within {OUTSIDE.total_seconds():.0f} s: {statement}",
                    hint="`syncline install` goes on from here; end transactions that have been open for long first",
                ) from error


async def _patiently(act: Callable[[float], Awaitable[None]]) -> None:
    until = time.monotonic() + PATIENCE.total_seconds()
    holds = HOLDS
    while True:
        try:
            return await act(holds)
        except SourceError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                holds *= 2
            elif not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                raise
            if time.monotonic() > until:
                raise SourceError(
                    f"a lock could not be taken for {PATIENCE.total_seconds():.0f} s: {error.message}",
                    hint="`syncline install` goes on from here; end the long transaction first",
                ) from error
        await asyncio.sleep(PAUSE_SECONDS)


def _statements(migration: Migration, *, together: bool) -> list[sql.Composed]:
    """Compose its steps and then the note that it is done, in the last one's transaction where that can be."""
    row = sql.SQL("({}, {})").format(sql.Literal(migration.number), sql.Literal(migration.name))
    steps = [_step(step.removesuffix(";")) for step in migration.steps]
    steps.append(sql.SQL(_block("record")).format(rows=row))
    return [*steps[:-2], sql.SQL(";\n").join(steps[-2:])] if together else steps


def _block(name: str) -> Any:
    return blocks("migrate.sql", "syncline.capture.postgres")[name]


def _step(text: str) -> sql.Composed:
    return Each([sql.SQL(text)]) if text.startswith(EACH) else _trusted(text)  # our own files


def _trusted(text: str) -> sql.Composed:
    return sql.Composed([sql.SQL(text)])  # our own files
