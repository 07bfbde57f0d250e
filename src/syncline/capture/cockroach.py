"""Installing in CockroachDB: planned like in PostgreSQL, carried out one statement at a time.

Schema changes there are transactions of their own, so an installation is not all or nothing. It is in an order in which
every prefix is harmless and a second run goes on: tables, then triggers, then the rows of ``syncline.entity``. A new
trigger is made before the old one goes. Functions that a trigger uses cannot be replaced: names carry a digest of what
they do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from syncline.capture.plan import InstallPlan, Wanted, forget_entity, gap, plan_entities
from syncline.capture.triggers import SCHEMA, Watch, dollar_quoted
from syncline.errors import MappingError, NotInstalledError, SourceError
from syncline.model.entity import Column, Entity, TableName
from syncline.model.key_types import key_type
from syncline.outbox.connection import translated
from syncline.outbox.dialect import OLDEST_COCKROACH, cockroach_version
from syncline.outbox.registry import SCHEMA_VERSION, InstalledEntity, installed
from syncline.outbox.retrying import alone
from syncline.outbox.sql import blocks

KEY_TYPES = frozenset({"int2", "int4", "int8", "text", "varchar", "uuid", "bool"})
"""Types whose text follows no setting: functions there cannot pin one."""
UNREADABLE = "unknown cluster"
_WORKER = ("SELECT", "INSERT", "UPDATE", "DELETE")


@dataclass(frozen=True, slots=True)
class Capture:
    """A trigger with its function, named for what it does."""

    entity: int
    table: TableName
    trigger: str
    function: str
    create_function: sql.Composed
    create_trigger: sql.Composed


async def plan_cockroach(
    conn: AsyncConnection[Any],
    wanted: Sequence[Wanted],
    present: Mapping[str, InstalledEntity],
    *,
    package: str,
    view_schema: str | None,
    worker_role: str | None,
    writer_role: str | None,
) -> InstallPlan:
    """Compare a cluster with the configuration; nothing is changed.

    Raises:
        MappingError: an entity's key cannot be captured there.
        SourceError: the cluster is older than 24.3.

    """
    if cockroach_version(conn) < OLDEST_COCKROACH:
        raise SourceError("this CockroachDB has no triggers", hint="Syncline needs version 24.3 or newer")
    _refuse_keys(wanted)
    plan = InstallPlan(one_by_one=True)
    found = await _names(conn, "functions")
    if "mark" not in found or not await _complete(conn):
        await _plan_schema(conn, plan, package)
    needed = [_capture(watch) for one in wanted if one.capture == "triggers" for watch in one.watches]
    for one in wanted:
        plan.add(None, key_function(one.id, one.projection.key))
        if one.entity.name not in present:
            plan.add(None, *forget_entity(one.id))
    captured = {e.id: e.name for e in present.values() if e.capture == "triggers"}
    changes = await _plan_triggers(conn, plan, needed, found, captured)
    plan_entities(plan, wanted, present)
    if not plan.summary and not changes:
        plan.statements.clear()
    await _plan_view(conn, plan, view_schema)
    _plan_grants(plan, [watch.table for one in wanted for watch in one.watches], worker_role, writer_role)
    if plan.summary:
        plan.warnings += _LIMITS
    return plan


_LIMITS = (
    "TRUNCATE fires no trigger in CockroachDB: it is not captured; `syncline verify` finds it, `syncline repair` mends it",
    "trigger functions run with the writer's privileges in CockroachDB: every role that writes to a synced table needs "
    "USAGE on schema syncline and INSERT on syncline.outbox (`syncline install --writer-role`)",
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
    if not await _complete(conn):
        raise NotInstalledError(hint="there is nothing to remove")
    plan = InstallPlan(one_by_one=True)
    for row in await _rows(conn, "captured"):
        table = TableName.parse(row["source_table"])
        if await _triggers(conn, table) is not None:
            plan.add(f"{table}: drop trigger {row['name']}", *_drop(table, row["name"]))
    for row in await _rows(conn, "our_views"):
        name = sql.Identifier(row["schema"], "Outbox")
        plan.add(f'drop view {row["schema"]}."Outbox"', sql.SQL("/* syncline */ DROP VIEW IF EXISTS {}").format(name))
    plan.add("drop schema syncline", sql.SQL("/* syncline */ DROP SCHEMA syncline CASCADE").format())
    return plan


async def missing_triggers(conn: AsyncConnection[Any]) -> list[str]:
    """List the triggers that were installed and are not there, or do not fire."""
    missing = []
    for row in await _rows(conn, "captured"):
        table = TableName.parse(row["source_table"])
        if row["name"] not in (await _triggers(conn, table) or ()):
            missing.append(f"{row['name']} on {table}")
    return missing


def key_function(entity: int, columns: Sequence[Column]) -> sql.Composed:
    """``syncline.key_<id>(column, …)``: the entity's key text."""
    types = [key_type(column).sql for column in columns]
    texts = ", ".join(f"${place}::text" for place in range(1, len(types) + 1))
    single = len(types) == 1
    return _template("key_function").format(
        function=sql.Identifier(SCHEMA, f"key_{entity}"),
        arguments=sql.SQL(", ").join([sql.SQL(name) for name in types]),
        volatility=sql.SQL("IMMUTABLE" if single else "STABLE"),
        body=dollar_quoted(f"SELECT {texts}" if single else f"SELECT jsonb_build_array({texts})::text"),
    )


