"""Sessions with the PostgreSQL of a document link, and what its errors mean there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import psycopg

from syncline.config.urls import without_pooler
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.engines.postgres.target.session import as_ours, connect, first_line, is_over, translated
from syncline.errors import NotInstalledError, SynclineError, TargetRefusedError, UnsuitableTargetError

OLDEST = 15
"""The oldest PostgreSQL on which document links have run: commands, worker, copy and verification, not each test."""
CONNECT_SECONDS = 5
_CHANGED = (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable, psycopg.errors.DatatypeMismatch)
_TOO_LONG = (psycopg.errors.QueryCanceled, psycopg.errors.TransactionTimeout)
_ABSENT = (*_CHANGED, psycopg.errors.InvalidSchemaName)


async def session(url: str, *, seconds: float) -> TargetConnection:
    """Open a session.

    Raises:
        TargetUnavailableError: no server answers, or it does not let us in.
        UnsuitableTargetError: it is CockroachDB, or too old.

    """
    direct, _ = without_pooler(url)
    connection = await connect(direct, connect_seconds=CONNECT_SECONDS, statement_seconds=seconds, pooled=True)
    major = connection.info.server_version // 10_000
    if major < OLDEST:
        await connection.close()
        raise UnsuitableTargetError(
            f"the target is PostgreSQL {major}, and tables of documents need PostgreSQL {OLDEST} or newer",
            hint="upgrade the server, or point [target] at another one",
        )
    return connection


class OwnSession:
    """A session opened when it is first asked for, and again after an outage; for one task at a time.

    Args:
        url: the PostgreSQL.
        seconds: limit of a statement.

    """

    _pins: Mapping[str, str] = MappingProxyType({})
    """Settings of the session beside everybody's."""

    def __init__(self, url: str, *, seconds: float) -> None:
        self._url, self._seconds = url, seconds
        self._session: TargetConnection | None = None

    async def session(self) -> TargetConnection:
        """Give the session, opened anew where the last one has ended.

        Raises:
            TargetUnavailableError: the database does not answer.

        """
        if self._session is None or is_over(self._session):
            self._session = await session(self._url, seconds=self._seconds)
            with translated():
                for name, value in self._pins.items():
                    await self._session.pin(name, value)
        return self._session

    async def close(self) -> None:
        """End the session."""
        if self._session is not None:
            await self._session.close()


def as_kept(error: psycopg.Error) -> SynclineError:
    """Say what an error of a statement about our own tables means."""
    if isinstance(error, _ABSENT):
        return NotInstalledError(
            f"the tables that Syncline keeps for documents are not there, or not all ({first_line(error)})",
            hint="`syncline install` makes them",
        )
    return as_ours(error)


def of_tables(collection: str, error: psycopg.Error, doing: str = "writing") -> SynclineError:
    """Say what an error of a statement about a collection's tables means; its documents keep their marks."""
    if isinstance(error, _CHANGED):
        return TargetRefusedError(
            f"the tables of {collection} are not as declared: {first_line(error)}",
            hint="nothing is lost, its documents wait; `syncline schema check` says what is missing,"
            " `syncline schema sql --changes | psql` makes it",
        )
    if took_too_long(error):
        return TargetRefusedError(
            f"{collection}: {doing} took too long: {first_line(error)}",
            hint="nothing is lost, its documents wait, and fewer are tried at a time; see who holds their rows:"
            " pg_stat_activity, pg_blocking_pids()",
        )
    return as_ours(error)


def took_too_long(error: psycopg.Error) -> bool:
    """Tell whether a limit of time has ended it: somebody holds a row, or it was too much at once."""
    return isinstance(error, _TOO_LONG)
