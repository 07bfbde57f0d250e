"""How the statements of functions and triggers are composed: named parts, names, the comparison of two keys."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from psycopg import sql

from syncline.model.entity import Column, TableName
from syncline.model.key_types import key_type
from syncline.model.link import current
from syncline.postgres.sql import blocks, script

_LANE = re.compile(r"FUNCTION \S+\.lane_of\([^$]*\$\$ SELECT (.*?) \$\$")
"""What ``lane_of()`` gives, of its parameters ``entity`` and ``key``."""
_EQUAL: Mapping[str, str] = {"int2": "int8eq", "int4": "int8eq", "int8": "int8eq", "uuid": "uuid_eq"}
"""What compares values whose equality is that of their texts, and is cheaper."""


def key_expression(columns: Sequence[Column], row: str) -> sql.Composed:
    """Key text of a row, under pinned settings: ``model.keys`` reads it back."""
    texts = sql.SQL(", ").join(sql.SQL("{}::text").format(of_row(row, column)) for column in columns)
    if len(columns) == 1:
        return sql.Composed([texts])
    return sql.SQL("jsonb_build_array({})::text").format(texts)


def lane(key: str, entity: str, schema: str = "schema.sql") -> sql.Composed:
    """Compose the lane of a key in hand as the schema's ``lane_of()`` says it, which another tool may drop."""
    found = _LANE.search(script(schema))
    assert found is not None  # noqa: S101  a test holds both schemas to it
    given = {"key": key, "entity": entity}
    text = re.sub(r"\b(?:p_)?(key|entity)\b", lambda name: given[name[1]], found[1])
    return sql.Composed([sql.SQL(text)])


def dollar_quoted(body: str) -> sql.SQL:
    """Quote a function's body so that it stays readable, with a tag that does not occur in it."""
    tag, number = "$$", 0
    while tag in body:
        tag, number = f"$syncline{number}$", number + 1
    return sql.SQL(f"{tag}{body}{tag}")


def part(name: str, **parts: sql.Composable) -> sql.Composed:
    """Compose a part of another block."""
    return template(name, part=True).format(**parts)


def template(name: str, *, part: bool = False) -> sql.SQL:
    """Give a named block; a part of another one carries no comment with our name."""
    return sql.SQL(blocks("triggers.sql", "syncline.capture.postgres", comment=not part)[name])


def set_clauses(settings: Mapping[str, str]) -> sql.Composable:
    clauses = []
    for name, value in settings.items():
        values = sql.SQL(", ").join(map(sql.Literal, value.split(", ")))
        clauses.append(sql.SQL("\n    SET {} = {}").format(sql.Identifier(name), values))
    return sql.Composed(clauses)


def same_key(columns: Sequence[Column]) -> sql.Composed:
    """Compare the keys of two rows: as what they are where that says the same as their texts, and costs less."""
    if not _as_they_are(columns):
        return same_texts(columns)
    return sql.SQL(" AND ").join(
        sql.SQL("{} = {}").format(of_row("n", column), of_row("r", column)) for column in columns
    )


def same_texts(columns: Sequence[Column]) -> sql.Composed:
    texts = [sql.SQL('({}) COLLATE pg_catalog."C"').format(key_expression(columns, row)) for row in ("n", "r")]
    return sql.SQL(" = ").join(texts)


def compared_in_order(columns: Sequence[Column], present: sql.Composable) -> tuple[sql.Composable, sql.Composable]:
    """Compose what many keys are collected and compared as, row by row, and the type of an array of it."""
    if len(columns) == 1 and _as_they_are(columns) == ["int8eq"]:
        return sql.SQL("{}::bigint").format(of_row("r", columns[0])), sql.SQL("bigint[]")
    text = sql.SQL('CASE WHEN {} THEN ({}) COLLATE pg_catalog."C" END').format(present, key_expression(columns, "r"))
    return text, sql.SQL('text[] COLLATE pg_catalog."C"')


def are_short(columns: Sequence[Column]) -> bool:
    """Tell whether very many such keys fit into an array: one that PostgreSQL refuses would fail the user's write."""
    return bool(_as_they_are(columns))


def still_typed(columns: Sequence[Column]) -> sql.Composable:
    """See that the columns still are what they are compared as: else it is done carefully."""
    equal = _as_they_are(columns)
    if not equal:
        return sql.SQL("")
    calls = [
        sql.SQL("pg_catalog.{}({column}, {column})").format(sql.SQL(name), column=of_row("n", column))
        for name, column in zip(equal, columns, strict=True)
    ]
    return part("typed", equal=sql.SQL(" AND ").join(calls))


def _as_they_are(columns: Sequence[Column]) -> list[str]:
    """Name the functions that compare these columns where all may be compared so; else nothing."""
    names = [_EQUAL.get(key_type(column).sql, "") for column in columns]
    return names if all(names) else []


def of_row(row: str, column: Column) -> sql.Composed:
    return sql.SQL("{}.{}").format(sql.SQL(row), sql.Identifier(column.name))


def ours(name: str) -> sql.Identifier:
    return sql.Identifier(current().schema, name)


def table_of(table: TableName) -> sql.Identifier:
    return sql.Identifier(table.schema, table.name)


def types(names: Iterable[str]) -> sql.Composed:
    """Types as the catalog prints them: quoted where they need it."""
    return sql.SQL(", ").join([sql.SQL(name) for name in names])
