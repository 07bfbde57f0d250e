"""Gives each commit of a SQLAlchemy session its read-your-writes token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Pool, event
from sqlalchemy.orm import Session

from syncline.capture.sqlalchemy.attach import Connections, Sessions, event_target
from syncline.model.link import Link, entered, link_called
from syncline.postgres.sql import ours
from syncline.tokens.token import INFO, UNKNOWN, make, merge

_INSTALLATION = "/* syncline */ SELECT installation::text FROM syncline.meta"
_TRANSACTION = "/* syncline */ SELECT pg_catalog.pg_current_xact_id_if_assigned()::text, {}"
_READABLE = """(
    SELECT c.oid::text FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = 'meta'
    WHERE n.nspname = 'syncline'
      AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT'))"""
"""The table that names the installation, if it can be asked; it is another one with every installation."""


def attach_tokens(sessions: Sessions, *, links: Sequence[str] = ("",)) -> None:
    """Put a token into ``session.info["syncline_token"]`` with every commit that wrote, whatever captures the changes.

    Each commit that wrote replaces the token; one that only read leaves it. It costs one statement a commit.
    ``SessionCapture.attach`` does this as well: do not do both.

    Args:
        sessions: whose commits.
        links: for the readers of which links; by default of the one without a name.

    """
    CommitTokens(links).attach(sessions)


class CommitTokens:
    """Asks for the transaction's id immediately before the COMMIT, when all flushes and handlers are through.

    A database without Syncline (or one whose role may not read ``syncline.meta``) never breaks a commit: its tokens
    are of an unknown installation, so that no reader takes anything for applied. So are all tokens on CockroachDB.
    """

    def __init__(self, links: Sequence[str] = ("",)) -> None:
        """Follow nothing yet."""
        self._links = tuple(map(link_called, links))
        self._connections = Connections(("commit", self._before_commit), ("prepare_twophase", self._before_commit))
        self._statement = _TRANSACTION.format(", ".join(map(_readable, self._links)))
        self._installations: WeakKeyDictionary[Pool, dict[tuple[Link, str], str]] = WeakKeyDictionary()
        self._pending: WeakKeyDictionary[Session, str] = WeakKeyDictionary()

    def attach(self, sessions: Sessions) -> None:
        """Follow these sessions."""
        self._connections.attach(sessions)
        event.listen(event_target(sessions), "after_commit", self._after_commit)
        event.listen(event_target(sessions), "after_rollback", self._after_rollback)

    def _before_commit(self, connection: Connection, *_: object) -> None:
        sessions = self._connections.sessions(connection)
        token = self._token(connection) if sessions else None
        if token is None:
            return
        for session in sessions:
            self._pending[session] = merge(self._pending.get(session), token) or token

    def _token(self, connection: Connection) -> str | None:
        if connection.dialect.name == "cockroachdb":  # it has no transaction ids to ask for: no reader shall be sure
            return merge(*(make(UNKNOWN, [1], link.name) for link in self._links))
        if connection.dialect.name != "postgresql":
            return None
        transaction, *tables = _row(connection, self._statement)
        if transaction is None:
            return None
        made = zip(self._links, tables, strict=True)
        return merge(*(make(self._installation(connection, *one), [int(transaction)], one[0].name) for one in made))

    def _installation(self, connection: Connection, link: Link, table: str | None) -> str:
        if table is None:
            return UNKNOWN
        installations = self._installations.setdefault(connection.engine.pool, {})
        known = installations.get((link, table))
        if known is None:
            with entered(link):
                found = _row(connection, ours(_INSTALLATION))
            if found is None:  # the transaction's snapshot is older than the installation
                return UNKNOWN
            known = installations[link, table] = str(found[0])
        return known

    def _after_commit(self, session: Session) -> None:
        token = self._pending.pop(session, None)
        if token is not None:
            session.info[INFO] = token

    def _after_rollback(self, session: Session) -> None:
        self._pending.pop(session, None)


def _readable(link: Link) -> str:
    with entered(link):
        return ours(_READABLE)


def _row(connection: Connection, statement: str) -> Any:
    """Ask on the driver's cursor: SQLAlchemy's own execution is not meant for the middle of a commit."""
    cursor = connection.connection.cursor()
    try:
        cursor.execute(statement)
        return cursor.fetchone()
    finally:
        cursor.close()
