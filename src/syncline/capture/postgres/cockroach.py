"""Installing in CockroachDB: planned like in PostgreSQL, carried out one statement at a time.

Schema changes there are transactions of their own, so an installation is not all or nothing. It is in an order in which
every prefix is harmless and a second run goes on: tables; triggers, each recorded before it is made; tasks that mark
what was there before; the rows of ``syncline.entity``; last the word that the triggers are complete, without which the
next run takes their changes for missed. A new trigger is made before the old one goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from syncline.capture.postgres import strangers
from syncline.capture.postgres.cockroach_triggers import (
    KEY_TYPES,
    Capture,
    capture,
    drop,
    key_function,
    table_of,
    template,
)
from syncline.capture.postgres.halves import plan_missing
from syncline.capture.postgres.install_plan import InstallPlan
from syncline.capture.postgres.migrate import plan_migrations, record_all
from syncline.capture.postgres.plan import Wanted, gap
from syncline.capture.postgres.plan_entities import forget_entity, plan_backfills, plan_entities
from syncline.capture.postgres.schema import drop_view, shown, taken
from syncline.errors import MappingError, NotInstalledError, SourceError
from syncline.journal.migration import SCHEMA_VERSION, SchemaVersion
from syncline.journal.parts import Part
from syncline.journal.registry import InstalledEntity
from syncline.model.entity import TableName
from syncline.model.link import current
from syncline.ports import UNREADABLE
from syncline.postgres.connection import translated
from syncline.postgres.dialect import OLDEST_COCKROACH, Dialect, cockroach_version
from syncline.postgres.retrying import alone
from syncline.postgres.sql import blocks, ours

_WORKER = ("SELECT", "INSERT", "UPDATE", "DELETE")


async def plan_cockroach(
    conn: AsyncConnection[Any],
    wanted: Sequence[Wanted],
    present: Mapping[str, InstalledEntity],
    *,
    package: str,
    view: tuple[str, str] | None,
    worker_role: str | None,
    writer_role: str | None,
    backfill: bool,
    version: SchemaVersion | None,
    lacking: Sequence[Part],
    finish: bool,
) -> InstallPlan:
    """Compare a cluster with the configuration; nothing is changed.

    Raises:
        MappingError: an entity's key cannot be captured there.
        SourceError: the cluster is older than 24.3.

    """
    if cockroach_version(conn) < OLDEST_COCKROACH:
        raise SourceError("this CockroachDB has no triggers", hint="Syncline needs version 24.3 or newer")
    _refuse_keys(wanted)
    plan = InstallPlan(one_by_one=True, projections=[one.projection for one in wanted])
    if version is None:
        await _plan_schema(conn, plan, package)
    else:
        plan_missing(plan, lacking, [one.entity.name for one in wanted], Dialect.COCKROACHDB)
        plan_migrations(plan, version, Dialect.COCKROACHDB, finish=finish)
    needed = [capture(watch) for one in wanted if one.capture == "triggers" for watch in one.watches]
    recorded = {row["name"]: row for row in await _recorded(conn)}
    captured = {e.id: e.name for e in present.values() if e.capture == "triggers"}
    kept = {one.trigger for one in needed}
    gone = [row for name, row in recorded.items() if name not in kept]
    await _plan_drops(conn, plan, [row for row in gone if row["entity"] not in captured])
    definitions = InstallPlan()
    plan_entities(definitions, wanted, present, gradually=False)
    for one in wanted:
        if one.entity.name not in present:
            plan.add(None, *forget_entity(one.id))
    await _plan_triggers(conn, plan, needed, recorded, captured)
    for name in definitions.backfill:
        plan.stale(name)
    if backfill:
        plan_backfills(plan, wanted, present)
    if definitions.statements:
        plan.add(None, *(key_function(one.id, one.projection.key) for one in wanted))
    plan.add(None, *definitions.statements)
    plan.summary += definitions.summary
    plan.warnings += definitions.warnings
    await _plan_drops(conn, plan, [row for row in gone if row["entity"] in captured])
    if plan.summary:
        plan.add(
            None,
            sql.SQL(ours("/* syncline */ UPDATE syncline.capture SET complete = true WHERE NOT complete")).format(),
        )
        plan.warnings += _LIMITS
    await _plan_view(conn, plan, view)
    _plan_grants(plan, [watch.table for one in wanted for watch in one.watches], worker_role, writer_role)
    return plan


_LIMITS = (
    "TRUNCATE fires no trigger in CockroachDB: `syncline verify` finds what it removed, `syncline repair` corrects it",
    (
        "trigger functions run with the writer's privileges in CockroachDB: every role that writes to a synced table "
        "needs USAGE on schema syncline and INSERT on syncline.outbox (`syncline install --writer-role`)"
    ),
)


async def carry_out(conn: AsyncConnection[Any], statements: Iterable[sql.Composed]) -> None:
    """Run the statements of a plan, each on its own, repeated when the cluster asks for it.

    Raises:
        SourceError: one failed; what came before it stays, and the next run goes on from there.

    """
    for statement in statements:
        with translated():
            await alone(conn, statement)


async def plan_removal(conn: AsyncConnection[Any]) -> InstallPlan:
    """Plan to drop triggers, the view for people and our schema.

    Raises:
        NotInstalledError: there is nothing to remove.

    """
    if not (await _rows(conn, "present"))[0]["present"]:
        raise NotInstalledError(hint="there is nothing to remove")
    await strangers.refuse_to_drop(conn)
    plan = InstallPlan(one_by_one=True)
    await _plan_drops(conn, plan, await _recorded(conn))
    for row in await _rows(conn, "our_views"):
        plan.add(f"drop view {shown(row['schema'], row['name'])}", drop_view(row["schema"], row["name"]))
    plan.add(f"drop schema {current().schema}", sql.SQL(ours("/* syncline */ DROP SCHEMA syncline CASCADE")).format())
    return plan


async def missing_triggers(conn: AsyncConnection[Any]) -> list[str]:
    """List the triggers that were installed and are not there, or do not fire."""
    missing = []
    for row in await _recorded(conn):
        table = TableName.parse(row["source_table"])
        if row["name"] not in (await _triggers(conn, table) or ()):
            missing.append(f"{row['name']} on {table}")
    return missing


def _refuse_keys(wanted: Iterable[Wanted]) -> None:
    for one in wanted:
        for column in one.projection.key:
            if column.base not in KEY_TYPES:
                raise MappingError(
                    f"{one.entity.name}: {column.name} is {column.type}, which is no key on CockroachDB yet",
                    hint=f"its text may follow a setting of the writer's; keys there: {', '.join(sorted(KEY_TYPES))}",
                )


async def _plan_schema(conn: AsyncConnection[Any], plan: InstallPlan, package: str) -> None:
    texts = [text.removesuffix(";") for text in blocks("cockroach.sql").values()]
    meta = sql.SQL(
        ours(
            "/* syncline */ INSERT INTO syncline.meta (schema_version, package, cluster) VALUES ({}, {}, {}) "
            "ON CONFLICT (only_row) DO NOTHING"
        )
    ).format(*map(sql.Literal, (SCHEMA_VERSION, package, await _cluster(conn))))
    statements = [sql.Composed([sql.SQL(text)]) for text in texts]  # our own file
    plan.add(f"create schema {current().schema} with its tables", *statements, record_all(), meta)


async def _plan_triggers(
    conn: AsyncConnection[Any],
    plan: InstallPlan,
    needed: Sequence[Capture],
    recorded: Mapping[str, Mapping[str, Any]],
    captured: Mapping[int, str],
) -> None:
    """Add what makes the triggers what they must be; what was not captured meanwhile has to be marked."""
    functions = frozenset(row["name"] for row in await _rows(conn, "functions"))
    for one in needed:
        there = one.trigger in (await _triggers(conn, one.table) or ())
        if there and recorded.get(one.trigger, {}).get("complete"):
            continue
        record = sql.SQL(
            ours(
                "/* syncline */ INSERT INTO syncline.capture VALUES ({}, {}, {}, false) "
                "ON CONFLICT (name) DO UPDATE SET complete = false"
            )
        )
        values = map(sql.Literal, (one.trigger, one.entity, str(one.table)))
        plan.add(f"{one.table}: create trigger {one.trigger}", record.format(*values))
        if one.function not in functions:
            plan.add(None, one.create_function)
        if not there:
            plan.add(None, one.create_trigger)
        if one.entity in captured:
            gap(plan, captured[one.entity], f"trigger {one.trigger} on {one.table} was missing or is another one now")


async def _plan_drops(conn: AsyncConnection[Any], plan: InstallPlan, rows: Iterable[Mapping[str, Any]]) -> None:
    for row in rows:
        table = TableName.parse(row["source_table"])
        there = await _triggers(conn, table) is not None
        plan.add(f"{table}: drop trigger {row['name']}", *drop(table if there else None, row["name"]))


async def _plan_view(conn: AsyncConnection[Any], plan: InstallPlan, view: tuple[str, str] | None) -> None:
    present = {(row["schema"], row["name"]) for row in await _rows(conn, "our_views")}
    for place in sorted(present - {view}):
        plan.add(f"drop view {shown(*place)}", drop_view(*place))
    if view is None or (view in present and not plan.migrations):
        return
    schema, name = view
    if view not in present and (await _rows(conn, "taken", {"schema": schema, "name": name}))[0]["taken"]:
        raise taken(schema, name)
    create = sql.SQL(ours("/* syncline */ CREATE OR REPLACE VIEW {} AS SELECT * FROM syncline.changes"))
    plan.add(f"create view {shown(schema, name)}", create.format(sql.Identifier(schema, name)))


def _plan_grants(plan: InstallPlan, tables: Sequence[TableName], worker: str | None, writer: str | None) -> None:
    for role in dict.fromkeys(role for role in (worker, writer) if role is not None):
        plan.add(None, _grant(ours("USAGE ON SCHEMA syncline"), role))
    if writer is not None:
        plan.add(f"let {writer} write marks", _grant(ours("INSERT ON TABLE syncline.outbox"), writer))
    if worker is not None:
        plan.add(
            f"grant our tables and the synced ones to {worker}",
            _grant(f"{', '.join(_WORKER)} ON ALL TABLES IN SCHEMA {current().schema}", worker),
            *(
                sql.SQL("/* syncline */ GRANT SELECT ON TABLE {} TO {}").format(table_of(table), sql.Identifier(worker))
                for table in dict.fromkeys(tables)
            ),
        )


def _grant(what: str, role: str) -> sql.Composed:
    return sql.SQL("/* syncline */ GRANT {} TO {}").format(sql.SQL(what), sql.Identifier(role))


async def _cluster(conn: AsyncConnection[Any]) -> str:
    """Name the cluster and the database. The cluster's id is not for everybody to read (``allow_unsafe_internals``)."""
    database = await (await alone(conn, sql.SQL("SELECT current_database()::text"))).fetchone()
    try:
        row = await (await alone(conn, sql.SQL("SELECT crdb_internal.cluster_id()::text"))).fetchone()
    except psycopg.DatabaseError:
        row = None
    return f"{row[0] if row else UNREADABLE}/{database[0] if database else ''}"


async def _triggers(conn: AsyncConnection[Any], table: TableName) -> frozenset[str] | None:
    """Read the names of a table's triggers that fire; ``None``: there is no such table."""
    try:
        rows = await _rows(conn, "present_triggers", table=table)
    except psycopg.errors.UndefinedTable:
        return None
    return frozenset(row["trigger_name"] for row in rows if row["enabled"])


async def _recorded(conn: AsyncConnection[Any]) -> list[dict[str, Any]]:
    try:
        return await _rows(conn, "captured")
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return []


async def _rows(
    conn: AsyncConnection[Any], block: str, values: Mapping[str, Any] | None = None, *, table: TableName | None = None
) -> list[dict[str, Any]]:
    statement = template(block).format(table=table_of(table)) if table is not None else template(block)
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()
