"""What the catalog says of the synced tables, and what it said when a worker looked last."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from syncline.model.entity import TableName
from syncline.postgres.connection import first_line
from syncline.postgres.sql import blocks

State = Mapping[str, Any]
"""What is remembered of an entity's tables: JSON, made and compared by ``capture.observed``."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A table of an entity, or one of its partitions or inheritance children, as the catalog has it."""

    oid: int
    root: bool
    name: str
    kind: str
    is_partition: bool
    inherits: bool
    subscribed: bool
    pglogical: bool
    """A subscription of pglogical is in this database; it may write this table."""
    file: int
    """Its relfilenode: another one after any rewrite, TRUNCATE and VACUUM FULL included."""
    fresh: bool
    """It was created as a partition; otherwise it may have come with rows."""
    attributes: str | None
    """Digest of the versions of its columns' descriptions."""
    columns: Mapping[str, tuple[int, str, str | None]] | None
    """Of a root, by name: attnum, ``attgenerated``, digest of the expression."""
    triggers: Mapping[str, Mapping[str, Any]] | None
    """Ours, by name: version, type, function, sound."""


@dataclass(frozen=True, slots=True)
class WatchedTable:
    """A table whose changes mark keys of an entity."""

    table: TableName
    columns: tuple[str, ...]
    """Its columns that the key's text is made of."""
    seen: list[Seen] = field(default_factory=list)
    """Roots first; empty: there is no such table."""
    parts: dict[str, str] = field(default_factory=dict)
    """Labels and attributes of the types of its columns, by oid."""


@dataclass(frozen=True, slots=True)
class WatchedEntity:
    """An installed entity with its tables: its own first, then one an embed."""

    id: int
    name: str
    by_triggers: bool
    tables: tuple[WatchedTable, ...]
    remembered: State | None


async def read_entities(conn: AsyncConnection[Any]) -> list[WatchedEntity]:
    """Read what is installed, without looking at the tables."""
    return [_entity(row) for row in await _rows(conn, "entities")]


def tables_of(entities: Sequence[WatchedEntity]) -> list[TableName]:
    """List all tables once."""
    return list(dict.fromkeys(watched.table for entity in entities for watched in entity.tables))


async def digest(conn: AsyncConnection[Any], tables: Sequence[TableName]) -> str:
    """Digest the catalog's rows about these tables; cheap enough for every second."""
    found = (await _rows(conn, "digest", **_named(tables)))[0]
    return f"{found['md5']} {found['pglogical'] and await has_pglogical(conn)}"


async def own_digest(conn: AsyncConnection[Any]) -> str:
    """Digest the catalog's rows about our own schema."""
    found = await _rows(conn, "own_digest")
    return str(found[0]["md5"]) if found else "gone"


async def odd_outbox(conn: AsyncConnection[Any]) -> str | None:
    """Say what somebody has added to the outbox, or forbidden, that keeps triggers from marking as always."""
    try:
        await _rows(conn, "markable")
    except (psycopg.errors.RaiseException, psycopg.errors.InsufficientPrivilege) as error:
        return first_line(error)
    for found in await _rows(conn, "owner_shut_out"):
        return f"{found['owner']}, as whom triggers mark, may not write into {found['tables']} of our schema"
    return None


async def foreign_rules(conn: AsyncConnection[Any]) -> list[str]:
    """Name the triggers and rules that somebody has put on our tables; also where row-level security is on."""
    return [row["rule"] for row in await _rows(conn, "foreign_rules")]


async def numbers(conn: AsyncConnection[Any]) -> dict[str, tuple[int, int]]:
    """Read the last number that each of our tables was given, and the highest that it has."""
    return {row["name"]: (row["given"], row["highest"] or 0) for row in await _rows(conn, "numbers")}


def set_back(found: Mapping[str, tuple[int, int]]) -> list[str]:
    """Name the tables that have numbers above the last that they were given."""
    return sorted(name for name, (given, highest) in found.items() if given < highest)


