"""The statements that deal with keys alone: walking them, marking ranges of them, finding those that have no row.

Composed like ``projection_sql``; a key's text comes from the entity's own SQL function, ranges follow its index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from syncline.engines.postgres.projection_sql import (
    bound,
    column_of,
    commas,
    condition_of,
    named,
    table_of,
    type_of,
    where_of,
)
from syncline.model.key_types import key_type
from syncline.ports import Absent, Chosen, Plan
from syncline.postgres.connection import Connection, is_of_rows, translated
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import identifier, ours


@dataclass(frozen=True, slots=True)
class KeyStatements:
    """The statements for one entity; parameters are positional, a key is one text per column (``bounds``)."""

    order: tuple[int, ...]
    """The key's columns in the order of its index, for ``bounds``."""
    last: sql.Composed
    """The highest key. No parameters."""
    boundary: sql.Composed
    """The key that ends a chunk. Parameters: last key, rows to pass over."""
    boundary_after: sql.Composed
    """The same after a key. Parameters: key, last key, rows to pass over."""
    mark: sql.Composed
    """Marks the rows inside the filter up to a key; gives their number. Parameters: hint, key."""
    mark_after: sql.Composed
    """The same after a key. Parameters: hint, key, last key."""
    bare: sql.Composed
    """Keys of all rows up to a key, whatever the filter says. Parameters: key."""
    bare_after: sql.Composed
    """The same after a key. Parameters: key, last key."""
    present: sql.Composed
    """Which of some keys have a row to be marked; each row is asked about alone. As ``absent``."""
    absent: sql.Composed
    """Which of some keys have no row inside the filter. Parameters: an array per column. Gives positions, from 1."""
    unproven: sql.Composed
    """Like ``absent``, and those whose row is newer than a transaction (PostgreSQL). Parameters: arrays, its number."""
    rowless: sql.Composed
    """Which of some keys have no row at all, whatever the filter says. As ``absent``."""
    size: sql.Composed
    """Number of rows, counted up to a limit. Parameters: limit."""
    sample: sql.Composed
    """Keys of random rows inside the filter. Parameters: percentage of the table, limit."""
    bare_sample: sql.Composed
    """Keys of random rows, whatever the filter says. Parameters likewise."""

    def bounds(self, texts: Sequence[str]) -> tuple[str, ...]:
        """Put the texts of a key's columns in the order in which ``boundary``, ``mark`` and their kin take them."""
        return tuple(texts[place] for place in self.order)


def key_statements(plan: Plan, dialect: Dialect = Dialect.POSTGRESQL, *, where: str | None = None) -> KeyStatements:
    """Compose the statements of an entity.

    Args:
        plan: the entity.
        dialect: of its database.
        where: marks only rows for which this SQL condition holds too; see ``Marking.check_condition``.

    """
    projection = plan.projection
    table = projection.shape.table
    columns = [column_of(table, column.name) for column in projection.key]
    casts = [key_type(column).sql for column in projection.key]
    order = index_order(plan)
    parts = {
        "table": table_of(table),
        "columns": commas(columns),
        "ordered": commas([columns[place] for place in order]),
        "backwards": commas([sql.SQL("{} DESC").format(columns[place]) for place in order]),
        "key": sql.SQL("{}({})").format(identifier(f"key_{plan.id}"), commas(columns)),
        "id": sql.Literal(plan.id),
        "absent": _absent(plan, columns, casts),
        "unproven": _absent(plan, columns, casts, _OLDER),
        "rowless": _absent(plan, columns, casts, filtered=False),
        "present": _present(plan, columns, casts, where),
    }
    in_order = [columns[place] for place in order], [casts[place] for place in order]
    after, until = bound(*in_order, ">"), bound(*in_order, "<=")
    inside = condition_of(plan.entity.where)

    def compose(text: str, *conditions: sql.Composable) -> sql.Composed:
        return sql.SQL("/* syncline: keys */ " + text).format(**parts, where=where_of(conditions))

    bare = "SELECT {key} FROM {table}{where}"
    boundary = "SELECT {key} FROM {table}{where} ORDER BY {ordered} OFFSET %s LIMIT 1"
    mark = ours(
        'SELECT syncline.mark({id}::smallint, array_agg(q.k), %s::text::"char") '
        "FROM (SELECT {key} AS k FROM {table}{where}) AS q"
    )
    sample = "SELECT {key} FROM {table} TABLESAMPLE SYSTEM (%s){where} ORDER BY random() LIMIT %s"
    chance = []
    if dialect is Dialect.COCKROACHDB:  # which has no TABLESAMPLE
        sample = "SELECT {key} FROM {table}{where} ORDER BY random() LIMIT %s"
        chance = [sql.SQL("random() * 100 < %s::float8")]
    marked = [*inside, *condition_of(where)]
    return KeyStatements(
        order,
        last=compose("SELECT {key} FROM {table} ORDER BY {backwards} LIMIT 1"),
        boundary=compose(boundary, until),
        boundary_after=compose(boundary, after, until),
        mark=compose(mark, until, *marked),
        mark_after=compose(mark, after, until, *marked),
        bare=compose(bare, until),
        bare_after=compose(bare, after, until),
        present=compose("{present}"),
        absent=compose("{absent}"),
        unproven=compose("{unproven}"),
        rowless=compose("{rowless}"),
        size=compose("SELECT count(*) FROM (SELECT FROM {table} LIMIT %s) AS counted"),
        sample=compose(sample, *chance, *inside),
        bare_sample=compose(sample, *chance),
    )


