"""``syncline install``: our schema, and each entity's functions and triggers. Idempotent; what differs is repaired."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from psycopg import AsyncConnection

from syncline.capture.postgres import cockroach
from syncline.capture.postgres.carry_out import carry_out, overtaken, prologue
from syncline.capture.postgres.columns import plan_columns
from syncline.capture.postgres.event_triggers import plan_event_trigger
from syncline.capture.postgres.grants import plan_grants
from syncline.capture.postgres.halves import lost_entities, plan_missing, plan_numbers
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.migrate import migrate, plan_migrations
from syncline.capture.postgres.path import plan_path, record_path
from syncline.capture.postgres.plan import arms, plan_triggers
from syncline.capture.postgres.plan_entities import plan_backfills, plan_entities, plan_rearming
from syncline.capture.postgres.preflight import examine, examine_server, wanted_entities, warn_of_excluded
from syncline.capture.postgres.removal import plan_removal
from syncline.capture.postgres.schema import plan_schema, plan_view
from syncline.capture.postgres.state import read, read_facts, read_functions, read_locked, read_members, read_triggers
from syncline.config.settings import SourceSettings
from syncline.errors import MappingError, NotInstalledError, OvertakenError, PartlyDoneError, VersionError
from syncline.journal.migration import SCHEMA_VERSION, SchemaVersion
from syncline.journal.parts import Part, missing_parts
from syncline.journal.registry import InstalledEntity, installed, require_version, schema_version
from syncline.journal.tables import numbers, odd_outbox
from syncline.model.defaults import LOCK_TIMEOUT, PATIENCE
from syncline.model.entity import Entity, TableName
from syncline.ports import PENDING
from syncline.postgres.connection import translated
from syncline.postgres.dialect import Dialect, on_cockroach
from syncline.version import __version__

TURNS = 5
"""How often an installation is planned again because of others."""

__all__ = [
    "LOCK_TIMEOUT",
    "PATIENCE",
    "InstallOptions",
    "InstallPlan",
    "PartlyDoneError",
    "install",
    "options_of",
    "plan",
    "plan_uninstall",
    "uninstall",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """How to install."""

    capture: Literal["triggers", "session"] = "triggers"
    """``session``: no triggers; the SQLAlchemy hook marks what it sees."""
    wake: bool = True
    """False: writers never NOTIFY (a pooler in transaction mode, prepared transactions); the worker polls."""
    view_schema: str | None = "public"
    """Where the view for people's everyday questions also goes; ``None``: only into our schema."""
    view_name: str = "Outbox"
    """How it is called there."""
    by_row: frozenset[TableName] = frozenset()
    """Tables that get row-level triggers though they look ordinary. Targets of subscriptions get them anyway."""
    worker_role: str | None = None
    """A role that gets what a worker needs: our schema and tables, SELECT on the synced tables, no more."""
    writer_role: str | None = None
    """A role that may call ``syncline.mark()``: for session capture and explicit events. Triggers need no grant."""
    search_path: tuple[str, ...] = ()
    """Schemas in which `where` and computed fields look for names; empty: as recorded, at first that of the role."""
    backfill: bool = False
    """Also request the backfills that the installation makes necessary; they stand or fall with it."""
    finish: bool = False
    """Also take away what only the previous release needs; it no longer works here afterwards."""
    event_triggers: bool | None = None
    """True: an event trigger says at once that a schema change has ended capture; ``None``: one that is there stays."""
    package: str | None = None
    """Version to write into ``meta``; by default that of this package."""
    leaving: frozenset[str] = frozenset()
    """Installed entities that stay as they are."""


def options_of(source: SourceSettings, **more: Any) -> InstallOptions:
    """Say how to install what the settings say."""
    schema = None if source.view_schema == "off" else source.view_schema
    return InstallOptions(
        capture=source.capture,
        wake=source.wake,
        search_path=source.search_path,
        view_schema=schema,
        view_name=source.view_name,
        event_triggers=source.event_triggers,
        **more,
    )


