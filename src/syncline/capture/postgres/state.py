"""What is in the database before an installation: facts about server and role, tables, functions, triggers, grants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import class_row, dict_row

from syncline.capture.postgres.functions import Function, without_way_back
from syncline.capture.postgres.triggers import Trigger
from syncline.journal.tables import has_pglogical
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks

_NUMBERED = re.compile(r"(?:key|capture)_([0-9]+)")


@dataclass(frozen=True, slots=True)
class Facts:
    """The server and the role that installs."""

    role: str
    version: int
    unencoded: bool
    """The database's encoding says nothing of what its bytes mean."""
    prepared: int
    may_create: bool
    database: str
    owns_schema: bool | None
    """``None``: our schema is not there."""
    wake: str | None
    """Source of our ``wake()``."""


@dataclass(frozen=True, slots=True)
class Member:
    """A table of an entity, or one of its partitions or inheritance children."""

    root: int
    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    is_partition: bool
    inherits: bool
    """It is a child in table inheritance."""
    owned: bool
    owner: str
    row_security: bool
    row_security_forced: bool
    subscribed: bool
    pglogical: bool
    """A subscription of pglogical is in this database; it may write this table."""

    @property
    def table(self) -> TableName:
        """Its name."""
        return TableName(self.schema, self.name)


@dataclass(frozen=True, slots=True)
class PresentTrigger:
    """A trigger that calls one of our functions."""

    table: TableName
    name: str
    enabled: str
    """``pg_trigger.tgenabled``; only ``A`` fires always."""
    copy: bool
    """PostgreSQL made it on a partition."""
    shape: tuple[str, int, str | None, str | None, bool, bool]
    """Function, type, transition tables, whether it has a WHEN, whether it names columns."""

    @property
    def entity(self) -> int | None:
        """The id of its entity."""
        return entity_of(self.shape[0])

    def fits(self, wanted: Trigger) -> bool:
        """Say whether it does what it must, if it is enabled."""
        return self.shape == (wanted.function, wanted.type, wanted.old_table, wanted.new_table, False, False)


@dataclass(frozen=True, slots=True)
class PresentFunction:
    """A function of ours as the database has it."""

    name: str
    body: str
    definer: bool
    settings: Sequence[str]
    volatility: str
    arguments: Sequence[str]
    may_mark: bool
    """Its owner may do what it does."""

    @property
    def identity(self) -> tuple[str, tuple[str, ...]]:
        """Name and argument types."""
        return self.name, tuple(self.arguments)

    @property
    def entity(self) -> int:
        """The id of its entity."""
        found = entity_of(self.name)
        assert found is not None  # noqa: S101  only such functions are read
        return found

    def missed_nothing(self, wanted: Function) -> bool:
        """Say whether it did what it must, but for what the way back writes: that came from the target."""
        bare = replace(self, body=without_way_back(self.body))
        return bare.fits(replace(wanted, body=without_way_back(wanted.body)))

    def fits(self, wanted: Function) -> bool:
        """Say whether it is what it must be."""
        settings = {name.lower(): value for name, _, value in (item.partition("=") for item in self.settings)}
        return (self.body, self.definer, self.volatility, settings) == (
            wanted.body,
            wanted.definer,
            wanted.volatility,
            dict(wanted.settings),
        )


@dataclass(frozen=True, slots=True)
class View:
    """The relation that stands where the users' view would go."""

    may_create: bool
    taken: bool
    ours: bool


@dataclass(frozen=True, slots=True)
class Reader:
    """A role that will run the worker."""

    name: str
    sees_all: bool
    super: bool


def entity_of(function: str) -> int | None:
    """Read the id of an entity out of the name of a function of ours."""
    found = _NUMBERED.match(function)
    return int(found[1]) if found else None


async def read_facts(conn: AsyncConnection[Any]) -> Facts:
    """Read the server's and the role's facts."""
    async with conn.cursor(row_factory=class_row(Facts)) as cursor:
        await cursor.execute(statement("facts"))
        return (await cursor.fetchall())[0]


async def read_members(conn: AsyncConnection[Any], tables: Sequence[TableName]) -> list[Member]:
    """Read these tables with all that is below them, roots first."""
    names = {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]}
    parameters = {**names, "pglogical": await has_pglogical(conn)}
    async with conn.cursor(row_factory=class_row(Member)) as cursor:
        await cursor.execute(statement("tables"), parameters)
        return await cursor.fetchall()


async def read_functions(conn: AsyncConnection[Any]) -> list[PresentFunction]:
    """Read our functions for entities."""
    async with conn.cursor(row_factory=class_row(PresentFunction)) as cursor:
        await cursor.execute(statement("functions"))
        return await cursor.fetchall()


async def read_triggers(conn: AsyncConnection[Any]) -> list[PresentTrigger]:
    """Read every trigger that calls one of our functions."""
    return [
        PresentTrigger(
            TableName(row["schema"], row["table"]),
            row["name"],
            row["enabled"],
            row["copy"],
            (
                row["function"],
                row["type"],
                row["old_table"],
                row["new_table"],
                row["conditional"],
                row["some_columns"],
            ),
        )
        for row in await read(conn, "triggers")
    ]


async def read_locked(conn: AsyncConnection[Any], tables: Sequence[TableName]) -> dict[TableName, list[int]]:
    """Read, for each table, the oids that a trigger on it locks: its own and those of its partitions and children."""
    found: dict[TableName, list[int]] = {}
    members = await read_members(conn, tables) if tables else []
    by_root: dict[int, list[int]] = {}
    for member in members:
        by_root.setdefault(member.root, []).append(member.oid)
    for member in members:
        if member.oid == member.root:
            found[member.table] = by_root[member.root]
    return found


async def read_view(conn: AsyncConnection[Any], schema: str, name: str) -> View | None:
    """Look at the place of the users' view; ``None``: there is no such schema."""
    async with conn.cursor(row_factory=class_row(View)) as cursor:
        await cursor.execute(statement("view"), {"schema": schema, "name": name})
        return await cursor.fetchone()


async def read_role(conn: AsyncConnection[Any], role: str) -> Reader | None:
    """Read what a role may see past row-level security; ``None``: there is no such role."""
    async with conn.cursor(row_factory=class_row(Reader)) as cursor:
        await cursor.execute(statement("role"), {"role": role})
        return await cursor.fetchone()


async def read(
    conn: AsyncConnection[Any], name: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """Run a named block of ``state.sql``."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement(name), parameters)
        return await cursor.fetchall()


def statement(name: str) -> str:
    """Give a named block of ``state.sql``."""
    return blocks("state.sql", "syncline.capture.postgres")[name]
