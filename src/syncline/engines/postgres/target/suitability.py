"""Whether users' tables can be a target: all problems at once, before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from syncline.engines.postgres.target import statements
from syncline.engines.postgres.target.session import Connection
from syncline.engines.postgres.target.tables import Table, describe
from syncline.errors import PrivilegeError, UnsuitableTargetError
from syncline.model.entity import Entity, TableName
from syncline.model.fields import field_name
from syncline.postgres.sql import blocks

Fields = Mapping[str, Sequence[str]]


async def require_suitable(connection: Connection, entities: Sequence[Entity], *, fields: Fields, system: str) -> None:
    """Look at every table, and that it is not the source's.

    Raises:
        UnsuitableTargetError, PrivilegeError: at least one cannot be a target; every one is named.

    """
    await require_apart(connection, entities, system)
    await described(connection, entities, fields=fields)


async def described(
    connection: Connection, entities: Sequence[Entity], *, fields: Fields = MappingProxyType({})
) -> dict[TableName, Table]:
    """Describe every table.

    Raises:
        UnsuitableTargetError, PrivilegeError: at least one cannot be a target; every one is named.

    """
    tables: dict[TableName, Table] = {}
    found: list[UnsuitableTargetError | PrivilegeError] = []
    for entity in entities:
        name = TableName.parse(entity.collection)
        try:
            tables[name] = await describe(connection, name, key_of(entity))
            _require_columns(tables[name], entity, fields.get(entity.name, ()))
        except (UnsuitableTargetError, PrivilegeError) as error:
            found.append(error)
    if found:
        kind = UnsuitableTargetError if any(isinstance(one, UnsuitableTargetError) for one in found) else PrivilegeError
        raise kind("; ".join(one.message for one in found), hint=found[0].hint)
    return tables


def _require_columns(table: Table, entity: Entity, names: Sequence[str]) -> None:
    if lacking := [name for name in names if not table.has(name)]:
        raise UnsuitableTargetError(
            f"the target's table {table.name} has no column {', '.join(lacking)}",
            hint=f"add it there, or leave it out: `exclude`, `rename` in [entities.{entity.name}]",
        )


async def remarks(connection: Connection, entity: Entity) -> list[str]:
    """Say that a table has rows already, or triggers of its own."""
    table = await describe(connection, TableName.parse(entity.collection), key_of(entity))
    row = await (await connection.execute(statements.any_row(table), [])).fetchone()
    found = []
    if row and row[0]:
        found.append(
            f"{table.name} in the target has rows: those with a key of {entity.table} are overwritten, "
            f"others stay until `syncline backfill {entity.name}` removes them"
        )
    if table.triggers:
        found.append(f"{table.name} in the target has triggers that fire for each write: {', '.join(table.triggers)}")
    return found


def key_of(entity: Entity) -> list[str]:
    """Name the columns of the key in the target; empty: the primary key that the table has there."""
    return [field_name(entity.fields, column) for column in entity.key]


async def require_apart(connection: Connection, entities: Sequence[Entity], system: str) -> None:
    """See that no table is to be kept equal to itself.

    Raises:
        UnsuitableTargetError: this is the source's own database, and one is.

    """
    row = await (await connection.execute(blocks("tables.sql", __package__ or "")["system"])).fetchone()
    if not system or row is None or row[0] != system:
        return
    if same := [entity.collection for entity in entities if TableName.parse(entity.collection) == entity.table]:
        raise UnsuitableTargetError(
            f"{', '.join(same)} would be kept equal to itself: source and target are one database",
            hint="point [target] at another database, or name another table by `target_table` of the entity",
        )