async def plan(
    conn: AsyncConnection[Any], entities: Sequence[Entity], options: InstallOptions | None = None
) -> InstallPlan:
    """Compare the database with the configuration; nothing is changed.

    Raises:
        MappingError: an entity's table, key or embed cannot be captured; the hint says what would do.
        PrivilegeError: the role cannot install; the hint names what to grant.
        VersionError: a newer Syncline has been at this database.
        SourceUnavailableError: it cannot be reached.

    """
    options = options or InstallOptions()
    if on_cockroach(conn):
        return await _plan_cockroach(conn, entities, options)
    with translated():
        facts = await read_facts(conn)
        examine_server(facts)
        lacking = await missing_parts(conn)
        version, present, last, old_package = await _present(conn, lacking)
        package = options.package or __version__
        wanted = await wanted_entities(conn, entities, present, last, capture=options.capture)
        tables = list(dict.fromkeys(watch.table for one in wanted for watch in one.watches))
        families = _families(tables, await read_members(conn, tables))
        result = InstallPlan(projections=[one.projection for one in wanted])
        warn_of_excluded(result, wanted)
        path = await plan_path(conn, result, options.search_path, version, wanted)
        await examine(conn, facts, families, options.worker_role, result)
        plan_missing(result, lacking, [one.entity.name for one in wanted], Dialect.POSTGRESQL)
        if version is not None and not lacking and not version.missing:
            plan_numbers(result, await numbers(conn))
        if version is not None:
            plan_migrations(result, version, Dialect.POSTGRESQL, finish=options.finish)
        present, left = _without(present, options.leaving)
        fresh = version is None
        plan_schema(result, facts, fresh=fresh, wake=options.wake, package=package, old_package=old_package)
        plan_entities(result, wanted, present)
        captured = {e.id: e.name for e in present.values() if e.capture == "triggers" and e.state != PENDING}
        needed = arms(wanted, families, options.by_row)
        upgraded = old_package != package
        functions = [one for one in await read_functions(conn) if one.entity not in left]
        triggers = [one for one in await read_triggers(conn) if one.entity not in left]
        plan_triggers(result, needed, functions, triggers, captured, upgraded=upgraded)
        await plan_view(conn, result, options.view_schema, options.view_name)
        roots = [family[0].oid for family in families.values()]
        whole = not (fresh or lacking)
        await plan_grants(conn, result, roots, whole=whole, worker=options.worker_role, writer=options.writer_role)
        await plan_event_trigger(conn, result, wanted=options.event_triggers)
        plan_columns(result, wanted, present)
        record_path(result, path)
        plan_rearming(result, wanted, present)
        if options.backfill:
            plan_backfills(result, wanted, present)
        if whole and version is not None and not version.missing and (odd := await odd_outbox(conn)):
            result.warnings.append(f"{odd}: each write takes a slower way; take that back")
        result.tables = await read_locked(conn, list(result.steps))
    return result


async def install(
    conn: AsyncConnection[Any],
    plan: InstallPlan,
    *,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    patience: timedelta = PATIENCE,
    command: str = "syncline install",
) -> None:
    """Carry out a plan: one table at a time, in an order in which every prefix is harmless; see ``install_plan``.

    Args:
        conn: to the source, in autocommit mode.
        plan: what to do.
        lock_timeout: how long one attempt waits for a table's lock; writers wait behind it.
        patience: how long tables are tried again that others hold.
        command: what the user calls to go on, for the message.

    Raises:
        PartlyDoneError: locks were not had (the message says who holds them); what was done stays, run it again.
        OvertakenError: somebody else installed meanwhile.
        PrivilegeError: the role lacks a privilege.

    """
    if plan.one_by_one:
        await cockroach.carry_out(conn, [*plan.migrations, *plan.statements])
        return
    with overtaken():
        await migrate(conn, plan.migrations, lambda timeout, holds: prologue(timeout, holds=holds))
        await carry_out(conn, plan, lock_timeout=lock_timeout, patience=patience, command=command)


async def install_in_turn(
    conn: AsyncConnection[Any],
    first: InstallPlan,
    again: Callable[[], Awaitable[InstallPlan]],
    *,
    lock_timeout: timedelta = LOCK_TIMEOUT,
    patience: timedelta = PATIENCE,
) -> None:
    """Install like ``install``, and plan again where somebody else has installed since the plan was made.

    The transactions of several installations take turns, and each finds done what another one has done.

    Raises:
        OvertakenError: that happened again and again.

    """
    wanted = first
    for _ in range(TURNS):
        with suppress(OvertakenError):
            return await install(conn, wanted, lock_timeout=lock_timeout, patience=patience)
        wanted = await again()
    return await install(conn, wanted, lock_timeout=lock_timeout, patience=patience)