def _refuse_keys(wanted: Iterable[Wanted]) -> None:
    for one in wanted:
        for column in one.projection.key:
            if column.base not in KEY_TYPES:
                raise MappingError(
                    f"{one.entity.name}: {column.name} is {column.type}, which is no key on CockroachDB yet",
                    hint=f"its text may follow a setting of the writer's session; keys there: {', '.join(sorted(KEY_TYPES))}",
                )


def _capture(watch: Watch) -> Capture:
    own = not watch.embed
    parts = {
        "id": sql.Literal(watch.entity),
        "old_key": _key(watch, "OLD"),
        "new_key": _key(watch, "NEW"),
        "old_present": _present(watch, "OLD"),
        "new_present": _present(watch, "NEW"),
        "hint": sql.SQL("left(TG_OP, 1)" if own else "'U'"),
        "gone": sql.SQL("'D'" if own else "'U'"),
    }
    body = "\n" + _template("row").format(**parts).as_string(None) + "\n"
    digest = hashlib.sha256(f"{watch.table}\n{body}".encode()).hexdigest()[:8]
    function, trigger = f"capture_{watch.stem}_{digest}", f"syncline_{watch.stem}_{digest}"
    names = {"function": sql.Identifier(SCHEMA, function)}
    return Capture(
        watch.entity,
        watch.table,
        trigger,
        function,
        _template("trigger_function").format(**names, body=dollar_quoted(body)),
        _template("trigger_row").format(**names, trigger=sql.Identifier(trigger), table=_table(watch.table)),
    )


def _key(watch: Watch, row: str) -> sql.Composed:
    texts = sql.SQL(", ").join([sql.SQL("{}::text").format(_of(row, column)) for column in watch.columns])
    return sql.Composed([texts]) if len(watch.columns) == 1 else sql.SQL("jsonb_build_array({})::text").format(texts)


def _present(watch: Watch, row: str) -> sql.Composable:
    """A child without a parent has no key to mark; the entity's own key is never null."""
    if not watch.embed:
        return sql.SQL("true")
    return sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(_of(row, column)) for column in watch.columns])


def _of(row: str, column: Column) -> sql.Composed:
    return sql.SQL("({}).{}").format(sql.SQL(row), sql.Identifier(column.name))  # type: ignore[arg-type]


async def _plan_schema(conn: AsyncConnection[Any], plan: InstallPlan, package: str) -> None:
    texts = [text.removesuffix(";") for text in blocks("cockroach.sql").values()]
    meta = sql.SQL(
        "/* syncline */ INSERT INTO syncline.meta (schema_version, package, cluster) VALUES ({}, {}, {}) "
        "ON CONFLICT (only_row) DO NOTHING"
    ).format(*map(sql.Literal, (SCHEMA_VERSION, package, await _cluster(conn))))
    statements = [sql.Composed([sql.SQL(text)]) for text in texts]  # type: ignore[arg-type]  # our own file
    plan.add("create schema syncline with its tables", *statements, meta)


