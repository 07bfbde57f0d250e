"""The statements that read states: what a ``Projection`` selects, composed for psycopg.

Column texts of keys travel as ``text[]`` and are cast in the statement; the table keeps its own name, so that the SQL
of ``where`` and of computed fields may qualify columns with it. Parameters are positional (``%s``).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from syncline.model.entity import TableName
from syncline.model.fields import Selected
from syncline.model.key_types import key_type
from syncline.model.mapping import EmbedProjection, Projection
from syncline.model.types import Form

_FORMS = {
    Form.PLAIN: "{value}",
    Form.CAST: "{value}::{cast}",
    # concat() calls output functions; IS NULL holds for a composite value of nothing but NULLs.
    Form.OUTPUT: "CASE WHEN {value} IS DISTINCT FROM NULL THEN pg_catalog.concat({value}) END",
    Form.UTC: "{value} AT TIME ZONE 'UTC'",
    Form.JSONB: "to_jsonb({value})",
    Form.EPOCH: "extract(epoch FROM {value})::text",
    Form.NEAR_DATE: "CASE WHEN {value} > DATE '9999-12-31' THEN DATE '9999-12-31' "
    "WHEN {value} < DATE '0001-01-01' THEN DATE '0001-01-01' ELSE {value} END",
    Form.NEAR_TIMESTAMP: "CASE WHEN {value} > TIMESTAMP '9999-12-31 23:59:59.999999' "
    "THEN TIMESTAMP '9999-12-31 23:59:59.999' WHEN {value} < TIMESTAMP '0001-01-01' "
    "THEN TIMESTAMP '0001-01-01' ELSE {value} END",
    Form.NEAR_UTC: "CASE WHEN {value} > TIMESTAMPTZ '9999-12-31 23:59:59.999999+00' "
    "THEN TIMESTAMP '9999-12-31 23:59:59.999' WHEN {value} < TIMESTAMPTZ '0001-01-01+00' "
    "THEN TIMESTAMP '0001-01-01' ELSE {value} AT TIME ZONE 'UTC' END",
}


def state_query(projection: Projection, key_function: sql.Composable) -> sql.Composed:
    """Rows by key. Parameters: one array of texts per key column (``codec.parameters``)."""
    table = projection.shape.table
    columns = [column_of(table, column.name) for column in projection.key]
    join, match = _by_keys(columns, [key_type(column).sql for column in projection.key])
    return _select(projection, key_function, join, [match, *condition_of(projection.entity.where)])


def together_query(
    projection: Projection, key_function: sql.Composable, *, entity: int, marks: sql.Composable
) -> sql.Composed | None:
    """Marks, each beside its record's state (nulls: no row, or another entity's mark); of single keys only.

    Args:
        projection: what is selected.
        key_function: makes the key text.
        entity: id of the entity whose states are wanted.
        marks: the statement that reads marks; it names ``seq``, ``entity`` and ``key``, and its parameters stay.

    """
    if len(projection.key) > 1 or projection.embeds:
        return None
    key = projection.key[0]
    # Other entities' keys need not have this one's type: the cast must not see them.
    ours = sql.SQL("CASE WHEN _syncline_mark.entity = {} THEN _syncline_mark.key END").format(sql.Literal(entity))
    match = sql.SQL("{column} = ({ours})::{cast}").format(
        column=column_of(projection.shape.table, key.name),
        ours=ours,
        cast=type_of(key_type(key).sql),
    )
    state = _select(projection, key_function, sql.SQL(""), [match, *condition_of(projection.entity.where)])
    return sql.SQL(
        "SELECT _syncline_mark.*, _syncline_state.* FROM ({marks}) AS _syncline_mark "
        "LEFT JOIN LATERAL ({state}) AS _syncline_state ON true ORDER BY _syncline_mark.seq"
    ).format(marks=marks, state=state)


def range_query(
    projection: Projection,
    key_function: sql.Composable,
    *,
    after: bool = True,
    until: bool = True,
    lower: str = ">",
    upper: str = "<=",
) -> sql.Composed:
    """Rows of a range of keys in the order of the key.

    Parameters: the column texts of the key to start after (``after``), of the last key (``until``), then the limit.
    With ``lower`` ``>=`` the first key belongs to the range, with ``upper`` ``<`` the last one does not.
    """
    table = projection.shape.table
    columns = [column_of(table, column.name) for column in projection.key]
    casts = [key_type(column).sql for column in projection.key]
    bounds = [bound(columns, casts, lower)] if after else []
    bounds += [bound(columns, casts, upper)] if until else []
    query = _select(projection, key_function, sql.SQL(""), [*bounds, *condition_of(projection.entity.where)])
    return sql.SQL("{query} ORDER BY {columns} LIMIT %s").format(query=query, columns=commas(columns))


def embed_query(embed: EmbedProjection, key_function: sql.Composable) -> sql.Composed:
    """Child rows by their parents' keys, in the order of the array. Parameters: as for ``state_query``."""
    table = embed.shape.table
    columns = [column_of(table, column.name) for column in embed.on]
    join, match = _by_keys(columns, embed.key_casts)
    parent = sql.SQL("{function}({columns})").format(
        function=key_function,
        columns=commas(
            [sql.SQL("{}::{}").format(c, type_of(t)) for c, t in zip(columns, embed.key_casts, strict=True)]
        ),
    )
    return sql.SQL("/* syncline: embed */ SELECT {items} FROM {table}{join}{where} ORDER BY {order}").format(
        items=commas([parent, *(expression(table, item) for item in embed.selected)]),
        table=table_of(table),
        join=join,
        where=where_of([match, *condition_of(embed.embed.where)]),
        order=commas([column_of(table, name) for name in embed.order_by]),
    )


