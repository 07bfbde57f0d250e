"""The SQL of the configuration, tried before it is believed: ``where`` and computed fields.

An expression whose value follows anything but its own row would make documents that nobody marks: another table, other
rows of this one, the clock. What reads tables is refused, what follows the clock or the session is warned of.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.rows import dict_row

from syncline.errors import MappingError
from syncline.model.entity import Fields, Shape
from syncline.model.mapping import Projection
from syncline.postgres.connection import first_line, translated
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.sql import blocks

_TRIES = (
    "/* syncline */ EXPLAIN (FORMAT JSON) SELECT ({}) FROM {}",
    "/* syncline */ EXPLAIN (FORMAT JSON) SELECT CASE WHEN true THEN {} END FROM {}",
)
"""What is no whole expression (``a), (b``) does not fit into both."""
_COCKROACH_TRIES = ("EXPLAIN SELECT ({}) FROM {}", "EXPLAIN SELECT CASE WHEN true THEN {} END FROM {}")
_LOOK = "/* syncline */ CREATE TEMPORARY VIEW _syncline_look AS SELECT ({}) AS value FROM {}"
_REFUSED = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.ProtocolViolation,  # a parameter ($1), which there is none for
)
_UNSTEADY = re.compile(
    r"\b(?:now|clock_timestamp|statement_timestamp|transaction_timestamp|timeofday|random|random_normal|gen_random_uuid"
    r"|uuidv4|uuidv7|uuid_generate_v\d|nextval|currval|lastval|txid_current|pg_current_xact_id|pg_backend_pid"
    r"|current_setting|inet_client_addr)\(|\b(?:CURRENT_TIMESTAMP|CURRENT_DATE|CURRENT_TIME|LOCALTIMESTAMP|LOCALTIME"
    r"|CURRENT_USER|SESSION_USER|CURRENT_ROLE|CURRENT_SCHEMA)\b"
)
_NAME = r'(?:"(?:[^"]|"")+"|[A-Za-z_\u0080-\uffff][\w$]*)'
_READ = re.compile(rf"\b(?:from|join)\s+(?:only\s+)?({_NAME}(?:\s*\.\s*{_NAME})?)", re.IGNORECASE)
_QUOTED = re.compile(r"'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Expression:
    """SQL of the configuration."""

    place: str
    """Where it stands, e.g. ``computed.total of [entities.todo]``."""
    text: str
    shape: Shape
    """The table over whose columns it is."""
    condition: bool = False

    @property
    def composed(self) -> tuple[sql.SQL, sql.Identifier]:
        """The expression and its table, for a statement without parameters."""
        table = self.shape.table
        text = f"{self.text}\n"
        return sql.SQL(f"({text})::boolean" if self.condition else text), sql.Identifier(table.schema, table.name)


def expressions(projection: Projection) -> Iterator[Expression]:
    """List the SQL of an entity and of its embeds."""
    entity = projection.entity
    yield from _section(entity.name, entity.fields, entity.where, projection.shape)
    for embed in projection.embeds:
        yield from _section(
            f"{entity.name}.embed.{embed.embed.field}", embed.embed.fields, embed.embed.where, embed.shape
        )


async def check_expressions(conn: AsyncConnection[Any], found: Sequence[Expression], path: str | None) -> list[str]:
    """Have the database parse each expression and say what it depends on; nothing is executed, nothing stays.

    Args:
        conn: to the source.
        found: the expressions.
        path: the ``search_path`` under which they will be evaluated; ``None``: the connection's.

    Returns:
        Warnings.

    Raises:
        MappingError: one does not fit its table, or its value follows more than its row.

    """
    if not found:
        return []
    if on_cockroach(conn):
        for one in found:
            await _try(conn, one, _COCKROACH_TRIES)
        return []
    warnings: list[str] = []
    with translated():
        async with conn.transaction(force_rollback=True):
            if path is not None:
                await conn.execute("SELECT set_config('search_path', %s, true)", (path,))
            may_look = (await _rows(conn, "may_look"))[0]["may_look"]
            for one in found:
                async with conn.transaction(force_rollback=True):
                    _refuse_reading(one, _scanned(await _try(conn, one, _TRIES)))
                    warnings += await _look(conn, one) if may_look else []
    return warnings


def _section(name: str, fields: Fields, where: str | None, shape: Shape) -> Iterator[Expression]:
    if where:
        yield Expression(f"where of [entities.{name}]", where, shape, condition=True)
    for field, computed in fields.computed.items():
        yield Expression(f"computed.{field} of [entities.{name}]", computed.sql, shape)


async def _try(conn: AsyncConnection[Any], one: Expression, shapes: Sequence[str]) -> Any:
    row = None
    for shape in shapes:
        try:
            async with conn.cursor(binary=True) as cursor:  # binary: one statement, and no parameters
                await cursor.execute(sql.SQL(shape).format(*one.composed))
                row = await cursor.fetchone()
        except psycopg.errors.InsufficientPrivilege:
            raise
        except _REFUSED as error:
            raise MappingError(
                f"{one.place} does not fit {one.shape.table}: {first_line(error)}",
                hint=f"write one SQL expression over the columns of {one.shape.table}; types and functions of "
                "extensions need their schema, or `search_path` of [source]",
            ) from error
    return next(iter(row.values())) if isinstance(row, dict) else row[0] if row else None


def _scanned(plan: Any) -> list[str]:
    """List the tables that subqueries scan: also those of other rows of the same table."""
    plan = json.loads(plan) if isinstance(plan, (str, bytes)) else plan
    return sorted(set(_in_subplans(plan[0]["Plan"], inside=False)))


def _in_subplans(node: dict[str, Any], *, inside: bool) -> Iterator[str]:
    inside = inside or node.get("Parent Relationship") in {"SubPlan", "InitPlan"}
    if inside and "Relation Name" in node:
        yield node["Relation Name"]
    for child in node.get("Plans", ()):
        yield from _in_subplans(child, inside=inside)


async def _look(conn: AsyncConnection[Any], one: Expression) -> list[str]:
    await conn.execute(sql.SQL(_LOOK).format(*one.composed))
    _refuse_reading(one, [row["name"] for row in await _rows(conn, "relations", table=one.shape.oid)])
    for function in await _rows(conn, "functions"):
        reads = [*function["reads"], *await _named_in(conn, function)]
        _refuse_reading(one, reads, f"{function['name']}, which ")
    definition = (await _rows(conn, "definition"))[0]["definition"]
    unsteady = sorted({found.group(0).rstrip("(") for found in _UNSTEADY.finditer(_QUOTED.sub("''", definition))})
    if not unsteady:
        return []
    what = f"{one.place} depends on {', '.join(unsteady)}: documents stay as they were when their row changed last"
    return [f"{what}, and `verify` finds them different; let the readers of the target compare instead"]


async def _named_in(conn: AsyncConnection[Any], function: dict[str, Any]) -> list[str]:
    """Look through the body of a function for tables; nothing can be seen of one in C."""
    if function["language"] not in {"sql", "plpgsql"}:
        return []
    names = [found.group(1) for found in _READ.finditer(_QUOTED.sub("''", function["body"] or ""))]
    return [row["name"] for row in await _rows(conn, "resolved", names=names)] if names else []


def _refuse_reading(one: Expression, tables: Sequence[str], through: str = "") -> None:
    if not tables:
        return
    verb, names = "calls " if through else "", ", ".join(dict.fromkeys(tables))
    raise MappingError(
        f"{one.place} {verb}{through}reads {names}: a change there would not reach the target",
        hint="embed that table, or keep the value in a column (a trigger, or the application); a document may only "
        "follow its own rows",
    )


async def _rows(conn: AsyncConnection[Any], block: str, **values: Any) -> list[dict[str, Any]]:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(blocks("expressions.sql", "syncline.capture.postgres")[block], values or None)
        return await cursor.fetchall()
