"""The tables of a move as entities of its link: their names and keys are kept, so that they stay what they were."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError
from syncline.model.entity import ROWS, Entity, TableName
from syncline.postgres.sql import blocks
from syncline.split.names import Name

PACKAGE = "syncline.split.moving"
_LONGEST = 40


@dataclass(frozen=True, slots=True)
class MovingTable:
    """A table, and what it is called as an entity."""

    entity: str
    schema: str
    name: str

    @property
    def table(self) -> TableName:
        """Its name, as links and gates take it."""
        return TableName(self.schema, self.name)

    def as_entity(self) -> Entity:
        """Give what the link carries: every column as it is."""
        return Entity(self.entity, self.table, str(self.table), form=ROWS)

    def as_dict(self) -> dict[str, Any]:
        """Write it for the journal."""
        return asdict(self)


def moving_tables(source: psycopg.Connection[Any], names: Iterable[Name]) -> tuple[MovingTable, ...]:
    """Find what the link carries of a plan's tables: a partitioned table stands for its partitions.

    Raises:
        SchemaMoveError: a table has no primary key, or one by which rows cannot be written.

    """
    wanted = list(names)
    given = {"schemas": [one.schema for one in wanted], "names": [one.name for one in wanted]}
    rows = source.execute(blocks("moving.sql", PACKAGE)["roots"], given, prepare=False).fetchall()
    if keyless := [f"{schema}.{name}" for schema, name, key in rows if not key]:
        raise SchemaMoveError(
            f"without a primary key: {', '.join(keyless)}; a move tells rows apart by it",
            hint="ALTER TABLE … ADD PRIMARY KEY, over the columns of its unique constraint"
            " (one that is DEFERRABLE or WITHOUT OVERLAPS does not count)",
        )
    tables = [TableName(schema, name) for schema, name, _ in rows]
    return tuple(
        MovingTable(entity, one.schema, one.name) for entity, one in zip(entity_names(tables), tables, strict=True)
    )


def entity_names(tables: Sequence[TableName]) -> list[str]:
    """Call each table by its own name as far as an entity can be called so, and no two alike."""
    taken: set[str] = set()
    found = []
    for one in tables:
        plain = _plain(one.name)
        for name in (plain, _plain(f"{one.schema}_{one.name}"), *(f"{plain[:34]}_{n}" for n in range(2, 10_000))):
            if name.lower() not in taken:
                break
        taken.add(name.lower())
        found.append(name)
    return found


def _plain(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")[:_LONGEST]
    return name if name[:1].isalpha() else f"t_{name}"[:_LONGEST].rstrip("_")