def _select(
    projection: Projection, key_function: sql.Composable, join: sql.Composable, conditions: Sequence[sql.Composable]
) -> sql.Composed:
    table = projection.shape.table
    key = commas([column_of(table, column.name) for column in projection.key])
    items = [expression(table, item) for item in (*projection.ids, *projection.selected)]
    return sql.SQL("/* syncline: state */ SELECT {items} FROM {table}{join}{where}").format(
        items=commas([*items, sql.SQL("{}({})").format(key_function, key)]),
        table=table_of(table),
        join=join,
        where=where_of(conditions),
    )


def value_of(table: TableName, item: Selected) -> sql.Composable:
    """Compose a value of a row as it is: a column, or what is computed."""
    return (
        column_of(table, item.column) if item.column is not None else sql.SQL("({})").format(_raw(item.sql or "NULL"))
    )


def expression(table: TableName, item: Selected) -> sql.Composable:
    return sql.SQL(_FORMS[item.form]).format(value=value_of(table, item), cast=type_of(item.cast or "text"))


def _by_keys(columns: Sequence[sql.Composable], casts: Sequence[str]) -> tuple[sql.Composable, sql.Composable]:
    """A single key is matched by ``= ANY``; a composite one by a join with the unnested arrays."""
    arrays = [sql.SQL("%s::text[]::{}[]").format(type_of(cast)) for cast in casts]
    if len(columns) == 1:
        return sql.SQL(""), sql.SQL("{} = ANY({})").format(columns[0], arrays[0])
    names = [sql.Identifier(f"_syncline_{number}") for number in range(len(columns))]
    join = sql.SQL(" JOIN unnest({}) AS _syncline_keys({}) ON true").format(commas(arrays), commas(names))
    equal = [sql.SQL("{} = _syncline_keys.{}").format(c, n) for c, n in zip(columns, names, strict=True)]
    return join, sql.SQL(" AND ").join(equal)


def bound(columns: Sequence[sql.Composable], casts: Sequence[str], operator: str) -> sql.Composed:
    values = [sql.SQL("%s::text::{}").format(type_of(cast)) for cast in casts]
    return sql.SQL("({}) {} ({})").format(commas(columns), sql.SQL(operator), commas(values))


def condition_of(where: str | None) -> list[sql.Composable]:
    return [sql.SQL("({})").format(_raw(where))] if where else []


def where_of(conditions: Sequence[sql.Composable]) -> sql.Composable:
    if not conditions:
        return sql.SQL("")
    return sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions))


def _raw(text: str) -> sql.SQL:
    """Configured SQL as it stands; its percent signs are no placeholders, its last comment ends with it."""
    return sql.SQL(text.replace("%", "%%") + "\n")


def named(*parts: str) -> sql.Identifier:
    """A name in a statement that has parameters: psycopg would take its percent signs for placeholders."""
    return sql.Identifier(*(part.replace("%", "%%") for part in parts))


def table_of(table: TableName) -> sql.Identifier:
    return named(table.schema, table.name)


def column_of(table: TableName, name: str) -> sql.Identifier:
    return named(table.name, name)


def type_of(name: str) -> sql.SQL:
    """A type as the catalog prints it (``format_type`` quotes what needs quotes)."""
    return sql.SQL(name.replace("%", "%%"))


def commas(items: Sequence[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(items)
