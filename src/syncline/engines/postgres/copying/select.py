"""The statements of a copy, composed. COPY takes no parameters: values are literals, written by psycopg."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from syncline.engines.postgres.key_sql import index_order
from syncline.engines.postgres.projection_sql import commas
from syncline.engines.postgres.target.tables import Reference, Table, qualified
from syncline.model.key_types import key_type
from syncline.ports import Plan
from syncline.ports.copying import Bounds

STAGED = sql.Identifier("pg_temp", "syncline_copied")


@dataclass(frozen=True, slots=True)
class Field:
    """A value on its way: what is read, and into which column it is written."""

    column: str
    read: sql.Composable


def fields_of(plan: Plan, table: Table) -> list[Field]:
    """List what is copied: the columns that the relay writes, but those that the target computes.

    Raises:
        UnsuitableTargetError: the target's table lacks one.

    """
    source = plan.projection.shape.table
    found = []
    for item in plan.projection.selected:
        if table.column(item.field).generated:
            continue
        if item.column is not None:
            found.append(Field(item.field, sql.Identifier(source.name, item.column)))
        else:
            found.append(Field(item.field, sql.SQL("({}\n)").format(sql.SQL(item.sql or "NULL"))))
    return found


def rows_of(plan: Plan, fields: Sequence[Field], bounds: Bounds | None) -> sql.Composed:
    """Compose the query of a range; ``None``: of no row at all, to see its types."""
    projection = plan.projection
    table = projection.shape.table
    order = index_order(plan)
    columns = [sql.Identifier(table.name, projection.key[place].name) for place in order]
    casts = [key_type(projection.key[place]).sql for place in order]
    conditions: list[sql.Composable] = []
    if bounds is not None:
        conditions += [
            sql.SQL("({}) {} ({})").format(
                commas(columns),
                sql.SQL(operator),
                commas(
                    [
                        sql.SQL("{}::text::{}").format(sql.Literal(text), sql.SQL(cast))
                        for text, cast in zip(key, casts, strict=True)
                    ]
                ),
            )
            for operator, key in ((">", bounds.after), ("<=", bounds.until))
            if key is not None
        ]
    if plan.entity.where:
        conditions.append(sql.SQL("({}\n)").format(sql.SQL(plan.entity.where)))
    if bounds is None:
        conditions.append(sql.SQL("false"))
    where = sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(conditions)) if conditions else sql.SQL("")
    return sql.SQL("SELECT {} FROM {}{}").format(
        commas([field.read for field in fields]), sql.Identifier(table.schema, table.name), where
    )


def read(plan: Plan, fields: Sequence[Field], bounds: Bounds, *, binary: bool) -> sql.Composed:
    """Compose the COPY that reads a range."""
    return sql.SQL("/* syncline: copy */ COPY ({}) TO STDOUT{}").format(rows_of(plan, fields, bounds), _form(binary))


def write(into: sql.Composable, fields: Sequence[Field], *, binary: bool) -> sql.Composed:
    """Compose the COPY that writes rows; an identity column takes what it is given, whatever it generates."""
    return sql.SQL("/* syncline: copy */ COPY {} ({}) FROM STDIN{}").format(into, _columns(fields), _form(binary))


def _form(binary: bool) -> sql.SQL:
    return sql.SQL(" (FORMAT binary)" if binary else " (FORMAT text)")


def _columns(fields: Sequence[Field]) -> sql.Composed:
    return commas([sql.Identifier(field.column) for field in fields])


def types_written(table: Table, fields: Sequence[Field]) -> sql.Composed:
    """Compose a query of no row with the types of what is written."""
    return sql.SQL("SELECT {} FROM {} WHERE false").format(_columns(fields), qualified(table.name))


def stage(table: Table) -> sql.Composed:
    """Compose the making of a table like the target's, without its rules; it goes at the end of the transaction."""
    return sql.SQL("CREATE TEMPORARY TABLE syncline_copied ON COMMIT DROP AS SELECT * FROM {} WITH NO DATA").format(
        qualified(table.name)
    )