def index_order(plan: Plan) -> tuple[int, ...]:
    """The key as its index has it: in another order every chunk would sort the whole table."""
    names = [column.name for column in plan.projection.key]
    known = plan.projection.shape.unique_keys
    if tuple(names) not in known:
        index = next((unique for unique in known if set(unique) == set(names)), names)
        return tuple(names.index(name) for name in index)
    return tuple(range(len(names)))


# A negative age is that of a row that was frozen long ago: no row is newer than the statement that sees it.
_OLDER = sql.SQL("(age({row}.xmin) > age(%s::text::xid) OR age({row}.xmin) < 0)")


def _absent(
    plan: Plan, columns: Sequence[sql.Composable], casts: Sequence[str], *which: sql.SQL, filtered: bool = True
) -> sql.Composed:
    names = [sql.Identifier(f"_syncline_{number}") for number in range(len(columns))]
    table = plan.projection.shape.table
    equal = [sql.SQL("{} = _syncline_keys.{}").format(c, n) for c, n in zip(columns, names, strict=True)]
    return sql.SQL(
        "SELECT _syncline_at FROM unnest({arrays}) WITH ORDINALITY AS _syncline_keys({names}, _syncline_at) "
        "WHERE NOT EXISTS (SELECT FROM {table}{where})"
    ).format(
        arrays=commas([sql.SQL("%s::text[]::{}[]").format(type_of(cast)) for cast in casts]),
        names=commas(names),
        table=table_of(table),
        where=where_of(
            [
                *equal,
                *condition_of(plan.entity.where if filtered else None),
                *(one.format(row=named(table.name)) for one in which),
            ]
        ),
    )


def _present(plan: Plan, columns: Sequence[sql.Composable], casts: Sequence[str], where: str | None) -> sql.Composed:
    """Ask the conditions of no other row, in whatever order the planner takes them: CASE keeps its own."""
    names = [sql.Identifier(f"_syncline_{number}") for number in range(len(columns))]
    equal = sql.SQL(" AND ").join(
        [sql.SQL("{} = _syncline_keys.{}").format(c, n) for c, n in zip(columns, names, strict=True)]
    )
    asked = [
        sql.SQL("CASE WHEN {} THEN {} END").format(equal, one)
        for one in (*condition_of(plan.entity.where), *condition_of(where))
    ]
    return sql.SQL(
        "SELECT _syncline_at FROM unnest({arrays}) WITH ORDINALITY AS _syncline_keys({names}, _syncline_at) "
        "WHERE EXISTS (SELECT FROM {table}{where})"
    ).format(
        arrays=commas([sql.SQL("%s::text[]::{}[]").format(type_of(cast)) for cast in casts]),
        names=commas(names),
        table=table_of(plan.projection.shape.table),
        where=where_of([equal, *asked]),
    )


MOST = 300
"""Statements that look for the rows at which a condition fails, at most."""


async def chosen_keys(
    connection: Connection, plan: Plan, statements: KeyStatements, keys: Sequence[str], *, most: int = MOST
) -> Chosen:
    """Tell for which rows the conditions hold, when one statement for all of them has failed.

    Args:
        connection: to the source, in no transaction.
        plan: the entity.
        statements: of this entity.
        keys: of rows.
        most: statements at most.

    Raises:
        SourceError: it failed for another reason than what the rows hold.

    """
    found = Chosen([], [])
    parts, tries = [list(keys)] if keys else [], 0
    while parts:
        part = parts.pop()
        tries += 1
        if tries > most:
            found.doubtful.extend(part)
            continue
        with translated():
            try:
                cursor = await connection.execute(statements.present, plan.projection.codec.parameters(part))
            except psycopg.Error as error:
                if not is_of_rows(error):
                    raise
                middle = len(part) // 2
                if middle:
                    parts += [part[middle:], part[:middle]]
                else:
                    found.doubtful.extend(part)
            else:
                found.keys.extend([part[position - 1] for (position,) in await cursor.fetchall()])
    return found


async def absent_keys(
    connection: Connection, plan: Plan, statements: KeyStatements, keys: Sequence[str], *, newer: str | None = None
) -> Absent:
    """Find the keys that have no row inside the entity's filter.

    Args:
        connection: to the source.
        plan: the entity.
        statements: of this entity.
        keys: their texts.
        newer: number of a transaction: also those whose row was written by this one or a later one.

    The keys come from documents that anybody may have written: a text that looks like a key and still cannot be cast
    fails the whole statement, so the list is halved until it stands alone.

    """
    if not keys:
        return Absent([], [])
    parameters = plan.projection.codec.parameters(keys)
    with translated():
        try:
            if newer is None:
                cursor = await connection.execute(statements.absent, parameters)
            else:
                cursor = await connection.execute(statements.unproven, [*parameters, newer])
        except psycopg.Error as error:
            if not is_of_rows(error):
                raise
            if len(keys) == 1:
                return await _judged(connection, statements, keys, parameters)
            middle = len(keys) // 2
            left = await absent_keys(connection, plan, statements, keys[:middle], newer=newer)
            right = await absent_keys(connection, plan, statements, keys[middle:], newer=newer)
            return Absent(left.keys + right.keys, left.impossible + right.impossible)
        return Absent([keys[position - 1] for (position,) in await cursor.fetchall()], [])


async def _judged(
    connection: Connection, statements: KeyStatements, keys: Sequence[str], parameters: Sequence[object]
) -> Absent:
    """Tell a text that no value has from a row of which the filter cannot be asked: that one is to be looked at."""
    try:
        await connection.execute(statements.rowless, parameters)
    except psycopg.DataError:
        return Absent([], list(keys))
    return Absent(list(keys), [])
