"""Whether every change is captured, and whether the worker can read what it must."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from psycopg import sql

from syncline.capture.postgres.install import options_of, plan
from syncline.capture.postgres.preflight import missing_excluded
from syncline.errors import MappingError, PrivilegeError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.journal.registry import check, installed
from syncline.journal.tables import has_pglogical
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.keys import choose_key
from syncline.model.mapping import Projection
from syncline.model.projections import projection_of
from syncline.postgres.sql import ours

_EVENTS = {4: "INSERT", 8: "DELETE", 16: "UPDATE"}
_TRUNCATE = 32


async def mapping(subject: Subject) -> list[Finding]:
    """Compile each entity against its tables; name columns that appeared since."""
    found: list[Finding] = []
    for entity in subject.entities:
        missing = [t for t in (entity.table, *(e.table for e in entity.embeds)) if t not in subject.shapes]
        if missing:
            found.append(
                critical(
                    "mapping",
                    f"{entity.name}: there is no table {reach.names(missing)}",
                    why="the entity cannot be read",
                    fix=f"correct [entities.{entity.name}] in the configuration",
                )
            )
        elif not _keyless(entity, subject.shapes[entity.table]):  # the check of the key says so
            found += _compiled(entity, subject.shapes)
    return found or [ok("mapping", f"{len(subject.entities)} entities fit their tables, every column is mapped")]


def _compiled(entity: Entity, shapes: Mapping[TableName, Shape]) -> list[Finding]:
    try:
        projection = projection_of(entity, shapes[entity.table], shapes)
    except MappingError as error:
        fix = error.hint or f"correct [entities.{entity.name}] in the configuration"
        return [critical("mapping", error.message, why="no record of it can be synced", fix=fix)]
    found = _unmapped(entity.name, str(entity.table), projection.unmapped) + _gone(projection)
    for embed in projection.embeds:
        found += _unmapped(f"{entity.name}.embed.{embed.embed.field}", str(embed.embed.table), embed.unmapped)
    return found


def _gone(projection: Projection) -> list[Finding]:
    """Name the columns that are excluded and are not there: nothing keeps a new one of another name out."""
    return [
        warning(
            "mapping",
            f"{shape.table} has no column {reach.names(names)} (any more), which {place} excludes",
            why="dropped, it is harmless; renamed, it may now go to the target under its new name",
            fix=f"correct `exclude` of [entities.{place}], then `syncline install`",
        )
        for place, shape, names in missing_excluded(projection)
    ]


def _keyless(entity: Entity, shape: Shape) -> MappingError | None:
    try:
        choose_key(entity, shape)
    except MappingError as error:
        return error
    return None


async def key(subject: Subject) -> list[Finding]:
    """See that each table still has the key that its records are found by."""
    found: list[Finding] = []
    for entity in subject.entities:
        shape = subject.shapes.get(entity.table)
        error = _keyless(entity, shape) if shape else None
        if shape and error:
            known = await reach.query(
                subject.connection,
                ours("SELECT key_columns FROM syncline.entity WHERE name = %(name)s"),
                {"name": entity.name},
            )
            columns = entity.key or tuple(known[0]["key_columns"] if known else ())
            why = "its records cannot be told apart: the worker leaves the entity alone, changes wait"
            fix = _rekey(entity.table, columns, shape) or error.hint or "ALTER TABLE … ADD PRIMARY KEY (…);"
            found.append(critical("key", error.message, why=why, fix=fix))
    return found or [ok("key", "every table has its key")]


def _rekey(table: TableName, columns: Sequence[str], shape: Shape) -> str | None:
    """Compose what gives the key back; ``None`` when a column of it is gone."""
    if not columns or any(shape.column(name) is None for name in columns):
        return None
    name = sql.Identifier(table.schema, table.name).as_string(None)
    listed = sql.SQL(", ").join(map(sql.Identifier, columns)).as_string(None)
    if not shape.primary_key:
        return f"ALTER TABLE {name} ADD PRIMARY KEY ({listed});"
    required = [f"ALTER COLUMN {sql.Identifier(column).as_string(None)} SET NOT NULL" for column in columns]
    return f"ALTER TABLE {name} {', '.join(required)}, ADD UNIQUE ({listed});"


def _unmapped(path: str, table: str, columns: tuple[str, ...]) -> list[Finding]:
    if not columns:
        return []
    return [
        warning(
            "mapping",
            f"{table} has columns that are neither included nor excluded: {reach.names(columns)}",
            why="they were added after `include` was written; the target does not have them",
            fix=f"add them to `include` or `exclude` of [entities.{path}], then `syncline install`",
        )
    ]


async def triggers(subject: Subject) -> list[Finding]:
    """See that each table has its triggers, and that nothing puts them to sleep."""
    if subject.settings.source.capture != "triggers":
        return [ok("triggers", "not used: changes are captured in the SQLAlchemy session")]
    found: list[Finding] = []
    pglogical = await has_pglogical(subject.connection)
    for row in await reach.rows(subject.connection, "capture_triggers", tables=subject.table_oids, pglogical=pglogical):
        lacking = [name for bit, name in _EVENTS.items() if not row["events"] & bit]
        if not row["partition"] and not row["events"] & _TRUNCATE and not pglogical:
            lacking.append("TRUNCATE")
        fix = f"syncline install && syncline backfill {' '.join(_entities_on(subject, row['root']))}"
        if row["asleep"]:
            found.append(
                critical(
                    "triggers",
                    f"{row['name']}: {reach.names(row['asleep'])} not enabled ALWAYS",
                    why="what was written meanwhile (a restored dump switches them off), and what replication writes, "
                    "is not captured",
                    fix=fix,
                )
            )
        elif lacking:
            found.append(
                critical(
                    "triggers",
                    f"{row['name']}: {', '.join(lacking)} is not captured",
                    why="such changes never reach the target",
                    fix=fix,
                )
            )
    return found or [ok("triggers", f"present and always enabled on {len(subject.shapes)} tables")]


def _entities_on(subject: Subject, oid: int) -> list[str]:
    """Name the entities that a table belongs to."""
    tables = {table for table, shape in subject.shapes.items() if shape.oid == oid}
    return [e.name for e in subject.entities if tables & {e.table, *(embed.table for embed in e.embeds)}]


async def privileges(subject: Subject) -> list[Finding]:
    """See that this role may do what a worker does."""
    lacking = await reach.rows(subject.connection, "lacking_privileges", tables=subject.table_oids)
    if not lacking:
        return [ok("privileges", "this role may do what a worker does")]
    return [
        critical(
            "privileges",
            f"this role lacks {reach.names([row['lacks'] for row in lacking])}",
            why="a worker under this role would stop",
            fix=f"syncline install --worker-role {subject.connection.info.user}  # as the role that installed before",
        )
    ]


async def row_security(subject: Subject) -> list[Finding]:
    """See that no policy hides rows from this role."""
    filtered = await reach.rows(subject.connection, "filtered_tables", tables=subject.table_oids)
    if not filtered:
        return [ok("row security", "hides nothing from this role")]
    role = subject.connection.info.user
    return [
        critical(
            "row security",
            f"policies filter {reach.names([row['name'] for row in filtered])} for this role",
            why="hidden rows would be taken for deleted; the worker therefore refuses to read",
            fix=f'ALTER ROLE "{role}" BYPASSRLS;',
        )
    ]


async def configuration(subject: Subject) -> list[Finding]:
    """Compare what is configured with what is installed, down to each trigger and function."""
    why, fix = "what is captured is not what is configured", "syncline install"
    differences = check(subject.entities, await installed(subject.connection))
    if differences:
        texts = [difference.removesuffix("; run `syncline install`") for difference in differences]
        return [warning("configuration", text, why=why, fix=fix) for text in texts]
    source = subject.settings.source
    try:
        drift = await plan(subject.connection, subject.entities, options_of(source))
    except PrivilegeError:
        return [ok("configuration", "is what is installed (this role may not look at triggers and functions)")]
    except MappingError:
        return []  # the checks of mapping and key say so
    if not drift.changes:
        return [ok("configuration", "is what is installed")]
    text = f"`syncline install` would: {reach.names(drift.summary)}"
    if drift.backfill:
        why = f"changes of {reach.names(drift.backfill)} may not have been captured; installing has them marked"
        return [critical("configuration", text, why=why, fix=fix)]
    return [warning("configuration", text, why=why, fix=fix)]


CHECKS = (mapping, privileges, row_security)
INSTALLED_CHECKS = (key, configuration, triggers)
