"""The user's tables as the harness sees them: columns, types, keys, what refers to what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from syncline.errors import MappingError
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks

_LITERAL = re.compile(r"'((?:[^']|'')*)'")


@dataclass(frozen=True, slots=True)
class Type:
    """A type with its domains resolved."""

    name: str
    """``int8``, ``text``, …; of a range or a multirange its own name."""
    kind: str
    """``b`` base, ``e`` enum, ``r`` range, ``m`` multirange, ``c`` composite, ``a`` array, ``p`` pseudo."""
    modifier: int = -1
    """``atttypmod``: the length of a varchar, precision and scale of a numeric."""
    element: Type | None = None
    """Of an array its elements', of a range or a multirange its bounds' type."""
    labels: tuple[str, ...] = ()

    @property
    def innermost(self) -> str:
        """Name of what the values are made of in the end."""
        return self.element.innermost if self.element else self.name


@dataclass(frozen=True, slots=True)
class Column:
    """A column."""

    name: str
    sql_type: str
    """As ``format_type`` prints it."""
    type: Type
    not_null: bool
    computed_by_database: bool
    """Generated, or an identity that takes no values."""
    has_default: bool


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """Columns that refer to another table's."""

    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Table:
    """A table."""

    name: TableName
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    foreign_keys: tuple[ForeignKey, ...]
    choices: Mapping[str, tuple[str, ...]]
    """Values of columns that a CHECK (or an enum) enumerates."""
    constraints: Mapping[str, tuple[str, ...]]
    """Columns of each constraint by its name."""

    def column(self, name: str) -> Column:
        """Find a column; the entity was compiled, so it is there."""
        return next(column for column in self.columns if column.name == name)


def named(*parts: str) -> sql.Identifier:
    """Write a name in a statement that has parameters, which would take its percent signs for placeholders."""
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


def read_tables(conn: psycopg.Connection[Any]) -> dict[TableName, Table]:
    """Read every ordinary table of the database, our own apart."""
    queries = blocks("tables.sql", "syncline.testing.mapping")
    types = {row[0]: row for row in conn.execute(queries["types"])}
    names = {oid: TableName(schema, name) for schema, name, oid in conn.execute(queries["tables"])}
    columns: dict[int, dict[int, Column]] = {oid: {} for oid in names}
    for oid, name, type_, modifier, sql_type, not_null, generated, default, number in conn.execute(
        queries["columns"], [list(names)]
    ):
        columns[oid][number] = Column(
            name, sql_type, _resolved(types, type_, modifier), not_null, generated, default and not generated
        )
    constraints: dict[int, list[Any]] = {oid: [] for oid in names}
    for row in conn.execute(queries["constraints"], [list(names)]):
        constraints[row[0]].append(row)
    return {name: _table(oid, names, columns, constraints[oid]) for oid, name in names.items()}


def read_type(conn: psycopg.Connection[Any], oid: int) -> tuple[Type, str]:
    """Read one type, and its name in SQL."""
    types = {row[0]: row for row in conn.execute(blocks("tables.sql", "syncline.testing.mapping")["types"])}
    found = conn.execute("SELECT format_type(%s, -1)", [oid]).fetchone() or ("text",)
    return _resolved(types, oid, -1), str(found[0])


def find(tables: Mapping[TableName, Table], name: TableName) -> Table:
    """Find a table.

    Raises:
        MappingError: the schema did not create it.

    """
    if name not in tables:
        known = ", ".join(map(str, tables)) or "none"
        raise MappingError(f"there is no table {name}", hint=f"the schema created: {known}")
    return tables[name]


def _table(
    oid: int, names: Mapping[int, TableName], columns: Mapping[int, Mapping[int, Column]], rows: list[Any]
) -> Table:
    own = columns[oid]
    primary: tuple[str, ...] = ()
    foreign, choices, constraints = [], {}, {}
    for _, name, kind, numbers, parent, parent_numbers, definition in rows:
        affected = tuple(own[number].name for number in numbers or ())
        constraints[name] = affected
        if kind == "p":
            primary = affected
        elif kind == "f" and parent in names:
            foreign.append(ForeignKey(affected, names[parent], tuple(columns[parent][n].name for n in parent_numbers)))
        elif kind == "c" and len(affected) == 1 and "= ANY" in definition:
            choices[affected[0]] = tuple(text.replace("''", "'") for text in _LITERAL.findall(definition))
    return Table(names[oid], tuple(own.values()), primary, tuple(foreign), choices, constraints)


def _resolved(types: Mapping[int, Any], oid: int, modifier: int) -> Type:
    _, name, kind, base, base_modifier, element, subtype, labels = types[oid]
    if kind == "d":
        return _resolved(types, base, base_modifier)
    if element is not None:
        return Type(name, "a", modifier, _resolved(types, element, modifier))
    if subtype is not None:
        return Type(name, kind, modifier, _resolved(types, subtype, -1))
    return Type(name, kind, modifier, labels=tuple(labels or ()))
