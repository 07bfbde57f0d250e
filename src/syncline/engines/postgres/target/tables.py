"""Users' tables in an SQL target, as its catalog describes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from syncline.engines.postgres.target.session import Connection
from syncline.errors import PrivilegeError, UnsuitableTargetError
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks

_KINDS = {"v": "a view", "m": "a materialised view", "f": "a foreign table", "S": "a sequence", "i": "an index"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a target's table."""

    name: str
    type: str
    """Without a modifier, with its schema."""
    generated: bool = False
    always: bool = False
    """GENERATED ALWAYS AS IDENTITY: an INSERT may override it, an UPDATE never."""
    not_null: bool = False
    textual: bool = False
    numeric: bool = False
    folds: bool = False
    """Different texts are equal there."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index over columns."""

    name: str
    immediate: bool
    primary: bool
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key: columns of ``child`` that refer to ``parent``."""

    name: str
    child: TableName
    parent: TableName
    columns: tuple[str, ...]
    referenced: tuple[str, ...]
    types: tuple[str, ...]
    """Of the referenced columns."""
    cascades: bool
    """What refers goes, or changes, with what it refers to."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with what decides about a row."""

    name: TableName
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    uniques: tuple[Unique, ...] = ()
    """But the key itself, and what is computed: a row of a batch does not say its value there."""
    parents: tuple[Reference, ...] = ()
    children: tuple[Reference, ...] = ()
    """Foreign keys that refer to this table."""
    triggers: tuple[str, ...] = ()
    """The user's own; they fire for what Syncline writes."""

    def has(self, name: str) -> bool:
        """Tell whether there is a column of this name."""
        return any(column.name == name for column in self.columns)

    def column(self, name: str) -> Column:
        """Find a column.

        Raises:
            UnsuitableTargetError: there is none of this name.

        """
        for column in self.columns:
            if column.name == name:
                return column
        raise UnsuitableTargetError(
            f"the target's table {self.name} has no column {name}",
            hint="add it there, or exclude or rename it: `exclude`, `rename` of the entity",
        )

    def written(self, names: Sequence[str]) -> tuple[Column, ...]:
        """List those of these columns that can be written: generated ones compute themselves."""
        return tuple(column for name in names if not (column := self.column(name)).generated)


def qualified(name: TableName) -> sql.Composed:
    """Compose a table's name."""
    return sql.Composed([sql.Identifier(name.schema, name.name)])


async def describe(connection: Connection, name: TableName, key: Sequence[str]) -> Table:
    """Read what the catalog says about a table; without a key, its primary key is meant.

    Raises:
        UnsuitableTargetError: it is missing, no table, or nothing makes its key unique.
        PrivilegeError: the role may not write it.

    """
    queries = blocks("tables.sql", "syncline.engines.postgres.target")
    async with connection.transaction():
        await connection.execute(queries["plain_path"])
        found = await connection.execute(queries["find"], {"schema": name.schema, "name": name.name})
        row = await found.fetchone()
        if row is None:
            raise UnsuitableTargetError(
                f"the target has no table {name}",
                hint="create it there as in the source (pg_dump --schema-only --table)",
            )
        if row[3] not in {"r", "p"}:
            raise UnsuitableTargetError(
                f"{name} in the target is {_KINDS.get(row[3], 'no table')}, and cannot be written"
            )
        oid = {"oid": row[0]}
        columns = [Column(*one) for one in await _all(connection, queries["columns"], oid)]
        uniques = [Unique(n, now, pk, tuple(cs)) for n, now, pk, cs in await _all(connection, queries["uniques"], oid)]
        references = await _all(connection, queries["references"], oid)
        triggers = [one[0] for one in await _all(connection, queries["triggers"], oid)]
        lacking = [one[0] for one in await _all(connection, queries["rights"], oid)]
    if lacking:
        raise PrivilegeError(
            f"the role of [target] lacks {', '.join(lacking)} on {name}",
            hint=f"GRANT {', '.join(lacking)} ON {name} TO the role",
        )
    key = key or next((unique.columns for unique in uniques if unique.primary), ())
    _require_key(name, key, uniques)
    if folding := [column.name for column in columns if column.folds and column.name in key]:
        raise UnsuitableTargetError(
            f"the key of {name} in the target has a type or a collation in which different texts are equal: "
            f"{', '.join(folding)}",
            hint="make it text under a deterministic collation: two records of the source would be one row there",
        )
    computed = {column.name for column in columns if column.generated}
    return Table(
        name,
        tuple(columns),
        tuple(key),
        tuple(unique for unique in uniques if set(unique.columns) != set(key) and not computed & set(unique.columns)),
        tuple(_reference(one) for one in references if one[1]),
        tuple(_reference(one) for one in references if (one[4], one[5]) == (name.schema, name.name)),
        tuple(triggers),
    )


async def catalog(connection: Connection, names: Sequence[TableName]) -> str:
    """Digest what ``describe`` reads of tables."""
    query = blocks("tables.sql", "syncline.engines.postgres.target")["catalog"]
    quoted = [sql.Identifier(name.schema, name.name).as_string() for name in names]
    row = await (await connection.execute(query, {"names": quoted})).fetchone()
    return str(row[0]) if row else ""


async def _all(connection: Connection, query: str, values: dict[str, object]) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, values)).fetchall()


def _reference(row: tuple[Any, ...]) -> Reference:
    name, _, schema, table, parent_schema, parent, columns, referenced, types, action = row
    return Reference(
        name,
        TableName(schema, table),
        TableName(parent_schema, parent),
        tuple(columns),
        tuple(referenced),
        tuple(types),
        action in {"c", "n", "d"},
    )


def _require_key(name: TableName, key: Sequence[str], uniques: Sequence[Unique]) -> None:
    over = [] if not key else [unique for unique in uniques if set(unique.columns) == set(key)]
    if any(unique.immediate for unique in over):
        return
    columns = ", ".join(key)
    if not key:
        raise UnsuitableTargetError(
            f"{name} in the target has no primary key",
            hint=f"ALTER TABLE {name} ADD PRIMARY KEY (…) over the key that it has in the source",
        )
    if over:
        raise UnsuitableTargetError(
            f"the key ({columns}) of {name} in the target is DEFERRABLE, and cannot decide between insert and update",
            hint=f"add a unique index over ({columns}) there",
        )
    raise UnsuitableTargetError(
        f"nothing makes the key ({columns}) of {name} unique in the target",
        hint=f"ALTER TABLE … ADD PRIMARY KEY ({columns}), or create a unique index over these columns",
    )
