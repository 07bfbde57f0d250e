"""What the source says of itself: which tables the session hook is responsible for, and as what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from syncline.capture.sqlalchemy.cascades import Cascade, Part, actions, refuse_unseen
from syncline.errors import CaptureError, NotInstalledError, PrivilegeError
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks

OURS = {"syncline": "marked: this is Syncline"}
"""Execution options of our own statements; the guard lets them pass."""


@dataclass(frozen=True, slots=True)
class Role:
    """What rows of a table are to an entity."""

    entity: int
    name: str
    """The entity's."""
    table: TableName
    columns: tuple[str, ...]
    """The table's columns that hold the entity's key, in its order."""
    key_types: tuple[str, ...]
    own: bool
    """They are its records; else children within its documents."""
    guarded: bool
    """Nothing but the session hook captures it: what the hook cannot see must not happen."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The hook's knowledge of one source. It is not refreshed: after ``syncline install`` restart the application."""

    roles: Mapping[TableName, tuple[Role, ...]]
    aliases: Mapping[TableName, TableName]
    """Views, partitions and relatives, each with the table whose rows it gives access to."""
    types: Mapping[TableName, Mapping[str, str]]
    primary_keys: Mapping[TableName, tuple[str, ...]]

    def find(self, schema: str | None, name: str) -> TableName | None:
        """Find the table or alias that is meant. Without a schema the name is enough: a mark too many is harmless."""
        if schema is not None:
            table = TableName(schema, name)
            return table if table in self.roles or table in self.aliases else None
        return self.named(name)

    def named(self, name: str) -> TableName | None:
        """Find a table or alias by its bare name, tables first."""
        return next((table for table in (*self.roles, *self.aliases) if table.name == name), None)

    def guard(self, table: TableName) -> Role | None:
        """Give the role because of which unseen writes to the table (or alias) are refused."""
        roles = self.roles.get(table) or self.roles[self.aliases[table]]
        return next((role for role in roles if role.guarded), None)


def load(connection: Connection, names: Iterable[str], exempt: Mapping[str, str]) -> Installed:
    """Read what is installed: every entity that is captured by sessions, and those that are named.

    Raises:
        NotInstalledError: this database has no Syncline, or not this entity.
        CaptureError: PostgreSQL would change rows by itself.

    """
    if not _rows(connection, "present")[0][0]:
        raise NotInstalledError(hint="run `syncline install` before the application writes through captured sessions")
    entities = _rows(connection, "entities")
    missing = set(names) - {row.name for row in entities}
    if missing:
        raise NotInstalledError(f"not installed: {', '.join(sorted(missing))}", hint="run `syncline install`")
    wanted = set(names)
    roles: dict[TableName, tuple[Role, ...]] = {}
    parts: list[Part] = []
    for row in entities:
        if row.capture == "session" or row.name in wanted:
            for role, part in _roles(row):
                roles[role.table] = (*roles.get(role.table, ()), role)
                parts += [part] if role.guarded else []
    refuse_unseen(_cascades(connection), parts, exempt)
    types, primary_keys = _columns(connection, roles)
    aliases = _aliases(connection, roles)
    _refuse_ambiguity(roles)
    return Installed(roles, aliases, types, primary_keys)


def _roles(row: Any) -> Iterable[tuple[Role, Part]]:
    table, key, types = TableName.parse(row.source_table), tuple(row.key_columns), tuple(row.key_types)
    guarded = row.capture == "session"
    yield Role(row.id, row.name, table, key, types, own=True, guarded=guarded), Part(row.name, table, key)
    for embed in orjson.loads(row.definition).get("embeds", ()):
        child, on = TableName.parse(embed["table"]), tuple(embed["on"])
        role = Role(row.id, row.name, child, on, types, own=False, guarded=guarded)
        yield role, Part(row.name, child, on, table, key)


def _columns(
    connection: Connection, roles: Iterable[TableName]
) -> tuple[dict[TableName, dict[str, str]], dict[TableName, tuple[str, ...]]]:
    types: dict[TableName, dict[str, str]] = {table: {} for table in roles}
    keys: dict[TableName, tuple[str, ...]] = dict.fromkeys(types, ())
    for row in _rows(connection, "columns"):
        table = TableName(row.schema, row.table)
        if table in types:
            types[table][row.name] = row.type
            keys[table] += (row.name,) if row.primary_key else ()
    return types, keys


def _aliases(connection: Connection, roles: Mapping[TableName, tuple[Role, ...]]) -> dict[TableName, TableName]:
    found: dict[TableName, TableName] = {}
    for row in _rows(connection, "aliases"):
        alias, table = TableName(row.alias_schema, row.alias), TableName(row.schema, row.table)
        if table in roles and alias not in roles and (alias not in found or any(r.guarded for r in roles[table])):
            found[alias] = table
    return found


def _cascades(connection: Connection) -> Iterable[Cascade]:
    for row in _rows(connection, "cascades"):
        child, parent = TableName(row.schema, row.table), TableName(row.parent_schema, row.parent)
        for action in actions(row.on_delete, row.on_update):
            yield Cascade(child, tuple(row.columns), parent, tuple(row.parent_columns), action)


def _refuse_ambiguity(roles: Iterable[TableName]) -> None:
    seen: dict[str, TableName] = {}
    for table in roles:
        if seen.setdefault(table.name, table) != table:
            raise CaptureError(
                f"{seen[table.name]} and {table} are both captured by sessions and share a name",
                hint="capture one of them with triggers",
            )


def _rows(connection: Connection, name: str) -> list[Any]:
    statement = text(_escaped(blocks("session.sql", "syncline.capture.sqlalchemy")[name]))
    try:
        return list(connection.execute(statement, execution_options=OURS))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) != "42501":
            raise
        raise PrivilegeError(
            str(error.orig).splitlines()[0],
            hint="GRANT USAGE ON SCHEMA syncline, SELECT ON syncline.entity and syncline.meta to the writing role",
        ) from error


def _escaped(statement: str) -> str:
    """Keep SQLAlchemy from reading ``::type`` and ``:name`` as parameters."""
    return statement.replace(":", r"\:")
