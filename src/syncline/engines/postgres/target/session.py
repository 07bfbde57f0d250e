"""Sessions with an SQL target: ours alone, pinned, and ended by the server soon after their client is gone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.rows import TupleRow

from syncline.engines.postgres.target.gates import gate_that_refused
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.errors import (
    TargetError,
    TargetGateError,
    TargetRefusedError,
    TargetUnavailableError,
    UnsuitableTargetError,
)
from syncline.postgres import pins
from syncline.postgres.bounded import bounded
from syncline.postgres.dialect import OLDEST_POSTGRES, on_cockroach

Connection = psycopg.AsyncConnection[TupleRow]

LIMITS: Mapping[str, str] = MappingProxyType(
    {
        # A batch's transaction holds its lanes: nobody takes them over before it has ended.
        "idle_in_transaction_session_timeout": "2s",
        "client_connection_check_interval": "1s",
        "tcp_keepalives_idle": "2",
        "tcp_keepalives_interval": "1",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "3000",
        # A foreign key's action, or a trigger, sees what it sees for users.
        "session_replication_role": "origin",
    }
)
LATER_SECONDS = 2.0
_DISK_FULL = "53100"
_REFUSED = ("0A", "28", "42", "25006", "3D", "3F", _DISK_FULL)
"""SQLSTATEs of a server that refuses, whatever row it is given: rights, a standby, no database, a full disk; a table, a
column or a type that is gone."""
_UNAVAILABLE = ("08", "40", "53", "55", "57", "58", "25", "XX")
"""Classes that are about the server and other transactions, never about a row."""
_NO_SERVER = "the target does not answer"
_GATE = "a link writes where the gate says so: while the other side accepts the application's writes"


async def connect(
    url: str, *, connect_seconds: int, statement_seconds: float, pooled: bool = False
) -> TargetConnection:
    """Open a session for batches.

    Args:
        url: the server.
        connect_seconds: limit of connecting.
        statement_seconds: limit of a statement.
        pooled: a pooler in transaction mode may stand before the server. Then nothing is set for the session, which
            would be the next client's, but in each transaction; and no statement is prepared.

    Raises:
        TargetUnavailableError: no server answers, or it does not let us in.
        UnsuitableTargetError: it cannot be a target.

    """
    with translated():
        connection = await TargetConnection.connect(
            url,
            **bounded("syncline", connect_seconds=connect_seconds, silent_seconds=statement_seconds, prepared_after=2),
        )
        try:
            if await _require(connection, pooled=pooled):
                await connection.lend(_settings(connection, statement_seconds))
                return connection
            await connection.execute(pins.statement(_settings(connection, statement_seconds), local=False))
        except BaseException:
            await connection.close()
            raise
    return connection


def _settings(connection: Connection, statement_seconds: float) -> Mapping[str, str]:
    limit = f"{int(statement_seconds * 1000)}ms"
    limits = {**LIMITS, "statement_timeout": limit}
    if connection.info.server_version >= pins.FIRST_WITH_TRANSACTION_TIMEOUT:
        # Later than the statement's: that one leaves the session, and says what became of the batch.
        limits["transaction_timeout"] = f"{int((statement_seconds + LATER_SECONDS) * 1000)}ms"
    if not _may_set_role(connection):
        del limits["session_replication_role"]
    return pins.on_postgresql(connection.info.server_version, limits, keyed=False)


def _may_set_role(connection: Connection) -> bool:
    """Tell whether the session may say that it is no replica; one that may not say so is not."""
    return connection.info.parameter_status("is_superuser") == "on"


async def _require(connection: Connection, *, pooled: bool) -> bool:
    """See that the server can be a target; tell whether there is a pooler before it."""
    if on_cockroach(connection):
        raise UnsuitableTargetError(
            "the target is CockroachDB, which has no advisory locks: it cannot keep what Syncline promises",
            hint="a PostgreSQL 14 or newer, or a MongoDB, can be a target",
        )
    major = connection.info.server_version // 10_000
    if major < OLDEST_POSTGRES:
        raise UnsuitableTargetError(
            f"the target is PostgreSQL {major}, and Syncline needs PostgreSQL {OLDEST_POSTGRES} or newer",
            hint="upgrade the server, or point [target] at another one",
        )
    row = await (
        await connection.execute("SELECT pg_catalog.pg_backend_pid(), pg_catalog.pg_is_in_recovery()")
    ).fetchone()
    pid, standby = row or (None, False)
    between = bool(pid != connection.info.backend_pid)
    if between and not pooled:
        raise UnsuitableTargetError(
            "a connection pooler stands before the target, so the server cannot tell when a worker is gone",
            hint="point the URL of [target] at the server itself",
        )
    if standby:
        raise TargetRefusedError(
            "this PostgreSQL is a standby",
            hint="point the URL of [target] at the primary (libpq: target_session_attrs=read-write)",
        )
    return between


@contextmanager
def translated() -> Iterator[None]:
    """Turn psycopg's errors into ours; a statement that failed for a row is a ``TargetError``."""
    try:
        yield
    except psycopg.Error as error:
        raise as_ours(error) from error


def as_ours(error: psycopg.Error) -> TargetError:
    """Say what a driver's error means for the work: try again, ask for help, or it is this statement."""
    state = error.sqlstate or ""
    message = f"PostgreSQL: {first_line(error)}"
    if gate := gate_that_refused(error):
        return TargetGateError(first_line(error), gate=gate, hint=_GATE)
    if state == _DISK_FULL:
        return TargetRefusedError(
            message,
            hint="make room on the disk of the target's server: a worker goes on by itself, a command is run again",
        )
    if state.startswith(_REFUSED):
        return TargetRefusedError(
            message, hint="see the role's rights and the server's state; Syncline goes on by itself"
        )
    if not state or is_of_server(error):
        return TargetUnavailableError(message or _NO_SERVER)
    return TargetError(message)


def is_of_server(error: psycopg.Error) -> bool:
    """Tell whether the server, or another transaction, is the reason; then nothing is wrong with any row."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError))
    return state.startswith(_UNAVAILABLE) or state.startswith(_REFUSED)


def is_over(connection: psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the session has ended: what its last transaction came to is unknown."""
    return connection.closed or connection.broken


def first_line(error: BaseException) -> str:
    """Shorten a driver's message to its first line."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]
