"""The session in which a tree's revisions run: past the pooler, the only one, its statements looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import psycopg
from psycopg import sql
from sqlalchemy import Connection, create_engine, event
from sqlalchemy.pool import StaticPool

from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.connecting import connect, probe
from syncline.split.direct import see_that_it_is_ones_own
from syncline.split.migrations.locking import take
from syncline.split.migrations.trees import Tree
from syncline.split.routing import Routing
from syncline.split.statements import Placeholders


@dataclass(frozen=True, slots=True)
class Patience:
    """How long is waited for others."""

    runner_seconds: float = 60.0
    """For another runner of migrations."""
    lock_seconds: float = 5.0
    """For a lock on a table: others wait behind who waits. 0: for ever."""


PATIENT = Patience()


class Watch:
    """Looks at each statement that a revision sends: what was not seen in its SQL is refused here."""

    def __init__(self, routing: Routing, name: str) -> None:
        self._routing = routing
        self._name = name
        self.exempt = False
        """The revision that runs may touch another database's tables."""

    def look(self, statement: str) -> None:
        """Refuse a statement of another database."""
        if not self.exempt:
            self._routing.look(statement, Placeholders.PERCENT, database=self._name)


class Beside(Protocol):
    """What is done in each transaction of revisions, beside them."""

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Before the first statement."""
        ...

    def commit(self, connection: psycopg.Connection[Any]) -> None:
        """After the last one."""
        ...


@contextmanager
def opened(tree: Tree, address: Address | None = None) -> Iterator[psycopg.Connection[Any]]:
    """Open a session past the pooler, in autocommit; elsewhere where the tree's tables are there at present.

    Raises:
        NamedDatabaseError: there is no way past it, or no connection.

    """
    address = address or tree.database.direct_address
    probe(address)
    with connect(address, autocommit=True, application_name="syncline db") as connection:
        yield connection


@contextmanager
def alone(tree: Tree, patience: Patience, address: Address | None = None) -> Iterator[psycopg.Connection[Any]]:
    """Open the session that may change the database's schema: the only one.

    Raises:
        NamedDatabaseError: the URL leads through a pooler of which it does not tell.
        MigrationError: another runner is at work.

    """
    see_that_it_is_ones_own(tree.name, address or tree.database.direct_address)
    with opened(tree, address) as connection:
        take(connection, tree.name, patience.runner_seconds)
        yield connection


@contextmanager
def on_sqlalchemy(
    connection: psycopg.Connection[Any], watch: Watch, patience: Patience = PATIENT, beside: Beside | None = None
) -> Iterator[Connection]:
    """Lend a session to SQLAlchemy for a block; it is in autocommit again afterwards."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)

    @event.listens_for(engine, "before_cursor_execute")
    def look(_: Any, __: Any, statement: str, *___: Any) -> None:
        watch.look(statement)

    @event.listens_for(engine, "begin")
    def begin(_: Any) -> None:
        if patience.lock_seconds and not connection.autocommit:
            limit = sql.Literal(f"{patience.lock_seconds * 1000:.0f}ms")
            connection.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(limit))
        if beside is not None and not connection.autocommit:
            beside.begin(connection)

    @event.listens_for(engine, "commit")
    def commit(_: Any) -> None:
        if beside is not None and not connection.autocommit:
            beside.commit(connection)

    connection.autocommit = False
    try:
        with engine.connect() as lent:
            yield lent
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True


def versions(connection: psycopg.Connection[Any], table: str) -> tuple[str, ...] | None:
    """Read at which revisions a database is; ``None``: there is no such table."""
    row = connection.execute(_sql("has_table"), [table]).fetchone()
    if not row or not row[0]:
        return None
    query = sql.SQL("SELECT version_num FROM {} ORDER BY 1").format(sql.Identifier(table))
    return tuple(str(one) for (one,) in connection.execute(query))


def invalid_indexes(connection: psycopg.Connection[Any]) -> list[str]:
    """Name indexes that a CREATE INDEX CONCURRENTLY has left behind."""
    return [name for (name,) in connection.execute(_sql("invalid_indexes"))]


def _sql(name: str) -> str:
    return blocks("migrations.sql", "syncline.split.migrations")[name]