async def _plan_triggers(
    conn: AsyncConnection[Any],
    plan: InstallPlan,
    needed: Sequence[Capture],
    functions: frozenset[str],
    captured: Mapping[int, str],
) -> bool:
    """Add what makes the triggers what they must be; tell whether that is anything."""
    before = len(plan.statements)
    recorded = await _rows(conn, "captured") if "mark" in functions else []
    there: dict[TableName, frozenset[str] | None] = {}
    for table in {one.table for one in needed} | {TableName.parse(row["source_table"]) for row in recorded}:
        there[table] = await _triggers(conn, table)
    for one in needed:
        if one.trigger in (there[one.table] or ()):
            continue
        if one.function not in functions:
            plan.add(None, one.create_function)
        record = sql.SQL("/* syncline */ INSERT INTO syncline.capture VALUES ({}, {}, {}) ON CONFLICT (name) DO NOTHING")
        values = map(sql.Literal, (one.trigger, one.entity, str(one.table)))
        plan.add(f"{one.table}: create trigger {one.trigger}", record.format(*values), one.create_trigger)
        if one.entity in captured:
            gap(plan, captured[one.entity], f"trigger {one.trigger} on {one.table} was missing or is another one now")
    wanted = {one.trigger for one in needed}
    for row in recorded:
        if row["name"] not in wanted:
            table = TableName.parse(row["source_table"])
            drops = _drop(table, row["name"]) if there[table] is not None else _drop(None, row["name"])
            plan.add(f"{table}: drop trigger {row['name']}", *drops)
    return len(plan.statements) > before


def _drop(table: TableName | None, trigger: str) -> list[sql.Composed]:
    function = sql.Identifier(SCHEMA, trigger.replace("syncline_", "capture_", 1))
    statements = [
        sql.SQL("/* syncline */ DROP FUNCTION IF EXISTS {}").format(function),
        sql.SQL("/* syncline */ DELETE FROM syncline.capture WHERE name = {}").format(sql.Literal(trigger)),
    ]
    if table is not None:
        drop = sql.SQL("/* syncline */ DROP TRIGGER IF EXISTS {} ON {}").format(sql.Identifier(trigger), _table(table))
        statements.insert(0, drop)
    return statements


async def _plan_view(conn: AsyncConnection[Any], plan: InstallPlan, schema: str | None) -> None:
    if schema is None or schema in {row["schema"] for row in await _rows(conn, "our_views")}:
        return
    if (await _rows(conn, "taken", {"schema": schema}))[0]["taken"]:
        plan.warnings.append(f'{schema}."Outbox" is not ours and stays as it is: the view is syncline."Outbox" only')
        return
    view = sql.SQL('/* syncline */ CREATE VIEW {} AS SELECT * FROM syncline."Outbox"')
    plan.add(f'create view {schema}."Outbox"', view.format(sql.Identifier(schema, "Outbox")))


def _plan_grants(plan: InstallPlan, tables: Sequence[TableName], worker: str | None, writer: str | None) -> None:
    for role in dict.fromkeys(role for role in (worker, writer) if role is not None):
        plan.add(None, _grant("USAGE ON SCHEMA syncline", role))
    if writer is not None:
        plan.add(f"let {writer} write marks", _grant("INSERT ON TABLE syncline.outbox", writer))
    if worker is not None:
        plan.add(
            f"grant our tables and the synced ones to {worker}",
            _grant(f"{', '.join(_WORKER)} ON ALL TABLES IN SCHEMA syncline", worker),
            *(
                sql.SQL("/* syncline */ GRANT SELECT ON TABLE {} TO {}").format(_table(table), sql.Identifier(worker))
                for table in dict.fromkeys(tables)
            ),
        )


def _grant(what: str, role: str) -> sql.Composed:
    return sql.SQL("/* syncline */ GRANT {} TO {}").format(sql.SQL(what), sql.Identifier(role))  # type: ignore[arg-type]


async def _complete(conn: AsyncConnection[Any]) -> bool:
    try:
        await installed(conn)
    except NotInstalledError:
        return False
    return True


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


async def _names(conn: AsyncConnection[Any], block: str) -> frozenset[str]:
    return frozenset(row["name"] for row in await _rows(conn, block))


async def _rows(
    conn: AsyncConnection[Any], block: str, values: Mapping[str, Any] | None = None, *, table: TableName | None = None
) -> list[dict[str, Any]]:
    statement: sql.SQL | sql.Composed = _template(block)
    if table is not None:
        statement = statement.format(table=_table(table))
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(statement, values)
        return await cursor.fetchall()


def _template(name: str) -> sql.SQL:
    return sql.SQL(cast(Any, blocks("triggers_cockroach.sql", "syncline.capture")[name]))


def _table(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


__all__ = ["KEY_TYPES", "Capture", "Entity", "carry_out", "key_function", "plan_cockroach", "plan_removal"]
