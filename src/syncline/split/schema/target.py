"""What the other side has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.postgres.sql import blocks
from syncline.split.schema.reading import OWN, begin, read_block, read_tables, want
from syncline.split.schema.tables import Table
from syncline.split.schema.things import Address


@dataclass(frozen=True, slots=True)
class Extension:
    """An extension that the server has the files of."""

    schema: str | None
    """Where it is in this database; ``None``: it is not."""
    trusted: bool
    """A role that is no superuser may make it."""


@dataclass(frozen=True, slots=True)
class Target:
    """What was seen."""

    version: int
    standby: bool
    name: str
    encoding: str
    collation: str
    role: str
    superuser: bool
    creates: bool
    """The role may make schemas and trusted extensions."""
    creates_in_public: bool
    there: frozenset[Address]
    """Things and states of things."""
    roles: frozenset[str]
    extensions: Mapping[str, Extension]
    tables: Mapping[str, Table]
    """By name as SQL writes it."""
    made: Mapping[Address, tuple[str, ...]]
    """Types, sequences and functions, with the statements that would make them."""
    settings: Mapping[tuple[str, str], str]
    """By name and role; without a role those of sessions like this one."""

    @property
    def major(self) -> int:
        """The release."""
        return self.version // 10_000


def read_target(connection: psycopg.Connection[Any], *, quoting: bool = False) -> Target:
    """Look at a database, as a source or as a target.

    Raises:
        psycopg.Error: as the driver raises it.

    """
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        begin(connection, quoting=quoting)
        (server,) = _rows(connection, "server")
        there = read_there(connection)
        names = dict(_rows(connection, "tables"))
        want(connection, names)
        tables = {table.quoted: table for table in read_tables(connection).values()}
        roles = frozenset(name for (name,) in _rows(connection, "roles"))
        extensions = {name: Extension(schema, trusted) for name, schema, trusted in _rows(connection, "extensions")}
        settings = {(name, role): value for name, role, value in _rows(connection, "settings")}
        return Target(*(*server, there, roles, extensions, tables, _made(connection), settings))


def _made(connection: psycopg.Connection[Any]) -> dict[Address, tuple[str, ...]]:
    want(connection, (oid for (oid,) in _rows(connection, "own")))
    addresses = {
        (one, oid): Address(kind, tuple(names), tuple(args))
        for one, oid, kind, names, args, _ in read_block(connection, "addresses")
    }
    rows = [row for block in OWN for row in read_block(connection, block)]
    return {addresses[one, oid]: tuple(statements) for one, oid, _, statements in rows if (one, oid) in addresses}


def read_there(connection: psycopg.Connection[Any]) -> frozenset[Address]:
    """Read which things are there, and in which states."""
    rows = (*_rows(connection, "there"), *_rows(connection, "states"))
    return frozenset(Address(kind, tuple(names), tuple(args)) for kind, names, args in rows)


def _rows(connection: psycopg.Connection[Any], name: str) -> list[Any]:
    return connection.execute(target_sql(name), prepare=False).fetchall()


def target_sql(name: str) -> str:
    """Read one of our statements."""
    return blocks("target.sql", "syncline.split.schema")[name]
