"""The statements that cut a table into pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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
from syncline.model.key_types import key_type
from syncline.ports import Plan
from syncline.postgres.connection import Connection
from syncline.postgres.sql import identifier

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


def page_statements(plan: Plan, context: Connection) -> PageStatements:
    """Compose the statements of an entity."""
    projection = plan.projection
    function = identifier(f"key_{plan.id}")
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
