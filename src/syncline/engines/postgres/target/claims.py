"""Whose tables these are: one link writes a table, whichever file or installation the links are of."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from syncline.engines.postgres.target.session import Connection
from syncline.errors import UnsuitableTargetError
from syncline.model.entity import Entity, TableName
from syncline.model.link import Link
from syncline.ports import same_system
from syncline.postgres.sql import blocks


@dataclass(frozen=True, slots=True)
class Claim:
    """What a link writes."""

    link: str
    """Its tag."""
    system: str
    """The source: its cluster and database."""
    tables: Mapping[str, str]
    """Name in the target to name in the source, as SQL says them."""
    beyond: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)
    """Name in the target to where the source's table is written from, link by link: cluster and database, and name."""

    def origins(self, table: str) -> list[tuple[str, str]]:
        """List where a table of the target is written from, as far as the links know."""
        if table not in self.tables:
            return []
        return [(self.system, self.tables[table]), *self.beyond.get(table, ())]

    @property
    def owner(self) -> str:
        """Name the link."""
        return f"{_link(self.link)} of the source {self.system}"

    def is_of(self, other: Claim) -> bool:
        """Tell whether both are of one link."""
        return self.link == other.link and same_system(self.system, other.system)


def _link(tag: str) -> Link:
    return Link("" if tag == Link().tag else tag)


def claim_of(link: str, system: str, entities: Sequence[Entity], theirs: Iterable[Claim] = ()) -> Claim:
    """Say what a link is going to write.

    Args:
        link: its tag.
        system: the source; may be followed by when its server was started.
        entities: what it carries.
        theirs: what others have noted that they write in the source's database, but for the way back.

    """
    tables = {quoted(TableName.parse(one.collection)): quoted(one.table) for one in entities}
    claims = list(theirs)
    beyond = {there: [one for claim in claims for one in claim.origins(here)] for there, here in tables.items()}
    return Claim(link, system.partition(" ")[0], tables, {name: origins for name, origins in beyond.items() if origins})


def quoted(table: TableName) -> str:
    """Write a table's name as SQL has it."""
    return sql.Identifier(table.schema, table.name).as_string()


def _block(name: str, schema: str = "") -> sql.Composed:
    text = blocks("claims.sql", "syncline.engines.postgres.target")[name]
    return sql.SQL(text).format(schema=sql.Identifier(schema))


async def claims(connection: Connection) -> dict[str, Claim]:
    """Read every link's claim in this database, by the schema of its records."""
    names = [name for (name,) in await (await connection.execute(_block("schemas"))).fetchall()]
    found = {}
    for name in names:
        row = await (await connection.execute(_block("claim", name))).fetchone()
        if row is not None:
            beyond = {table: [(system, of) for system, of in all_] for table, all_ in json.loads(row[3]).items()}
            found[name] = Claim(row[0], row[1], json.loads(row[2]), beyond)
    return found


async def require_free(connection: Connection, mine: Claim, schema: str) -> None:
    """See that no other link writes one of these tables.

    Raises:
        UnsuitableTargetError: one does.

    """
    for name, theirs in (await claims(connection)).items():
        if name == schema or theirs.is_of(mine):
            continue
        values = {"mine": list(mine.tables), "theirs": list(theirs.tables)}
        row = await (await connection.execute(_block("meet"), values)).fetchone()
        if row is not None:
            raise UnsuitableTargetError(
                f"{row[0]} in the target is written by {theirs.owner} already",
                hint="one link writes a table: name another one by `target_table`, or take it out of that link and "
                f"start its worker; if that link is gone for good: DROP SCHEMA {sql.Identifier(name).as_string()} "
                "CASCADE in the target",
            )


async def take(connection: Connection, mine: Claim, schema: str) -> None:
    """Note what a link writes, for others to read.

    Where the role may not make the table for it, nothing is noted; others' claims are heeded all the same.

    Raises:
        UnsuitableTargetError: another link writes one of these tables.

    """
    async with connection.transaction():
        await connection.execute(_block("turn"))
        await require_free(connection, mine, schema)
        owner = await (await connection.execute(_block("owner", schema))).fetchone()
        if owner is None or same_system(owner[0], mine.system):  # another source's copy the heartbeat finds
            await note(connection, mine, schema)


async def note(connection: Connection, mine: Claim, schema: str) -> None:
    """Do the same for a link that knows otherwise that the target is its own.

    Raises:
        UnsuitableTargetError: another link writes one of these tables.

    """
    async with connection.transaction():
        await connection.execute(_block("turn"))
        await require_free(connection, mine, schema)
        if await _is_made(connection, schema):
            values = {"link": mine.link, "system": mine.system, "tables": Jsonb(dict(mine.tables))}
            await connection.execute(_block("take", schema), values | {"beyond": Jsonb(dict(mine.beyond))})


def require_no_ring(theirs: Iterable[Claim], mine: Claim, target: str) -> None:
    """See that what goes to a table does not come back to where it is read, by links of which none is the way back.

    Of a ring of several the link sees it that closes it; or, where they were begun in another order, the next one that
    starts: each notes what the link before it knows.

    Args:
        theirs: what other links have noted in the source's database that they write there, but for the way back.
        mine: what this link is going to write.
        target: cluster and database.

    Raises:
        UnsuitableTargetError: it does.

    """
    for other in theirs:
        for there, here in mine.tables.items():
            if any(same_system(system, target) and table == there for system, table in other.origins(here)):
                raise UnsuitableTargetError(
                    f"what {_link(mine.link)} writes to {there} comes back to {here}, its source, by {other.owner}: a "
                    "change would go round for ever",
                    hint="if it is the way back of that link, put both into one file, and say so: reverse_of = "
                    f'"{other.link}"',
                )


async def release(connection: Connection, schema: str) -> None:
    """Forget what a link has written."""
    if await _is_there(connection, schema):
        await connection.execute(_block("release", schema))


async def _is_there(connection: Connection, schema: str) -> bool:
    values = {"schema": sql.Identifier(schema).as_string()}
    row = await (await connection.execute(_block("there"), values)).fetchone()
    return bool(row and row[0])


async def _is_made(connection: Connection, schema: str) -> bool:
    if await _is_there(connection, schema):
        return await _are_run(connection, schema, "column")
    return await _are_run(connection, schema, "table", "open_schema", "open_table")


async def _are_run(connection: Connection, schema: str, *parts: str) -> bool:
    try:
        async with connection.transaction():
            for part in parts:
                await connection.execute(_block(part, schema))
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True
