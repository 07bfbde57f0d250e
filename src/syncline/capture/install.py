"""``syncline install``: our schema, and each entity's functions and triggers. Idempotent; what differs is repaired."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version as package_version
from typing import Any, Literal

import psycopg
from psycopg import AsyncConnection, sql

from syncline.capture import cockroach
from syncline.capture.grants import plan_grants
from syncline.capture.migrate import LOCK_TIMEOUT as MIGRATION_LOCK_TIMEOUT
from syncline.capture.migrate import migrate, plan_migrations
from syncline.capture.plan import InstallPlan, arms, plan_backfills, plan_entities, plan_triggers
from syncline.capture.preflight import examine, examine_server, wanted_entities, warn_of_excluded
from syncline.capture.removal import plan_removal
from syncline.capture.schema import plan_schema, plan_view
from syncline.capture.state import read, read_facts, read_functions, read_members, read_triggers
from syncline.errors import NotInstalledError, SourceError, VersionError
from syncline.model.entity import Entity, TableName
from syncline.outbox.connection import translated
from syncline.outbox.dialect import Dialect, on_cockroach
from syncline.outbox.migration import SCHEMA_VERSION, SchemaVersion
from syncline.outbox.registry import InstalledEntity, installed, schema_version

__all__ = ["InstallOptions", "InstallPlan", "install", "plan", "plan_uninstall", "render", "uninstall"]

LOCK_TIMEOUT = timedelta(seconds=5)
_INSTALL_LOCK = (1398361667, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """How to install."""

    capture: Literal["triggers", "session"] = "triggers"
    """``session``: no triggers; the SQLAlchemy hook marks what it sees."""
    wake: bool = True
    """False: writers never NOTIFY (a pooler in transaction mode, prepared transactions); the worker polls."""
    view_schema: str | None = "public"
    """Where the view ``"Outbox"`` for people's everyday questions also goes; ``None``: only into our schema."""
    by_row: frozenset[TableName] = frozenset()
    """Tables that get row-level triggers though they look ordinary. Targets of subscriptions get them anyway."""
    worker_role: str | None = None
    """A role that gets what a worker needs: our schema and tables, SELECT on the synced tables, no more."""
    writer_role: str | None = None
    """A role that may call ``syncline.mark()``: for session capture and explicit events. Triggers need no grant."""
    backfill: bool = False
    """Also request the backfills that the installation makes necessary; they stand or fall with it."""
    finish: bool = False
    """Also take away what only the previous release needs; it no longer works here afterwards."""
    package: str | None = None
    """Version to write into ``meta``; by default that of this package."""


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
        version, present, last, old_package = await _present(conn)
        package = options.package or package_version("syncline")
        wanted = await wanted_entities(conn, entities, present, last, capture=options.capture)
        tables = list(dict.fromkeys(watch.table for one in wanted for watch in one.watches))
        families = _families(tables, await read_members(conn, tables))
        result = InstallPlan()
        warn_of_excluded(result, wanted)
        await examine(conn, facts, families, options.worker_role, result)
        if version is not None:
            plan_migrations(result, version, Dialect.POSTGRESQL, finish=options.finish)
        plan_schema(result, facts, wake=options.wake, package=package, old_package=old_package)
        plan_entities(result, wanted, present)
        captured = {e.id: e.name for e in present.values() if e.capture == "triggers"}
        needed = arms(wanted, families, options.by_row)
        upgraded = old_package != package
        functions = await read_functions(conn)
        plan_triggers(result, needed, functions, await read_triggers(conn), captured, upgraded=upgraded)
        await plan_view(conn, result, options.view_schema)
        roots = [family[0].oid for family in families.values()]
        await plan_grants(conn, result, facts, roots, worker=options.worker_role, writer=options.writer_role)
        if options.backfill:
            plan_backfills(result, wanted, present)
    result.tables = {str(m.table): m.oid for family in families.values() for m in family}
    return result


async def install(conn: AsyncConnection[Any], plan: InstallPlan, *, lock_timeout: timedelta = LOCK_TIMEOUT) -> None:
    """Carry out a plan, in one transaction: all of it or nothing. (On CockroachDB see ``capture.cockroach``.)

    Before it come the migrations of our own tables, step by step; see ``capture.migrate``.

    Each table is locked against writers for a moment; a lock that is not had within ``lock_timeout`` ends the attempt,
    so that the application does not queue behind it.

    Raises:
        SourceError: a lock was not had (the message says who holds it), or somebody else installed meanwhile.
        PrivilegeError: the role lacks a privilege.

    """
    if plan.one_by_one:
        await cockroach.carry_out(conn, [*plan.migrations, *plan.statements])
        return
    await migrate(conn, plan.migrations, _prologue)
    if not plan.statements:
        return
    try:
        with translated():
            async with conn.transaction():
                for statement in (*_prologue(lock_timeout), *plan.statements):
                    await conn.execute(statement)
    except SourceError as error:
        raise await _explained(conn, error, plan.tables) from error.__cause__


