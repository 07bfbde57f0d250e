"""The configuration read once more: which column becomes which field, and how both sides of it are printed."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from syncline.model.entity import Fields
from syncline.testing.mapping.tables import Table, Type, read_type
from syncline.testing.mapping.tables import named as quoted

_DATE = re.compile(r"-?infinity|(?P<year>\d{4,})-\d\d-\d\d( \d\d:\d\d:\d\d(\.\d+)?(\+00)?)?(?P<era> BC)?")
TIMES = frozenset({"date", "timestamp", "timestamptz"})


@dataclass(frozen=True, slots=True)
class Mapped:
    """A field and the SQL that it stands for."""

    path: tuple[str, ...]
    shown: sql.Composable
    """Prints the value."""
    cast: sql.Composable
    """Prints what was restored: one placeholder."""
    type: Type
    kind: str | None
    place: str
    """Where the configuration says so."""
    required: bool = True
    dates: str = "exact"


def fields_of(
    conn: psycopg.Connection[Any], section: str, fields: Fields, table: Table, key: Sequence[str]
) -> list[Mapped]:
    """Work out from the configuration alone which columns become which fields."""
    found = []
    for column in table.columns:
        named = column.name in {*(fields.include or ()), *fields.rename, *fields.types}
        taken = fields.include is None or named
        if column.name in fields.exclude or not taken:
            continue
        name = fields.rename.get(column.name) or (camel(column.name) if fields.naming == "camel" else column.name)
        kind = fields.types.get(column.name)
        value: sql.Composable = quoted(table.name.name, column.name)
        place = f"include, exclude, rename, types of {column.name} in [{section}]"
        required = named or column.name not in key
        found.append(_mapped(name, value, column.sql_type, column.type, kind, place, required=required))
    for name, computed in fields.computed.items():
        value = sql.SQL("({}\n)").format(sql.SQL(computed.sql.replace("%", "%%")))
        type_, sql_type = _type_of(conn, table, value)
        found.append(_mapped(name, value, sql_type, type_, computed.type, f"computed {name} in [{section}]"))
    return [replace(mapped, dates=fields.dates) for mapped in found]


def _mapped(
    name: str, value: sql.Composable, sql_type: str, type_: Type, kind: str | None, place: str, *, required: bool = True
) -> Mapped:
    """Choose how both sides are printed."""
    cast: sql.Composable
    if kind == "json" or type_.innermost in {"json", "jsonb"}:
        shown, cast = sql.SQL("to_jsonb({})::text").format(value), sql.SQL("%s::text::jsonb::text")
    elif kind == "text":
        shown, cast = sql.SQL("{}::text").format(value), sql.SQL("%s::text")
    else:
        type_sql = sql.SQL("float8" if kind == "double" else sql_type.replace("%", "%%"))
        shown = sql.SQL("{}::{}::text").format(value, type_sql)
        cast = sql.SQL("%s::text::{}::text").format(type_sql)
    return Mapped(tuple(name.split(".")), shown, cast, type_, kind, place, required)


def same(mapped: Mapped, source: str | None, target: str | None) -> bool:
    """Whether two printed values are one, but for the losses that the types' reference page declares."""
    if mapped.kind == "json" or mapped.type.innermost in {"json", "jsonb"}:
        return bool(_parsed(source) == _parsed(target))
    if source is None or target is None:
        return source is target
    if mapped.type.innermost in TIMES and mapped.kind not in {"micros", "text"}:
        source, target = (_to_milliseconds(text).replace('"', "") for text in (source, target))
        if mapped.dates == "nearest":  # the target too: a column of whole seconds rounds the last millisecond up
            source, target = _nearest(source, mapped.type), _nearest(target, mapped.type)
        return source == target
    if mapped.type.name == "numeric" and mapped.kind is None:
        return _without_zeros(source) == _without_zeros(target)
    return source == target


def _parsed(text: str | None) -> Any:
    """JSON's null and an SQL NULL are one."""
    return None if text is None else json.loads(text, parse_int=Decimal, parse_float=Decimal)


def _to_milliseconds(text: str) -> str:
    return re.sub(r"\.(\d{1,3})\d*", lambda found: f".{found[1]:0<3}" if found[1].strip("0") else "", text)


def _nearest(text: str, type_: Type) -> str:
    """Put the limits of the years 1 to 9999 in the place of what lies outside."""
    clock = {"date": "", "timestamp": " {}", "timestamptz": " {}+00"}[type_.innermost]

    def limited(found: re.Match[str]) -> str:
        if found[0].startswith("-infinity") or found["era"]:
            return "0001-01-01" + clock.format("00:00:00")
        far = found[0] == "infinity" or len(found["year"]) > 4
        return "9999-12-31" + clock.format("23:59:59.999") if far else found[0]

    return _DATE.sub(limited, text)


def _without_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def select(items: Sequence[sql.Composable], table: Table, conditions: Sequence[str | None]) -> sql.Composed:
    where = [sql.SQL("({}\n)").format(sql.SQL(text.replace("%", "%%"))) for text in conditions if text]
    return sql.SQL("SELECT {} FROM {} WHERE {}").format(
        sql.SQL(", ").join(items),
        quoted(table.name.schema, table.name.name),
        sql.SQL(" AND ").join(where) if where else sql.SQL("true"),
    )


def _type_of(conn: psycopg.Connection[Any], table: Table, value: sql.Composable) -> tuple[Type, str]:
    cursor = conn.execute(select([value], table, []) + sql.SQL(" LIMIT 0"), ())
    description = cursor.description or []
    return read_type(conn, description[0].type_code)


def camel(name: str) -> str:
    """Turn ``user_id`` into ``userId``; underscores at the start stay."""
    head = len(name) - len(name.lstrip("_"))
    first, *others = name[head:].split("_")
    return name[:head] + first + "".join(part[:1].upper() + part[1:] for part in others)
