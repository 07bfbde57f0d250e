"""Connections to the source: settings pinned, errors translated, identity known."""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from syncline.config.urls import without_pooler
from syncline.errors import NotInstalledError, PrivilegeError, SourceError, SourceUnavailableError, TableLockedError
from syncline.model.link import current
from syncline.ports import Identity
from syncline.postgres import pins, poolers
from syncline.postgres.bounded import SOURCE_SILENT_SECONDS, bounded
from syncline.postgres.dialect import dialect_of, on_cockroach, refuse_hidden, refuse_old, statements
from syncline.postgres.lent import Pooling, SourceConnection
from syncline.postgres.retrying import RetryingCursor
from syncline.postgres.unreachable import unreachable

Connection = psycopg.AsyncConnection[TupleRow]
NOTHING: Mapping[str, str] = MappingProxyType({})

PREPARED_AFTER = 5
"""Executions after which a statement is prepared, on a session that is ours."""
_OURS = re.compile(r'"syncline(?:_[a-z0-9_]+)?[".]')


_STRUCTURE = ("08", "0A", "25", "26", "3D", "3F", "42", "53", "55", "57", "58")
"""Classes of SQLSTATE that are about connections, tables, privileges and resources. The others are about a row."""


def is_of_rows(error: BaseException | None) -> bool:
    """Tell whether a statement failed for what it read, not for what it is."""
    state: str | None = getattr(error, "sqlstate", None)
    return state is not None and not state.startswith(_STRUCTURE)


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
        raise TableLockedError(f"PostgreSQL: {first_line(error)}") from error
    except (
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.StatementTooComplex,
        psycopg.errors.TooManyColumns,
        psycopg.errors.TooManyArguments,
    ) as error:  # operational to the driver, but a value that is too large is so tomorrow, too
        raise _refused(error) from error
    except psycopg.errors.QueryCanceled as error:
        raise SourceUnavailableError(f"PostgreSQL: {first_line(error)}") from error
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.errors.ReadOnlySqlTransaction) as error:
        raise SourceUnavailableError(f"PostgreSQL: {first_line(error)}") from error
    except psycopg.Error as error:
        raise _refused(error) from error


def _refused(error: psycopg.Error) -> SourceError:
    refused = SourceError(f"PostgreSQL: {first_line(error)}")
    state = error.sqlstate or ""
    refused.of_records = is_of_rows(error)
    refused.of_our_tables = isinstance(error, psycopg.IntegrityError) and error.diag.schema_name == current().schema
    refused.internal, refused.unsayable = state.startswith("XX"), state == "22P05"
    return refused


async def connect(
    url: str,
    *,
    keyed: bool = False,
    application: str = "syncline",
    timeout_seconds: float = 5,
    settings: Mapping[str, str] = NOTHING,
) -> SourceConnection:
    """Open a connection in autocommit mode with everything pinned that could change what a value looks like.

    On a session that is ours alone it is pinned for good, elsewhere (a pooler in transaction mode) in each transaction.

    Args:
        url: a libpq connection string; it may say ``pgbouncer=true``.
        keyed: forbid plans that scan whole tables.
        application: name shown in ``pg_stat_activity``.
        timeout_seconds: limit for establishing the connection; libpq knows whole seconds, 1 at least.
        settings: more settings to pin, on PostgreSQL.

    Raises:
        SourceUnavailableError: no server answers, or it does not let us in.
        PoolerError: a pooler is in the way.
        UnsuitableSourceError: the server is too old.

    """
    address, declared = without_pooler(url)

    def opened() -> Awaitable[SourceConnection]:
        return _opened(address, application, max(1, round(timeout_seconds)))

    with _named(url), translated():
        began = time.monotonic()
        connection = await opened()
        try:
            version, found = await poolers.examine(connection, began)
            refuse_hidden(version, dialect_of(connection))
            if not on_cockroach(connection):
                refuse_old(connection.info.server_version)
            pooling = Pooling.TRANSACTION if declared else found or await poolers.mode_of(connection, opened)
            poolers.refuse(pooling, cockroachdb=on_cockroach(connection))
            await _settle(connection, pooling, settings, keyed=keyed)
        except BaseException:
            await connection.close()
            raise
    return connection


@contextmanager
def _named(url: str) -> Iterator[None]:
    """Say of which server it is, and what to look at."""
    try:
        yield
    except SourceUnavailableError as error:
        raise unreachable(url, error) from error


async def _opened(address: str, application: str, timeout_seconds: int) -> SourceConnection:
    """Open a connection on which nothing is set or prepared."""
    return await SourceConnection.connect(
        address, **bounded(application, connect_seconds=timeout_seconds, silent_seconds=SOURCE_SILENT_SECONDS)
    )


async def _settle(connection: SourceConnection, pooling: Pooling, settings: Mapping[str, str], *, keyed: bool) -> None:
    """Pin the settings: for good where the session is ours, else in each transaction."""
    connection.pooling = pooling
    if on_cockroach(connection):
        connection.cursor_factory = RetryingCursor
        wanted = dict(pins.COCKROACHDB)
    else:
        wanted = pins.on_postgresql(connection.info.server_version, settings, keyed=keyed)
    if pooling is Pooling.TRANSACTION:
        connection.lend(wanted)
        return
    connection.prepare_threshold = PREPARED_AFTER
    await connection.execute(pins.statement(wanted, local=False))


def is_lent(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether each transaction may meet another session: no wake-ups, no locks of a session."""
    return isinstance(connection, SourceConnection) and connection.lent


async def look_again(connection: psycopg.AsyncConnection[Any], url: str) -> Pooling:
    """Look for a pooler by two connections that take turns, also where the first look has found none.

    Raises:
        SourceUnavailableError: the source cannot be reached.

    """
    if not isinstance(connection, SourceConnection):
        return Pooling.NONE
    if connection.pooling is not Pooling.NONE:
        return connection.pooling
    with translated():
        found = await poolers.mode_of(connection, lambda: _opened(without_pooler(url)[0], "syncline doctor", 5))
    return Pooling.NONE if found is Pooling.SESSION else found


async def begin(connection: psycopg.AsyncConnection[Any], statement: sql.SQL | sql.Composed) -> None:
    """Begin a transaction by a statement of one's own, with everything pinned as ``connect`` promises."""
    await (connection.begin(statement) if isinstance(connection, SourceConnection) else connection.execute(statement))


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


def encoding_of(connection: Connection) -> str | None:
    """Name Python's codec for a database that has not every character; ASCII stands for an unknown one."""
    name = connection.info.parameter_status("server_encoding") or "UTF8"
    if name == "UTF8":
        return None
    try:
        return codecs.lookup(re.sub("^WIN", "cp", name)).name
    except LookupError:
        return "ascii"


def sayable(connection: Connection, text: str) -> str:
    """Give a message a form that the source can store, whatever its encoding: what came from elsewhere is spelt out."""
    codec = "utf-8" if encoding_of(connection) is None else "ascii"
    return text.replace("\0", "").encode(codec, "backslashreplace").decode("utf-8")
