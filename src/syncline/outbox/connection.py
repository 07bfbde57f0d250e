"""Connections to the source: settings pinned, errors translated, identity known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from syncline.errors import NotInstalledError, PrivilegeError, SourceError, SourceUnavailableError
from syncline.outbox.dialect import dialect_of, on_cockroach, refuse_hidden, statements
from syncline.outbox.retrying import RetryingCursor

Connection = psycopg.AsyncConnection[TupleRow]

_SESSION = """
SELECT version(), set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, MDY', false),
       set_config('intervalstyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
       set_config('extra_float_digits', '1', false), set_config('row_security', 'off', false),
       set_config('synchronous_commit', 'on', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('statement_timeout', '60s', false), set_config('idle_in_transaction_session_timeout', '60s', false),
       set_config('lc_monetary', 'C', false), set_config('xmloption', 'content', false), set_config('jit', 'off', false)
"""
# Only what CockroachDB documents among its session variables. SERIALIZABLE whatever the role's default is: there the
# acknowledgement is right without locks (FOR SHARE takes none by default), and cluster_logical_timestamp() is allowed.
_COCKROACH_SESSION = """
SELECT version(), set_config('timezone', 'UTC', false), set_config('datestyle', 'ISO, MDY', false),
       set_config('intervalstyle', 'iso_8601', false), set_config('bytea_output', 'hex', false),
       set_config('extra_float_digits', '1', false), set_config('default_transaction_isolation', 'serializable', false),
       set_config('statement_timeout', '60s', false), set_config('idle_in_transaction_session_timeout', '60s', false)
"""
# A keyed read of a table whose statistics are old must not become a scan of it.
_KEYED = """
SELECT set_config('enable_seqscan', 'off', false), set_config('enable_sort', 'off', false),
       set_config('enable_hashjoin', 'off', false), set_config('enable_mergejoin', 'off', false)
"""


_OURS = re.compile(r'"syncline[".]')


@dataclass(frozen=True, slots=True)
class Identity:
    """Which server a connection leads to; another answer after a reconnect means: not the server that we knew."""

    system: str
    timeline: str
    started: str


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise PrivilegeError(f"PostgreSQL: {first_line(error)}", hint="grant it, or run as the owner") from error
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        message = first_line(error)
        if not _OURS.search(message):
            raise SourceError(f"PostgreSQL: {message}") from error
        raise NotInstalledError(
            f"Syncline's tables are gone ({message})", hint="was it uninstalled? `syncline install` puts it back"
        ) from error
    except psycopg.errors.LockNotAvailable as error:  # somebody alters the table: its entity waits, not the others
        raise SourceError(f"PostgreSQL: {first_line(error)}") from error
    except (
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.StatementTooComplex,
        psycopg.errors.TooManyColumns,
        psycopg.errors.TooManyArguments,
    ) as error:  # operational to the driver, but a value that is too large is so tomorrow, too
        raise SourceError(f"PostgreSQL: {first_line(error)}") from error
    except psycopg.errors.QueryCanceled as error:
        raise SourceUnavailableError(f"PostgreSQL: {first_line(error)}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise SourceUnavailableError(f"PostgreSQL: {first_line(error)}") from error
    except psycopg.Error as error:
        raise SourceError(f"PostgreSQL: {first_line(error)}") from error


async def connect(
    url: str, *, keyed: bool = False, application: str = "syncline", timeout_seconds: int = 5
) -> Connection:
    """Open a connection in autocommit mode with everything pinned that could change what a value looks like.

    Args:
        url: a libpq connection string.
        keyed: forbid plans that scan whole tables.
        application: name shown in ``pg_stat_activity``.
        timeout_seconds: limit for establishing the connection.

    Raises:
        SourceUnavailableError: no server answers, or it does not let us in.

    """
    with translated():
        connection = await psycopg.AsyncConnection.connect(
            url,
            autocommit=True,
            application_name=application,
            connect_timeout=timeout_seconds,
            client_encoding="utf8",
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            tcp_user_timeout=10_000,
        )
        try:
            if on_cockroach(connection):
                connection.cursor_factory = RetryingCursor
            row = await (
                await connection.execute(_COCKROACH_SESSION if on_cockroach(connection) else _SESSION)
            ).fetchone()
            refuse_hidden(str(row[0]) if row else "", dialect_of(connection))
            if keyed and not on_cockroach(connection):
                await connection.execute(_KEYED)
        except BaseException:
            await connection.close()
            raise
    return connection


async def identify(connection: Connection) -> Identity:
    """Ask the server who it is.

    Raises:
        SourceUnavailableError: it is a standby; states must come from the primary.

    """
    queries = statements("queries.sql", dialect_of(connection))
    with translated():
        try:
            row = await (await connection.execute(queries["identity"])).fetchone()
        except psycopg.errors.Error:
            if not on_cockroach(connection) or connection.broken:
                raise
            row = await (await connection.execute(queries["identity_noted"])).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    system, timeline, started, standby = row
    if standby:
        raise SourceUnavailableError(  # after a failover the address may lead here for a while
            "this PostgreSQL is a standby; Syncline reads states from the primary only",
            hint="point the source URL at the primary (libpq: target_session_attrs=read-write)",
        )
    return Identity(system, timeline, started)


async def fetch_one(connection: Connection, query: str, values: Any = None) -> TupleRow:
    """Run a statement that gives one row."""
    with translated():
        row = await (await connection.execute(query, values)).fetchone()
    if row is None:
        raise SourceError("Syncline's tables are empty", hint="run: syncline install")
    return row


def first_line(error: BaseException) -> str:
    """Shorten a driver's message to its first line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
