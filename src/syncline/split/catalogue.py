"""Reading a database's catalog, as far as tables are tied to each other there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import psycopg

from syncline.postgres.sql import blocks
from syncline.split.names import Name


class ForeignKey(NamedTuple):
    """A constraint of ``table`` on ``other``."""

    name: str
    table: int
    other: int
    definition: str
    on_delete: str
    on_update: str


class Use(NamedTuple):
    """A view, a rule, a policy, a column's type or an expression of ``table`` that names something else by its oid."""

    kind: str
    table: int
    name: str
    other: int


class Drawing(NamedTuple):
    """A sequence, the table that owns it, and a table whose default draws from it."""

    sequence: int
    owner: int | None
    user: int | None


class Function(NamedTuple):
    """A function or procedure; ``definition`` is there for SQL and PL/pgSQL."""

    oid: int
    schema: str
    name: str
    arguments: str
    language: str
    definition: str | None


class Trigger(NamedTuple):
    """A trigger of ``table``."""

    name: str
    table: int
    function: int


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Everything that was read; tables are named by their oids."""

    names: Mapping[int, Name]
    kinds: Mapping[int, str]
    """``r`` table, ``p`` partitioned, ``v`` view, ``m`` materialised, ``f`` foreign, ``S`` sequence."""
    foreign_keys: tuple[ForeignKey, ...] = ()
    uses: tuple[Use, ...] = ()
    inheritance: tuple[tuple[int, int], ...] = ()
    sequences: tuple[Drawing, ...] = ()
    functions: tuple[Function, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    expressions: tuple[Use, ...] = ()
    """Here ``other`` is a function."""
    statements: tuple[tuple[str, int], ...] | None = None
    """Texts of ``pg_stat_statements`` and how often each ran; ``None``: it is not there."""

    def sequences_named(self, name: Name, within: str) -> list[int]:
        """Find the sequences that a text may mean: one without a schema is looked for in that of the text first."""
        found = [oid for oid, kind in self.kinds.items() if kind == "S" and self.names[oid].name == name.name]
        own = [oid for oid in found if self.names[oid].schema == (name.schema or within)]
        return own if own or name.schema else found


def read_catalogue(connection: psycopg.Connection[Any]) -> Catalogue:
    """Read a catalog in one transaction that changes nothing; behind a pooler, too.

    Within a transaction that changes it: as that has made it so far.

    Raises:
        psycopg.Error: as the driver raises it.

    """
    within = connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE
    with connection.transaction(force_rollback=within):
        if not within:
            connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        relations = _rows(connection, "relations")
        return Catalogue(
            names={oid: Name(schema, name) for oid, schema, name, _ in relations},
            kinds={oid: kind for oid, _, _, kind in relations},
            foreign_keys=tuple(ForeignKey(*row) for row in _rows(connection, "foreign_keys")),
            uses=tuple(Use(*row) for row in _rows(connection, "uses")),
            inheritance=tuple((child, parent) for child, parent in _rows(connection, "inheritance")),
            sequences=tuple(Drawing(*row) for row in _rows(connection, "sequences")),
            functions=tuple(Function(*row) for row in _rows(connection, "functions")),
            triggers=tuple(Trigger(*row) for row in _rows(connection, "triggers")),
            expressions=tuple(Use(*row) for row in _rows(connection, "expressions")),
            statements=_statements(connection),
        )


def _rows(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    return connection.execute(blocks("catalogue.sql", "syncline.split")[name], prepare=False).fetchall()


def _statements(connection: psycopg.Connection[Any]) -> tuple[tuple[str, int], ...] | None:
    """Read the statistics of this database's statements; ``None`` where they are not kept, or not for this role."""
    found = _rows(connection, "has_statistics")
    if not found:
        return None
    view = psycopg.sql.Identifier(found[0][0], "pg_stat_statements")
    query = psycopg.sql.SQL(
        "SELECT query, sum(calls)::bigint FROM {} WHERE query IS NOT NULL AND dbid ="
        " (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()) GROUP BY query ORDER BY 2 DESC"
    ).format(view)
    try:
        with connection.transaction():
            return tuple((text, calls) for text, calls in connection.execute(query, prepare=False))
    except psycopg.errors.ObjectNotInPrerequisiteState:  # the extension is there, its library is not loaded
        return None
