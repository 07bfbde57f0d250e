"""Which traces the marks belong to, where tracing is on: read just before the marks are acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from syncline.errors import SourceError
from syncline.journal import acknowledge
from syncline.model.mark import Mark
from syncline.ports import Traced
from syncline.postgres.connection import Connection, translated
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.sql import blocks


def _sql(name: str) -> str:
    return blocks("tracing.sql")[name]


async def turn_on(connection: Connection) -> None:
    """Have transactions' traces remembered. Idempotent.

    Raises:
        SourceError: CockroachDB has no transaction ids to remember them by; or a transaction that writes has been
            open for too long.

    """
    if on_cockroach(connection):
        raise SourceError("tracing needs PostgreSQL's transaction ids", hint="on CockroachDB it cannot be had")
    await _change(connection, "on")


async def turn_off(connection: Connection) -> None:
    """Remove what ``turn_on`` made. Idempotent.

    Raises:
        SourceError: a transaction that writes has been open for too long.

    """
    await _change(connection, "off")


async def _change(connection: Connection, block: str) -> None:
    """Change the outbox, and let no writer wait for long while its lock cannot be taken."""
    try:
        with translated():
            async with connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                await connection.execute(_sql(block))
    except SourceError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise SourceError(
                "the outbox is locked by a transaction that writes", hint="try again when no long one is open"
            ) from error
        raise


async def is_on(connection: Connection) -> bool:
    """Tell whether traces are remembered."""
    with translated():
        row = await (await connection.execute(_sql("is_on"))).fetchone()
    return bool(row and row[0])


async def traced(connection: Connection, marks: Sequence[Mark]) -> list[Traced]:
    """Find the traces of marks, at most a hundred."""
    values = acknowledge.numbers(marks)
    with translated():
        cursor = await connection.execute(_sql("traced"), values)
        return [Traced(*row) for row in await cursor.fetchall()]


async def forget_old(connection: Connection) -> None:
    """Remove traces that are older than an hour, delivered or not."""
    with translated():
        await connection.execute(_sql("forget_traces"))
