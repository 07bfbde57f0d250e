"""Finding out whose session a connection has got: ours alone, or one that a pooler lends to many.

Whatever is set on a session of a pooler in transaction mode is met by the application. So nothing is set before this is
known, and where it cannot be found out the session is taken for a lent one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import psycopg

from syncline.errors import PoolerError
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.lent import DIRECT, Pooling, SourceConnection, refusal

ROUNDS = 12
"""So often two connections take turns."""
WAIT_SECONDS = 3.0
"""Limit for all rounds: a pool may have no session left for a second connection."""
SLACK_SECONDS = 2.0
"""How much older than our connection its session may seem to be: two clocks that run at different speeds."""

Open = Callable[[], Awaitable[SourceConnection]]
_PID = "SELECT pg_catalog.pg_backend_pid()"
_SESSION = """
SELECT version(), pg_catalog.pg_backend_pid(),
       (SELECT extract(epoch FROM clock_timestamp() - backend_start)::float8
        FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
"""
# The view joins tables, and planning that waits for whoever holds a lock on the catalog: none can then connect.
_COCKROACH_SESSION = """
SELECT version(), pg_catalog.pg_backend_pid(),
       (SELECT extract(epoch FROM clock_timestamp() - backend_start)::float8
        FROM pg_catalog.pg_stat_activity WHERE pid = pg_catalog.pg_backend_pid())
"""


async def examine(connection: SourceConnection, opened: float) -> tuple[str, Pooling | None]:
    """Ask a new connection whose session it has got; nothing is set.

    A server's own process number is what it greets with; a pooler makes one up. One that passes on its server's gives
    itself away when that session is older than the connection.

    Args:
        connection: just opened.
        opened: ``time.monotonic()`` before it was.

    Returns:
        What ``version()`` says, and ``Pooling.NONE`` or, where there is a pooler, ``None``: see ``mode_of``.

    """
    query = _COCKROACH_SESSION if on_cockroach(connection) else _SESSION
    row = await (await connection.execute(query)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    version, pid, seconds = row
    young = seconds is None or seconds <= time.monotonic() - opened + SLACK_SECONDS
    return str(version), Pooling.NONE if young and pid == connection.info.backend_pid else None


async def mode_of(first: SourceConnection, another: Open) -> Pooling:
    """See in which mode a pooler lends its sessions, by a second connection that takes turns with the first.

    A session that both meet, or that one of them does not find again, is lent for a transaction. What cannot be found
    out in time counts as that, too: it is the mode in which less is safe.
    """
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            second = await another()
        return Pooling.TRANSACTION if await _share(first, second) else Pooling.SESSION
    except (TimeoutError, psycopg.Error) as error:
        refused = isinstance(error, psycopg.Error) and isinstance(refusal(error), PoolerError)
        return Pooling.STATEMENT if refused else Pooling.TRANSACTION


async def _share(first: SourceConnection, second: SourceConnection) -> bool:
    turns = asyncio.ensure_future(_take_turns(first, second))
    try:
        await asyncio.wait({turns}, timeout=WAIT_SECONDS)
    finally:
        await (
            second.close()
        )  # first: what waits on an open connection would have the server cancel it, and wait for that
        if not turns.done():
            turns.cancel()
            await asyncio.wait({turns}, timeout=WAIT_SECONDS)
    return turns.cancelled() or turns.result()


async def _take_turns(first: SourceConnection, second: SourceConnection) -> bool:
    """See whether two connections share a session, or one of them changes its own.

    Each asks right after the other one, so that a pooler which lends its last session first gives both the same. Others
    may take that one in between, for once; not each time.
    """
    async with second.transaction():  # a pooler in statement mode refuses it
        theirs = await _pid(second)
    mine = await _pid(first)
    for _ in range(ROUNDS):
        if mine == theirs or await _pid(first) != mine or await _pid(second) != theirs:
            return True
    return False


async def _pid(connection: SourceConnection) -> int:
    row = await (await connection.execute(_PID)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    return int(row[0])


def refuse(pooling: Pooling, *, cockroachdb: bool) -> None:
    """Refuse a mode in which our work cannot be done.

    Raises:
        PoolerError: it names the pooler and the way past it.

    """
    if pooling is Pooling.STATEMENT:
        raise PoolerError(
            "the source URL leads through a pooler in statement mode, which allows no transactions", hint=DIRECT
        )
    if pooling is Pooling.TRANSACTION and cockroachdb:
        raise PoolerError(
            "the source URL leads to CockroachDB through a pooler in transaction mode: no statement can be retried",
            hint=DIRECT,
        )