def render(plan: InstallPlan, *, lock_timeout: timedelta = LOCK_TIMEOUT) -> str:
    """Write the plan as SQL that psql runs: for review, for a DBA, for a migration."""
    if not plan.changes:
        return "-- nothing to do\n"
    lines = ["-- " + line for line in (*plan.summary, *(f"Warning: {w}" for w in plan.warnings))]
    if plan.one_by_one:
        return "\n".join([*lines, "", *_texts([*plan.migrations, *plan.statements]), ""])
    for step in plan.migrations:
        lines += ["", "BEGIN;", *_texts([*_prologue(MIGRATION_LOCK_TIMEOUT), step]), "COMMIT;"]
    if plan.statements:
        lines += ["", "BEGIN;", *_texts([*_prologue(lock_timeout), *plan.statements]), "COMMIT;"]
    return "\n".join([*lines, ""])


def _texts(statements: Iterable[sql.Composed]) -> list[str]:
    texts = [statement.as_string(None).strip() for statement in statements]
    return [text if text.endswith(";") else f"{text};" for text in texts]


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


async def uninstall(conn: AsyncConnection[Any], *, lock_timeout: timedelta = LOCK_TIMEOUT) -> InstallPlan:
    """Remove everything, in one transaction; the targets' documents stay. Returns what was done."""
    removal = await plan_uninstall(conn)
    await install(conn, removal, lock_timeout=lock_timeout)
    return removal


async def _plan_cockroach(
    conn: AsyncConnection[Any], entities: Sequence[Entity], options: InstallOptions
) -> InstallPlan:
    with translated():
        version, present, last, _ = await _present(conn)
        wanted = await wanted_entities(conn, entities, present, last, capture=options.capture)
        result = await cockroach.plan_cockroach(
            conn,
            wanted,
            present,
            package=options.package or package_version("syncline"),
            view_schema=options.view_schema,
            worker_role=options.worker_role,
            writer_role=options.writer_role,
            backfill=options.backfill,
            version=version,
            finish=options.finish,
        )
    warn_of_excluded(result, wanted)
    return result


async def _present(
    conn: AsyncConnection[Any],
) -> tuple[SchemaVersion | None, Mapping[str, InstalledEntity], int, str | None]:
    """Read what is installed, by this release or one before."""
    try:
        present = await installed(conn, older=True)
    except NotInstalledError:
        return None, {}, 0, None
    version = await schema_version(conn)
    if version is not None and version.newest > SCHEMA_VERSION:
        raise VersionError(
            f"the database has schema version {version.newest}, this Syncline knows {SCHEMA_VERSION}",
            hint="install with the newest package that was here; workers of this one may run until `--finish`",
        )
    meta = (await read(conn, "meta"))[0]
    return version, present, meta["last_entity"], meta["package"]


def _families(tables: Sequence[TableName], members: Sequence[Any]) -> dict[TableName, list[Any]]:
    by_root: dict[int, list[Any]] = {}
    for member in members:
        by_root.setdefault(member.root, []).append(member)
    roots = {family[0].table: family for family in by_root.values()}
    return {table: roots[table] for table in tables}


def _prologue(lock_timeout: timedelta) -> list[sql.Composed]:
    milliseconds = sql.Literal(f"{int(lock_timeout.total_seconds() * 1000)}ms")
    return [
        sql.SQL("/* syncline */ SET LOCAL lock_timeout = {}").format(milliseconds),
        sql.SQL("/* syncline */ SET LOCAL statement_timeout = 0").format(),
        sql.SQL("/* syncline */ SET LOCAL search_path = pg_catalog, pg_temp").format(),
        sql.SQL("/* syncline */ SELECT pg_advisory_xact_lock({}, {})").format(*map(sql.Literal, _INSTALL_LOCK)),
    ]


async def _explained(conn: AsyncConnection[Any], error: SourceError, tables: Mapping[str, int]) -> SourceError:
    cause = error.__cause__
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        holders = await read(conn, "blockers", {"tables": list(tables.values())})
        who = "; ".join(
            f"{h['table']} by pid {h['pid']} ({h['role']}, {h['application']}, {h['state']}, for {h['seconds']} s)"
            for h in holders
        )
        return SourceError(
            f"a table is locked: {who or 'its holder has finished meanwhile'}; nothing was changed",
            hint="try again when that transaction has ended, or with a longer lock timeout",
        )
    if isinstance(
        cause, psycopg.errors.DuplicateObject | psycopg.errors.DuplicateSchema | psycopg.errors.UniqueViolation
    ):
        return SourceError("somebody else installed at the same time; nothing was changed", hint="run it again")
    return error
