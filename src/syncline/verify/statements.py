"""The statements that cut a table into pages, and whether the target's index has the order of the table's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from syncline.engines.postgres.projection_sql import (
    bound,
    column_of,
    commas,
    condition_of,
    range_query,
    table_of,
    type_of,
    where_of,
)
from syncline.errors import KeyFormatError
from syncline.model.key_types import key_type
from syncline.ports import Plan
from syncline.postgres.connection import Connection, translated

ORDERED = frozenset({"int2", "int4", "int8", "uuid"})
"""Key types that PostgreSQL and MongoDB sort alike, alone and as parts of a composite key."""

Bounds = tuple[str, bool]
"""How a page is bounded: ``>`` or ``>=`` its first key (empty: from the beginning), and whether there is an end."""


@dataclass(frozen=True, slots=True)
class PageStatements:
    """The statements of one entity. Parameters: the lower key, the upper key, the limit."""

    contents: Mapping[Bounds, str]
    """Whole rows, as ``read_page`` takes them."""
    ids: Mapping[Bounds, str]
    """The key columns alone."""
    keys: Mapping[Bounds, str]
    """The key texts alone."""
    bare: Mapping[Bounds, str]
    """The key texts of all rows, whatever the filter says of them."""
    inside: str
    """Which of some keys lie in a range: arrays of column texts, lower key, upper key (null: open). Gives positions."""


def ordered(plan: Plan) -> bool:
    """Tell whether a range of keys is the same range of ``_id``s in the target, whatever lies between them."""
    projection = plan.projection
    return all(column.base in ORDERED for column in projection.key) and not projection.shape.has_children


def page_statements(plan: Plan, context: Connection) -> PageStatements:
    """Compose the statements of an entity."""
    projection = plan.projection
    function = sql.Identifier("syncline", f"key_{plan.id}")
    table = projection.shape.table
    columns = [column_of(table, column.name) for column in projection.key]
    casts = [key_type(column).sql for column in projection.key]
    shapes = [(lower, until) for lower in ("", ">", ">=") for until in (False, True)]

    filtered = condition_of(plan.entity.where)

    def few(items: sql.Composable, lower: str, until: bool, conditions: Sequence[sql.Composable] = filtered) -> str:
        bounds = [bound(columns, casts, lower)] if lower else []
        bounds += [bound(columns, casts, "<")] if until else []
        return (
            sql.SQL("/* syncline: keys */ SELECT {} FROM {}{} ORDER BY {} LIMIT %s")
            .format(
                items,
                table_of(table),
                where_of([*bounds, *conditions]),
                commas(columns),
            )
            .as_string(context)
        )

    def whole(lower: str, until: bool) -> str:
        query = range_query(projection, function, after=bool(lower), until=until, lower=lower, upper="<")
        return query.as_string(context)

    text = sql.SQL("{}({})").format(function, commas(columns))
    return PageStatements(
        {one: whole(*one) for one in shapes},
        {one: few(commas(columns), *one) for one in shapes},
        {one: few(text, *one) for one in shapes},
        {one: few(text, *one, ()) for one in shapes},
        _inside(plan, columns, casts).as_string(context),
    )


def _inside(plan: Plan, columns: list[sql.Identifier], casts: list[str]) -> sql.Composed:
    """Compare keys as the table's own columns do: the empty half of the union lends its collations to the other."""
    names = commas([sql.Identifier(f"_syncline_{number}") for number in range(len(columns))])
    table = plan.projection.shape.table

    def side(operator: str) -> sql.Composed:
        values = commas([sql.SQL("%s::text::{}").format(type_of(cast)) for cast in casts])
        return sql.SQL("(%s::boolean OR ({}) {} ({}))").format(names, sql.SQL(operator), values)

    return sql.SQL(
        "/* syncline: keys */ SELECT _syncline_at FROM ("
        "(SELECT {columns}, 0::bigint FROM {table} LIMIT 0) UNION ALL "
        "SELECT * FROM unnest({arrays}) WITH ORDINALITY) AS _syncline_keys({names}, _syncline_at) "
        "WHERE {lower} AND {upper}"
    ).format(
        columns=commas(columns),
        table=table_of(table),
        arrays=commas([sql.SQL("%s::text[]::{}[]").format(type_of(cast)) for cast in casts]),
        names=names,
        lower=side(">="),
        upper=side("<"),
    )


def possible(plan: Plan, keys: Sequence[str]) -> list[str]:
    """Leave out what is no key of the entity: a mark by hand may have named anything."""

    def fits(key: str) -> bool:
        try:
            plan.projection.codec.parse(key)
        except KeyFormatError:
            return False
        return True

    return [key for key in keys if fits(key)]


async def inside(
    connection: Connection,
    plan: Plan,
    statements: PageStatements,
    keys: Sequence[str],
    first: str | None,
    end: str | None,
) -> tuple[list[str], list[str]]:
    """Find the keys that lie in a range, as the source sorts them; and those that no value of the column has."""
    if not keys:
        return [], []
    codec = plan.projection.codec
    bounds: list[Any] = []
    for bound_ in (first, end):
        texts = [None] * len(codec.types) if bound_ is None else codec.parse(bound_)
        bounds += [bound_ is None, *texts]
    with translated():
        try:
            cursor = await connection.execute(statements.inside, [*codec.parameters(keys), *bounds])
        except psycopg.DataError:
            if len(keys) == 1:
                return [], list(keys)
            middle = len(keys) // 2
            left = await inside(connection, plan, statements, keys[:middle], first, end)
            right = await inside(connection, plan, statements, keys[middle:], first, end)
            return left[0] + right[0], left[1] + right[1]
        return [keys[position - 1] for (position,) in await cursor.fetchall()], []
