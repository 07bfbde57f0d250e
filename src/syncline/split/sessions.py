"""SQLAlchemy's sessions, sync and async, whose statements find their database by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Engine, TextClause, event, inspect
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.orm import Session
from sqlalchemy.sql import visitors
from sqlalchemy.sql.expression import ColumnClause, TableClause

from syncline.split.engines import LEDGER, Engines
from syncline.split.names import Name
from syncline.split.routing import Ledger
from syncline.split.statements import Placeholders, parse

_DIALECT: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class RoutedSession(Session):
    """A session over all databases: each statement goes to the one whose tables it names.

    Without a table it goes to the database that the transaction has begun in, else to the default one.
    ``bind_arguments={"database": NAME}`` says it, where nobody can tell.

    Args:
        args: of SQLAlchemy's session.
        binds: likewise.
        databases: where statements go.
        asynchronous: the session is an ``AsyncSession``'s.
        reading: each statement is a transaction of its own, without BEGIN and ROLLBACK around it.
        options: of SQLAlchemy's session.

    """

    def __init__(
        self,
        *args: Any,
        binds: Any = None,
        databases: Engines,
        asynchronous: bool = False,
        reading: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(*args, binds=binds, **options)
        self.ledger = Ledger()
        self._reading = reading
        self._databases = databases
        self._asynchronous = asynchronous
        self._begun: dict[str, Engine] = {}
        """What the transaction has begun on: it stays there, also where its tables change sides meanwhile.

        A session that only reads has one for each statement, and follows.
        """

    def get_bind(
        self,
        mapper: Any = None,
        *,
        clause: Any = None,
        bind: Any = None,
        database: str | None = None,
        **_: Any,
    ) -> Engine | Connection:
        """Find the engine for a statement.

        Raises:
            RoutingError: no rule says where it belongs, it belongs to several, or not to the one that is said.

        """
        if bind is not None or self.bind is not None:
            return bind if bind is not None else self.bind  # type: ignore[return-value]  # a test's own connection
        if database is not None:
            self._databases.routing.expect(_tables(mapper, clause), database)
        name = database or self._database_of(mapper, clause)
        if self._reading or name not in self._begun:
            self._begun[name] = self._engine(name)
        return self._begun[name]

    def _engine(self, name: str) -> Engine:
        return self._databases.of_sessions(name, asynchronous=self._asynchronous, reading=self._reading)

    def _database_of(self, mapper: Any, clause: Any) -> str:
        routing = self._databases.routing
        if mapper is not None:
            return routing.destination_of(dict.fromkeys(_mapped(inspect(mapper))))
        current = next(iter(self._begun)) if len(self._begun) == 1 else None
        if clause is None:
            return current or routing.ownership.default
        if isinstance(clause, TextClause):
            return routing.destination(clause.text, Placeholders.COLON, current=current)
        if any(isinstance(element, TextClause) for element in visitors.iterate(clause)):
            compiled = clause.compile(dialect=_DIALECT)  # a fragment of text may name a table, and is no statement
            return routing.destination(str(compiled), Placeholders.PERCENT, current=current)
        return routing.destination_of(dict.fromkeys(_named(clause)), current=current)


def listening(session_class: type[RoutedSession]) -> type[RoutedSession]:
    """Make a class of sessions that keep a ledger of each transaction."""
    made: type[RoutedSession] = type(session_class.__name__, (session_class,), {})
    event.listen(made, "do_orm_execute", _keep_clause)
    event.listen(made, "after_begin", _note_begin)
    event.listen(made, "after_transaction_end", _note_end)
    return made


def _tables(mapper: Any, clause: Any) -> frozenset[Name]:
    """Give the tables of a statement, as far as they are seen."""
    if isinstance(clause, TextClause):
        return parse(clause.text, Placeholders.COLON).tables
    return frozenset(_mapped(inspect(mapper)) if mapper is not None else _named(clause) if clause is not None else ())


def _mapped(mapper: Any) -> Iterator[Name]:
    """Give the tables of a mapper: its own first."""
    tables = [mapper.local_table] if hasattr(mapper.local_table, "fullname") else mapper.tables
    return (Name(table.schema, table.name) for table in tables)


def _named(clause: Any) -> Iterator[Name]:
    """Give the tables that a Core statement names."""
    for element in visitors.iterate(clause):
        table = element.table if isinstance(element, ColumnClause) else element  # a FROM may be there by a column only
        if isinstance(table, TableClause):
            name = Name(getattr(table, "schema", None), table.name)
            if not name.is_system:
                yield name


def _keep_clause(state: Any) -> None:
    """Let ``get_bind`` know the statement, also of a UNION of models' columns, for which the ORM passes on nothing."""
    state.bind_arguments.setdefault("clause", state.statement)


def _note_begin(session: Any, _: Any, connection: Any) -> None:
    connection.execution_options(**{LEDGER: session.ledger})


def _note_end(session: Any, transaction: Any) -> None:
    if transaction.parent is None:
        session.ledger.clear()
        session._begun.clear()  # noqa: SLF001  its own listener
