"""Which entities are installed in the source, and whether the configuration still says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from syncline.errors import NotInstalledError, VersionError
from syncline.journal.migration import SCHEMA_VERSION, SchemaVersion
from syncline.journal.parts import require_whole
from syncline.model.entity import Entity, Fields, TableName
from syncline.postgres.connection import translated
from syncline.postgres.sql import blocks

COLUMNS_NOTED = 4
"""The migration since which an installation takes note of columns."""
_LATER = frozenset({"dates", "new_columns", "form"})
ARMED, REARMING = "armed", "rearming"


@dataclass(frozen=True, slots=True)
class InstalledEntity:
    """An entity as the source knows it since the last ``syncline install``."""

    id: int
    name: str
    table: str
    collection: str
    key_columns: tuple[str, ...]
    key_types: tuple[str, ...]
    capture: str
    """``triggers`` or ``session``."""
    definition: Mapping[str, Any]
    """What ``definition`` made of the configured entity then."""
    state: str = "armed"
    """``pending``: not all of its triggers have been made, nobody serves it. ``rearming``: served, and its records are
    to be marked when its triggers have been put back. ``armed``: all is there."""
    mask: tuple[str, ...] | None = ()
    """Fields whose values no report shows; ``None``: an older release has installed it, and left them to the file."""
    known_columns: Mapping[str, Any] | None = None
    """The columns that were there then, see ``model.new_columns``; ``None``: they were not noted yet."""


async def installed(conn: AsyncConnection[Any], *, older: bool = False) -> dict[str, InstalledEntity]:
    """Read the installed entities by name.

    Args:
        conn: to the source.
        older: also from a schema that is still to be migrated, from version 1 on.

    Raises:
        NotInstalledError: this database has no outbox.
        VersionError: its schema belongs to another version of Syncline.
        DamagedError: another tool has dropped something of it.

    """
    with translated():
        version = await schema_version(conn)
        if older:
            require_version(version, older=True)
        else:
            await require_installed(conn, version)
        async with conn.cursor(row_factory=dict_row) as cursor:
            columns: dict[int, Mapping[str, Any]] = {}
            if version is not None and COLUMNS_NOTED in version.applied:
                await cursor.execute(_sql("columns"))
                columns = {row["id"]: row["known_columns"] for row in await cursor.fetchall()}
            await cursor.execute(_sql("entities"))
            return {row["name"]: _entity(row, columns.get(row["id"])) for row in await cursor.fetchall()}


async def known_columns(conn: AsyncConnection[Any]) -> str:
    """Digest what the last installation took note of."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        row = await (await cursor.execute(_sql("known_columns"))).fetchone()
    return str(row["known"]) if row else ""


async def schema_version(conn: AsyncConnection[Any]) -> SchemaVersion | None:
    """Read the version of our schema; ``None`` when there is none."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        there = await (await cursor.execute(_sql("present"))).fetchone()
        if there is None or not there["present"]:
            return None
        row = await (await cursor.execute(_sql("version"))).fetchone()
        if row is None:
            return None
        applied = await (await cursor.execute(_sql("migrations"))).fetchall() if there["numbered"] else []
    return SchemaVersion(row["schema_version"], frozenset(found["number"] for found in applied))


async def require_installed(conn: AsyncConnection[Any], version: SchemaVersion | None) -> None:
    """See that our schema is there, of a version that this package can work with, and whole.

    Raises:
        NotInstalledError, VersionError: it is not.
        DamagedError: another tool has dropped something of it; the hint names the command.

    """
    if version is None:
        await require_whole(conn)  # says more, where something of ours is left
    require_version(version)
    await require_whole(conn)


def require_version(version: SchemaVersion | None, *, older: bool = False) -> None:
    """Let pass what this package can work with: everything that it knows is there, nothing that it needs is gone.

    A newer package that has been here does no harm until its ``syncline install --finish``.

    Raises:
        NotInstalledError: there is no schema.
        VersionError: it is too new or, unless ``older`` may be, too old.

    """
    if version is None:
        raise NotInstalledError(hint="run `syncline install`")
    if version.oldest > SCHEMA_VERSION:
        raise VersionError(
            f"the database has schema version {version.oldest}, this Syncline knows {SCHEMA_VERSION}",
            hint="upgrade the syncline package here; a newer one has been at this database",
        )
    if version.missing and not older:
        raise VersionError(
            f"the database has schema version {version.newest}, this Syncline needs {SCHEMA_VERSION}: "
            f"migrations {', '.join(map(str, sorted(version.missing)))} are missing",
            hint="run `syncline install` to migrate it",
        )


def check(entities: Iterable[Entity], present: Mapping[str, InstalledEntity]) -> list[str]:
    """Say how the configured entities differ from the installed ones; empty: they do not."""
    wanted = {entity.name: entity for entity in entities}
    findings = [f"{name}: not installed" for name in wanted if name not in present]
    findings += [f"{name}: installed, but not in the configuration" for name in present if name not in wanted]
    for name in wanted.keys() & present.keys():
        changed = differences(definition(wanted[name]), present[name].definition)
        if changed:
            findings.append(f"{name}: changed since the installation ({', '.join(changed)})")
    return [f"{finding}; run `syncline install`" for finding in sorted(findings)]


def differences(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> list[str]:
    """Name the parts of two definitions that differ."""
    return sorted(part for part in wanted.keys() | present.keys() if wanted.get(part) != present.get(part))


def definition(entity: Entity) -> dict[str, Any]:
    """Write an entity as JSON: what the installation remembers of it, equal exactly when the declaration is."""
    plain = _plain(entity)
    assert isinstance(plain, dict)  # noqa: S101  an Entity is a dataclass
    del plain["mask"]  # documents are the same with it and without
    return plain


def _plain(value: object) -> Any:
    if isinstance(value, TableName):
        return str(value)
    if isinstance(value, (Entity, Fields)):
        # What came later is not written while it is the default: a new release must not take all for changed.
        return {
            field.name: _plain(getattr(value, field.name))
            for field in fields(value)
            if field.name not in _LATER or getattr(value, field.name) != field.default
        }
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def _entity(row: Mapping[str, Any], columns: Mapping[str, Any] | None) -> InstalledEntity:
    return InstalledEntity(
        row["id"],
        row["name"],
        row["source_table"],
        row["collection"],
        tuple(row["key_columns"]),
        tuple(row["key_types"]),
        row["capture"],
        row["definition"],
        row["state"],
        tuple(row["mask"]) if row["masked"] else None,
        columns,
    )


def _sql(name: str) -> str:
    return blocks("registry.sql")[name]