async def plan_uninstall(conn: AsyncConnection[Any]) -> InstallPlan:
    """Plan the removal of everything that was ever installed.

    Raises:
        NotInstalledError: there is nothing to remove.
        SourceError: views of others read our tables; they are named.

    """
    with translated():
        if on_cockroach(conn):
            return await cockroach.plan_removal(conn)
        facts = await read_facts(conn)
        if facts.owns_schema is None:
            raise NotInstalledError(hint="there is nothing to remove")
        return await plan_removal(conn)


async def uninstall(
    conn: AsyncConnection[Any], *, lock_timeout: timedelta = LOCK_TIMEOUT, patience: timedelta = PATIENCE
) -> InstallPlan:
    """Remove everything, one table at a time; the targets' documents stay. Returns what was done.

    Raises:
        PartlyDoneError: locks were not had; what was removed stays so, run it again.

    """
    removal = await plan_uninstall(conn)
    await install(conn, removal, lock_timeout=lock_timeout, patience=patience, command="syncline uninstall")
    return removal


async def _plan_cockroach(
    conn: AsyncConnection[Any], entities: Sequence[Entity], options: InstallOptions
) -> InstallPlan:
    with translated():
        lacking = await missing_parts(conn)
        version, present, last, _ = await _present(conn, lacking)
        wanted = await wanted_entities(conn, entities, present, last, capture=options.capture)
        looked = InstallPlan()
        path = await plan_path(conn, looked, options.search_path, version, wanted)
        result = await cockroach.plan_cockroach(
            conn,
            wanted,
            present,
            package=options.package or __version__,
            view=None if options.view_schema is None else (options.view_schema, options.view_name),
            worker_role=options.worker_role,
            writer_role=options.writer_role,
            backfill=options.backfill,
            version=version,
            lacking=lacking,
            finish=options.finish,
        )
    warn_of_excluded(result, wanted)
    result.warnings += looked.warnings
    plan_columns(result, wanted, present)
    record_path(result, path)
    return result


async def _present(
    conn: AsyncConnection[Any], lacking: Sequence[Part]
) -> tuple[SchemaVersion | None, Mapping[str, InstalledEntity], int, str | None]:
    """Read what is installed, by this release or one before."""
    version = await schema_version(conn)
    if version is None:
        return None, {}, 0, None
    require_version(version, older=True)
    if any("migration" in (part.name, part.table) for part in lacking):
        version = SchemaVersion(version.oldest, frozenset())  # what it has had is made once more: that does no harm
    present = {} if lost_entities(lacking) else await installed(conn, older=True)
    if version.newest > SCHEMA_VERSION:
        raise VersionError(
            f"the database has schema version {version.newest}, this Syncline knows {SCHEMA_VERSION}",
            hint="install with the newest package that was here; workers of this one may run until `--finish`",
        )
    meta = (await read(conn, "meta"))[0]
    return version, present, meta["last_entity"], meta["package"]


def _without(
    present: Mapping[str, InstalledEntity], leaving: frozenset[str]
) -> tuple[Mapping[str, InstalledEntity], frozenset[int]]:
    """Take entities that stay as they are out of sight; give their ids."""
    seen = {name: one for name, one in present.items() if name not in leaving}
    return seen, frozenset(one.id for name, one in present.items() if name in leaving)


def _families(tables: Sequence[TableName], members: Sequence[Any]) -> dict[TableName, list[Any]]:
    by_root: dict[int, list[Any]] = {}
    for member in members:
        by_root.setdefault(member.root, []).append(member)
    roots = {family[0].table: family for family in by_root.values()}
    if gone := [str(table) for table in tables if table not in roots]:
        raise MappingError(
            f"there is no table {', '.join(gone)} any more", hint="it was there a moment ago: run the command again"
        )
    return {table: roots[table] for table in tables}