async def has_pglogical(conn: AsyncConnection[Any]) -> bool:
    """Tell whether a subscription of pglogical writes into this database."""
    there = await _rows(conn, "pglogical_there")
    return bool(there and there[0]["yes"] and (await _rows(conn, "pglogical"))[0]["yes"])


async def look_at(conn: AsyncConnection[Any], entities: Sequence[WatchedEntity]) -> None:
    """Fill in what the catalog says of the entities' tables."""
    tables = tables_of(entities)
    watching: dict[TableName, list[WatchedTable]] = {}
    for entity in entities:
        for watched in entity.tables:
            watching.setdefault(watched.table, []).append(watched)
    pglogical = await has_pglogical(conn)
    for row in await _rows(conn, "members", **_named(tables), pglogical=pglogical):
        place = row.pop("place")
        for watched in watching[tables[place - 1]]:
            if row["oid"] not in {seen.oid for seen in watched.seen}:
                watched.seen.append(Seen(**row))
    for row in await _rows(conn, "parts", **_named(tables)):
        for watched in watching[tables[row["place"] - 1]]:
            watched.parts[row["part"]] = row["name"]


async def is_empty(conn: AsyncConnection[Any], oid: int) -> bool:
    """Tell whether a table has no page; false too when a lock keeps from looking."""
    try:
        async with conn.transaction():
            await conn.execute("SET LOCAL lock_timeout = '200ms'")
            return bool((await _rows(conn, "empty", oid=oid))[0]["empty"])
    except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable):
        return False


async def remember(
    conn: AsyncConnection[Any],
    entity: WatchedEntity,
    state: State,
    *,
    reason: str,
    tasks: Sequence[tuple[str, Mapping[str, Any]]],
) -> bool:
    """Exchange what is remembered, and ask for tasks (kind, options) with it; false: somebody else was first."""
    values = {
        "entity": entity.id,
        "old": None if entity.remembered is None else Jsonb(entity.remembered),
        "new": Jsonb(state),
        "reason": reason,
        "kinds": [kind for kind, _ in tasks],
        "options": [Jsonb(options) for _, options in tasks],
    }
    return bool(await _rows(conn, "remember", **values))


async def resolve(conn: AsyncConnection[Any], name: str, still: Sequence[str], *, before: datetime) -> None:
    """Close notices of this name that are older than ``before``, but those that still hold."""
    await _rows(conn, "resolve", name=name, still=list(still), before=before)


async def open_notices(conn: AsyncConnection[Any], name: str) -> dict[int, str]:
    """List the open notices of this name about an entity: which entity, by id."""
    return {row["id"]: row["entity"] for row in await _rows(conn, "open_notices", name=name)}


async def end_seen(conn: AsyncConnection[Any], seen: Collection[int], *, still: Collection[str]) -> None:
    """Close these notices, but for entities for which they still hold."""
    await _rows(conn, "end_seen", seen=list(seen), still=list(still))


async def clock(conn: AsyncConnection[Any]) -> datetime:
    """Read the source's clock."""
    found: datetime = (await _rows(conn, "clock"))[0]["clock_timestamp"]
    return found


def _entity(row: Mapping[str, Any]) -> WatchedEntity:
    own = WatchedTable(TableName.parse(row["source_table"]), tuple(row["key_columns"]))
    embeds = [WatchedTable(TableName.parse(embed["table"]), tuple(embed["on"])) for embed in row["embeds"]]
    return WatchedEntity(row["id"], row["name"], row["triggers"], (own, *embeds), row["catalog"])


def _named(tables: Sequence[TableName]) -> dict[str, list[str]]:
    return {"schemas": [table.schema for table in tables], "names": [table.name for table in tables]}


async def _rows(conn: AsyncConnection[Any], name: str, /, **values: Any) -> list[dict[str, Any]]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(blocks("tables.sql")[name], values)
        return await cursor.fetchall()
