"""Reaching the two databases with a deadline of their own, and saying plainly why one could not be reached."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from syncline.config import SourceSettings, redact
from syncline.errors import PoolerError, SourceUnavailableError, SynclineError, UnsuitableSourceError
from syncline.journal.registry import require_installed, schema_version
from syncline.model.link import entered
from syncline.ports import Target
from syncline.postgres.connection import Connection, connect, translated
from syncline.postgres.dialect import Dialect, dialect_of, statements
from syncline.postgres.sql import blocks
from syncline.postgres.unreachable import unreachable

DEADLINE = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """Whether a database can be reached, and how fast."""

    connected: bool
    latency_ms: float | None = None
    version: str | None = None
    error: str | None = None
    details: Mapping[str, Any] | None = None

    @property
    def word(self) -> str:
        """``connected`` or ``disconnected``."""
        return "connected" if self.connected else "disconnected"

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {"state": self.word, "latencyMs": self.latency_ms, "version": self.version, "error": self.error}


@asynccontextmanager
async def source(settings: SourceSettings, *, purpose: str, installed: bool = True) -> AsyncIterator[Connection]:
    """Open a connection to the source for one command, which works for the source's link within the block.

    Args:
        settings: where it is, and how long to wait for a connection.
        purpose: shown as ``syncline PURPOSE`` in ``pg_stat_activity``.
        installed: require Syncline's tables in this package's version.

    Raises:
        SourceUnavailableError: it cannot be reached; the hint says what to look at.
        PoolerError: a pooler is in the way.
        UnsuitableSourceError: the server is too old.
        NotInstalledError, VersionError: Syncline's tables are missing or of another version.

    """
    seconds = settings.connect_timeout.total_seconds()
    try:
        connection = await connect(settings.url, application=f"syncline {purpose}", timeout_seconds=seconds)
    except (PoolerError, UnsuitableSourceError, SourceUnavailableError):
        raise
    except SynclineError as error:
        raise unreachable(settings.url, error) from error
    try:
        with entered(settings.link):
            if installed:
                await check_installed(connection)
            yield connection
    finally:
        await connection.close()


async def check_installed(connection: Connection) -> None:
    """See that our tables are there, of this package's version.

    Raises:
        NotInstalledError, VersionError: they are not.

    """
    with translated():
        await require_installed(connection, await schema_version(connection))


async def rows(connection: Connection, block: str, /, **values: Any) -> list[dict[str, Any]]:
    """Run a named statement of ``queries.sql``; return its rows by column name."""
    return await query(connection, blocks("queries.sql", __package__ or "")[block], values)


async def query(
    connection: Connection, statement: str | sql.Composable, values: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a statement; return its rows by column name. Without ``values`` a ``%`` in it stands for itself."""
    with translated():
        async with connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(statement, values)  # type: ignore[arg-type]  # our own files
            return await cursor.fetchall() if cursor.description else []


async def one(connection: Connection, block: str, /, **values: Any) -> dict[str, Any]:
    """Run a named statement that has one row."""
    return (await rows(connection, block, **values))[0]


async def ping_target(target: Target, *, deadline: timedelta = DEADLINE) -> DatabaseState:
    """Ask the target who it is; never raises what the target can cause."""
    started = time.perf_counter()
    try:
        async with asyncio.timeout(deadline.total_seconds()):
            facts = await target.ping()
    except TimeoutError:
        return DatabaseState(connected=False, error=f"no answer within {deadline.total_seconds():g} s")
    except SynclineError as error:
        return DatabaseState(connected=False, error=redact(error.message))
    latency = round((time.perf_counter() - started) * 1000, 1)
    return DatabaseState(True, latency, str(facts.get("version", "")) or None, details=facts)


async def ping_source(connection: Connection) -> DatabaseState:
    """Measure a round trip to the source."""
    started = time.perf_counter()
    version, standby = (
        await (await connection.execute(blocks("queries.sql", __package__ or "")["server"])).fetchall()
    )[0]
    latency = round((time.perf_counter() - started) * 1000, 1)
    details = {"standby": standby, "dialect": dialect_of(connection).value}
    return DatabaseState(True, latency, str(version).split(" ")[0], details=details)


async def system_of(connection: Connection) -> str:
    """Say which database of which running server this is; empty: it does not tell (a CockroachDB)."""
    if dialect_of(connection) is Dialect.COCKROACHDB:
        return ""
    found = await query(connection, statements("queries.sql", Dialect.POSTGRESQL)["identity"])
    return f"{found[0]['system']} {found[0]['started']}"


def name_of(state: DatabaseState, configured: str) -> str:
    """Name the source as it is configured; CockroachDB goes by its own name where nobody chose one."""
    dialect = (state.details or {}).get("dialect", configured)
    return str(dialect) if configured == Dialect.POSTGRESQL.value else configured


def names(items: Sequence[object]) -> str:
    """List some things in a sentence, the first ten."""
    shown = ", ".join(str(item) for item in items[:10])
    return f"{shown} and {len(items) - 10} more" if len(items) > 10 else shown