def unstage(table: Table, fields: Sequence[Field]) -> sql.Composed:
    """Compose the writing of staged rows but those that have to wait for others; what was written leaves the stage."""
    parents = [
        sql.SQL("({} OR EXISTS (SELECT FROM {} AS p WHERE {}))").format(
            sql.SQL(" OR ").join([sql.SQL("{} IS NULL").format(sql.Identifier("s", name)) for name in one.columns]),
            qualified(one.parent),
            sql.SQL(" AND ").join(
                [
                    sql.SQL("{} = {}").format(sql.Identifier("p", there), sql.Identifier("s", here))
                    for here, there in zip(one.columns, one.referenced, strict=True)
                ]
            ),
        )
        for one in table.parents
    ]
    key = commas([sql.Identifier(name) for name in table.key])
    same = sql.SQL(" AND ").join(
        [sql.SQL("{} = {}").format(sql.Identifier("s", name), sql.Identifier("w", name)) for name in table.key]
    )
    return sql.SQL(
        "WITH written AS (INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS s{} ON CONFLICT DO NOTHING"
        " RETURNING {}) DELETE FROM {} AS s USING written AS w WHERE {}"
    ).format(
        qualified(table.name),
        _columns(fields),
        commas([sql.Identifier("s", field.column) for field in fields]),
        STAGED,
        sql.SQL(" WHERE {}").format(sql.SQL(" AND ").join(parents)) if parents else sql.SQL(""),
        key,
        STAGED,
        same,
    )


def staged_keys(names: Sequence[str]) -> sql.Composed:
    """Compose the reading of the keys that are left on the stage."""
    return sql.SQL("SELECT {} FROM {}").format(
        commas([sql.SQL("{}::text").format(sql.Identifier(name)) for name in names]), STAGED
    )


def empty(table: Table) -> sql.Composed:
    """Compose the question whether a table is empty."""
    return sql.SQL("SELECT NOT EXISTS (SELECT FROM {})").format(qualified(table.name))


def clear(table: Table) -> sql.Composed:
    """Compose the removal of every row."""
    return sql.SQL("/* syncline: copy */ DELETE FROM {}").format(qualified(table.name))


def lock(table: Table) -> sql.Composed:
    """Compose a lock that reading passes, and no other transaction's reference to a row does."""
    return sql.SQL("/* syncline: copy */ LOCK TABLE {} IN EXCLUSIVE MODE").format(qualified(table.name))


def refers(reference: Reference) -> sql.Composed:
    """Compose the question whether any row refers to one of the other table."""
    return sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {})").format(
        qualified(reference.child),
        sql.SQL(" AND ").join([sql.SQL("{} IS NOT NULL").format(sql.Identifier(name)) for name in reference.columns]),
    )


def sample(plan: Plan, *, parts: int, percent: float) -> sql.Composed:
    """Compose the reading of the keys that divide a table in about equal parts, from some of its pages.

    Parameters are written into it: it is a statement of its own.
    """
    projection = plan.projection
    table = projection.shape.table
    columns = [sql.Identifier(table.name, projection.key[place].name) for place in index_order(plan)]
    names = [sql.Identifier(f"k{number}") for number in range(len(columns))]
    chosen = sql.SQL("") if percent >= 100 else sql.SQL(" TABLESAMPLE SYSTEM ({})").format(sql.Literal(percent))
    inner = sql.SQL("SELECT {}, pg_catalog.ntile({}) OVER (ORDER BY {}) AS part FROM {}{}").format(
        commas([sql.SQL("{} AS {}").format(c, n) for c, n in zip(columns, names, strict=True)]),
        sql.Literal(parts),
        commas(columns),
        sql.Identifier(table.schema, table.name),
        chosen,
    )
    return sql.SQL("/* syncline: copy */ SELECT DISTINCT ON (part) ARRAY[{}] FROM ({}) AS q ORDER BY part, {}").format(
        commas([sql.SQL("{}::text").format(name) for name in names]),
        inner,
        commas([sql.SQL("{} DESC").format(name) for name in names]),
    )
