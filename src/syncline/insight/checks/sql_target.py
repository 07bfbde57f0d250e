"""A PostgreSQL as a target: reachable, durable, and tables that take what the source has. Nothing is written."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from syncline.config import Settings
from syncline.errors import MappingError, PrivilegeError, UnsuitableTargetError
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.insight.examination import CHECK_SECONDS, unchecked
from syncline.insight.reach import names, ping_target
from syncline.model.entity import Entity, TableName
from syncline.model.fitting import fits
from syncline.model.projections import projection_of
from syncline.ports import ConfiguredTarget
from syncline.postgres.sql import blocks

DEAD_SHARE, DEAD_ROWS = 0.5, 10_000
"""From so many dead rows on, and so many for one that lives, nobody seems to vacuum."""
_SWITCH_ON = "ALTER SYSTEM SET autovacuum = on; SELECT pg_reload_conf();"
Rows = Sequence[Mapping[str, Any]]


class Server(ConfiguredTarget, Protocol):
    """A target that also answers questions in SQL."""

    async def ask(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a statement that reads; return its rows by column name."""


async def examine(target: Server, settings: Settings) -> tuple[bool, list[Finding]]:
    """Run every check of the target; without a connection there is only one finding. Tells whether it is reached."""
    state = await ping_target(target)
    if not state.connected:
        why = "changes wait in the outbox until it is back"
        fix = "check `url` of [target], and that the server runs and is the primary"
        return False, [critical("target", f"PostgreSQL cannot be reached: {state.error}", why=why, fix=fix)]
    found = [ok("target", f"PostgreSQL {state.version}, {state.latency_ms} ms")]
    for check in CHECKS:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                found += await check(target, settings)
        except Exception as error:  # noqa: BLE001  one that fails must not hide the others
            found.append(unchecked(check.__name__.replace("_", " "), error))
    return True, found


async def suitability(target: Server, settings: Settings) -> list[Finding]:
    """See that every table is there, can be written, and has a key."""
    why = "the worker does not start"
    try:
        await target.require_suitable(settings.entities)
    except UnsuitableTargetError as error:
        return [critical("suitability", error.message, why=why, fix=error.hint or "")]
    except PrivilegeError as error:
        return [critical("target privileges", error.message, why=why, fix=error.hint or "")]
    return [ok("suitability", "every table can be a target, and this role may write it")]


async def durability(target: Server, settings: Settings) -> list[Finding]:  # noqa: ARG001
    """See that what is acknowledged would survive a crash."""
    (server,) = await target.ask(_block("server"), {})
    off = [name for name in ("fsync", "full_page_writes", "synchronous_commit") if server[name] == "off"]
    if not off:
        return [ok("durability", f"commits wait for the disk (synchronous_commit = {server['synchronous_commit']})")]
    return [
        critical(
            "durability",
            f"{' and '.join(off)} of the target's server is off",
            why="after a crash rows are missing that were acknowledged: nobody would write them again",
            fix=f"ALTER SYSTEM SET {off[0]} = on; SELECT pg_reload_conf();  -- then: syncline verify",
        )
    ]


async def tables(target: Server, settings: Settings) -> list[Finding]:
    """Look for what a table does of its own: triggers, rules, row security, no log, no vacuum."""
    (server,) = await target.ask(_block("server"), {})
    rows = await target.ask(_block("tables"), _places(settings.entities))
    found = [*_firing(rows), *_forgetful(rows), *_secured(rows), *_unvacuumed(rows, server)]
    return found or [ok("target tables", "no triggers, rules or row security of their own; vacuumed")]


def _firing(rows: Rows) -> Iterator[Finding]:
    for kind, what, fix in (
        ("triggers", "triggers of its own", "ALTER TABLE {} DISABLE TRIGGER {};  -- or ENABLE REPLICA TRIGGER"),
        ("rules", "rules of its own", "ALTER TABLE {} DISABLE RULE {};"),
    ):
        firing = [row for row in rows if row[kind]]
        if firing:
            yield warning(
                f"target {kind}",
                "; ".join(f"{row['name']} has {what}: {names(row[kind])}" for row in firing),
                why="they act on what Syncline writes: rows may be changed or refused, effects be doubled",
                fix=fix.format(firing[0]["name"], firing[0][kind][0]),
            )


def _forgetful(rows: Rows) -> Iterator[Finding]:
    if unlogged := [row["name"] for row in rows if row["unlogged"]]:
        yield critical(
            "target tables",
            f"UNLOGGED: {names(unlogged)}",
            why="a crash empties them, and nobody would write their rows again",
            fix=f"ALTER TABLE {unlogged[0]} SET LOGGED;",
        )


def _secured(rows: Rows) -> Iterator[Finding]:
    if secured := [row["name"] for row in rows if row["secured"]]:
        yield critical(
            "target tables",
            f"row security holds for the role of [target]: {names(secured)}",
            why="rows would be hidden from it: nothing is written",
            fix="ALTER ROLE … BYPASSRLS;  -- for the role of [target]",
        )


def _unvacuumed(rows: Rows, server: Mapping[str, Any]) -> Iterator[Finding]:
    off = server["autovacuum"] == "off" or server["track_counts"] == "off"
    bloated = [r["name"] for r in rows if r["dead"] > DEAD_ROWS and r["dead"] > DEAD_SHARE * r["live"]]
    if off or bloated or any(row["unvacuumed"] for row in rows):
        named = [row["name"] for row in rows if row["unvacuumed"]]
        what = "autovacuum of the server is off" if off else f"autovacuum is off for {names(named)}"
        if not off and not named:
            what = f"many dead rows in {names(bloated)}"
        yield warning(
            "target autovacuum",
            what,
            why="each update leaves a dead row: tables and their indexes grow without bound",
            fix=_SWITCH_ON if off else _vacuumed((named or bloated)[0]),
        )


def _vacuumed(table: str) -> str:
    return f"ALTER TABLE {table} SET (autovacuum_enabled = true); VACUUM {table};"


def checks(target: Server) -> list[Callable[[Subject], Awaitable[list[Finding]]]]:
    """Give the checks that look at both sides."""

    async def target_columns(subject: Subject) -> list[Finding]:
        there: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
        for row in await target.ask(_block("columns"), _places(subject.entities)):
            there[row["place"]][row["name"]] = row
        found: list[Finding] = []
        for entity in subject.entities:
            name = TableName.parse(entity.collection)
            if columns := there.get(f"{name.schema}.{name.name}"):  # a missing table is said elsewhere
                found += _columns(subject, entity, columns)
        return found or [ok("target columns", "every column has its place, of a type that takes its values")]

    return [target_columns]


def _columns(subject: Subject, entity: Entity, there: Mapping[str, Mapping[str, Any]]) -> Iterator[Finding]:
    try:
        projection = projection_of(entity, subject.shapes[entity.table], subject.shapes)
    except (KeyError, MappingError):
        return  # the check of the mapping says so
    table, where = entity.collection, f"[entities.{entity.name}]"
    if missing := [name for name in projection.names if name not in there]:
        yield critical(
            "target columns",
            f"{table} in the target lacks {names(missing)}",
            why="the worker waits: nothing of the entity is written, nothing is parked",
            fix=f"add the column there, or `exclude = {missing}` in {where}, then: syncline install",
        )
    demanded = [n for n, c in there.items() if n not in projection.names and c["not_null"] and not c["filled"]]
    if demanded:
        yield critical(
            "target columns",
            f"{table} in the target: {names(demanded)} NOT NULL without a default, and nothing fills it",
            why="every new record is parked",
            fix=f'ALTER TABLE {table} ALTER "{demanded[0]}" SET DEFAULT …;  -- in the target',
        )
    shape = {column.name: column for column in projection.shape.columns}
    pairs = [
        (shape[one.column], there[one.field])
        for one in projection.selected
        if one.column in shape and one.field in there and not there[one.field]["generated"]
    ]
    if narrow := [(here, c) for here, c in pairs if not fits(here.type, c["type"])]:
        shown = [f"{c['name']} ({here.type} here, {c['type']} there)" for here, c in narrow]
        yield warning(
            "target types",
            f"{table} in the target may not take every value of {names(shown)}",
            why="a record with a value that does not fit is parked, with the column; times may be rounded",
            fix=f'ALTER TABLE {table} ALTER "{narrow[0][1]["name"]}" TYPE {narrow[0][0].type};  -- in the target',
        )
    if strict := [c["name"] for here, c in pairs if c["not_null"] and not here.not_null]:
        yield warning(
            "target columns",
            f"{table} in the target: {names(strict)} NOT NULL, and the source may have NULL there",
            why="a record with NULL is parked",
            fix=f'ALTER TABLE {table} ALTER "{strict[0]}" DROP NOT NULL;  -- in the target',
        )


def _places(entities: Sequence[Entity]) -> dict[str, list[str]]:
    places = [TableName.parse(entity.collection) for entity in entities]
    return {"schemas": [one.schema for one in places], "tables": [one.name for one in places]}


def _block(name: str) -> str:
    return blocks("sql_target.sql", __package__ or "")[name]


CHECKS: tuple[Callable[[Server, Settings], Awaitable[list[Finding]]], ...] = (suitability, durability, tables)
