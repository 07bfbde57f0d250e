"""Conditions, order and documents as SQL over the tables of a collection. Pure.

A value travels as text and is cast to its column's type; a document comes in one row, with those of its child tables
as JSON, so that one statement shows one state of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from syncline.engines.postgres.documents.definitions import type_sql
from syncline.engines.postgres.documents.texts import selected, to_text
from syncline.model.documents import DocumentMapping, Table
from syncline.model.documents.plans import MISSING
from syncline.phases.repositories.conditions import (
    Between,
    Condition,
    Contains,
    Equal,
    Missing,
    Not,
    OneOf,
    StartsWith,
    Where,
    alternatives,
)
from syncline.phases.repositories.places import Place, Places, as_text

_TOP, _CHILD = sql.Identifier("t"), sql.Identifier("c")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a statement, with the values of its placeholders."""

    text: sql.Composable
    values: tuple[Any, ...] = ()


_NEVER, _ALWAYS = Part(sql.SQL("false")), Part(sql.SQL("true"))


def joined(parts: Iterable[Part], between: str) -> Part:
    """Put parts together, each in parentheses."""
    given = list(parts)
    texts = [sql.SQL("({})").format(one.text) for one in given]
    return Part(sql.SQL(between).join(texts), tuple(value for one in given for value in one.values))


def filled(text: str, *parts: Part | sql.Composable) -> Part:
    """Fill a template whose placeholders are in the order of the parts'."""
    texts = [one.text if isinstance(one, Part) else one for one in parts]
    values = tuple(value for one in parts if isinstance(one, Part) for value in one.values)
    return Part(sql.SQL(text).format(*texts), values)


def listing(
    mapping: DocumentMapping,
    places: Places,
    where: Where,
    sort: Sequence[str],
    limit: int | None,
    offset: int,
    *,
    declared: bool = False,
) -> Part:
    """Read documents: the columns of the collection's own table, then an array of rows for each child table.

    ``declared``: then the declaration under which they are written.
    """
    order = sql.SQL(", ").join([one for place, down in places.order(sort) for one in _ordered(place, down)])
    return filled(
        "/* syncline */ SELECT {} FROM {} AS t WHERE {} ORDER BY {} LIMIT {} OFFSET {}",
        sql.SQL(", ").join([*_selected(mapping), *([_declaration(mapping)] if declared else [])]),
        name(mapping.tables[0]),
        conditions(places, where),
        order,
        Part(sql.SQL("%s::bigint"), (limit,)),
        Part(sql.SQL("%s::bigint"), (offset,)),
    )


def counting(mapping: DocumentMapping, places: Places, where: Where, *, declared: bool = False) -> Part:
    """Count documents; ``declared``: then the declaration under which they are written."""
    wanted, and_declared = conditions(places, where), _and_declared(mapping, declared=declared)
    return filled(
        "/* syncline */ SELECT (SELECT count(*) FROM {} AS t WHERE {}){}", name(mapping.tables[0]), wanted, and_declared
    )


def asking(mapping: DocumentMapping, places: Places, where: Where, *, declared: bool = False) -> Part:
    """Ask whether there is a document; ``declared``: and under which declaration documents are written."""
    wanted, and_declared = conditions(places, where), _and_declared(mapping, declared=declared)
    return filled(
        "/* syncline */ SELECT EXISTS (SELECT FROM {} AS t WHERE {}){}", name(mapping.tables[0]), wanted, and_declared
    )


def locking(mapping: DocumentMapping, places: Places, key: Any, *, declared: bool = False) -> Part:
    """Lock the row of a document: who writes it waits; ``declared``: then the declaration, as it is by then."""
    wanted, and_declared = _compared(places.key, "=", key), _and_declared(mapping, declared=declared)
    return filled(
        "/* syncline */ SELECT 1{} FROM {} AS t WHERE {} FOR UPDATE", and_declared, name(mapping.tables[0]), wanted
    )


def declaration(mapping: DocumentMapping) -> Part:
    """Ask for the declaration under which documents are written."""
    return filled("/* syncline */ SELECT {}", _declaration(mapping))


def and_declaration(mapping: DocumentMapping, statement: sql.Composable) -> sql.Composable:
    """Have a statement that ends with what it returns return the declaration, too."""
    return sql.SQL("{}, {}").format(statement, _declaration(mapping))


def _declaration(mapping: DocumentMapping) -> sql.Composed:
    return sql.SQL("(SELECT m.fingerprint FROM syncline_documents.mapping AS m WHERE m.collection = {})").format(
        sql.Literal(mapping.collection.name.replace("%", "%%"))
    )


def _and_declared(mapping: DocumentMapping, *, declared: bool) -> sql.Composable:
    return and_declaration(mapping, sql.SQL("")) if declared else sql.SQL("")


def conditions(places: Places, where: Where) -> Part:
    """Write conditions."""
    each = [
        joined((_condition(places.of(path), one) for path, one in of.items()), " AND ") if of else _ALWAYS
        for of in alternatives(where)
    ]
    return joined(each, " OR ") if each else _NEVER


def name(table: Table) -> sql.Identifier:
    """Name a table in a statement with placeholders."""
    return sql.Identifier(table.name.schema.replace("%", "%%"), table.name.name.replace("%", "%%"))


def column(of: sql.Composable, table: Table, number: int) -> sql.Composed:
    """Name a column in a statement with placeholders."""
    return sql.SQL("{}.{}").format(of, sql.Identifier(table.columns[number].name.replace("%", "%%")))


def _selected(mapping: DocumentMapping) -> list[sql.Composable]:
    top, *children = mapping.tables
    found: list[sql.Composable] = [*_texts(_TOP, top)]
    for child in children:
        rows = sql.SQL("(SELECT coalesce(json_agg(ARRAY[{}]), '[]') FROM {} AS c WHERE {} = {})")
        texts = sql.SQL(", ").join(_texts(_CHILD, child))
        found.append(rows.format(texts, name(child), column(_CHILD, child, 0), column(_TOP, top, 0)))
    return found


def _texts(of: sql.Composable, table: Table) -> list[sql.Composed]:
    return [selected(one.type, column(of, table, number)) for number, one in enumerate(table.columns)]


def _ordered(place: Place, descending: bool) -> list[sql.Composable]:
    """Null first, as MongoDB has it, then what is no number; texts by their code points."""
    value = _value(place)
    keys = [sql.SQL("{} <> 'NaN'").format(value)] if place.has_nan else []
    keys.append(sql.SQL('{} COLLATE "C"').format(_as_text(place, value)) if _is_text(place) else value)
    way = sql.SQL("{} DESC NULLS LAST" if descending else "{} ASC NULLS FIRST")
    return [way.format(key) for key in keys]


def _value(place: Place) -> sql.Composed:
    """Give the value of a field; a default that stands in the column does not count."""
    shown = column(_TOP, place.table, place.number)
    if place.column.default is None or place.rest is None:
        return sql.SQL("{}").format(shown)
    return sql.SQL("CASE WHEN NOT {} THEN {} END").format(_noted_missing(place), shown)


def _is_text(place: Place) -> bool:
    return place.type.sql == "text"


def _as_text(place: Place, value: sql.Composable) -> sql.Composable:
    return sql.SQL("({})::text").format(value) if place.column.field.enum else value


def _kept(place: Place, path: Sequence[str]) -> sql.Composed:
    """Give what the rest keeps at a path; names are of the declaration, never of a caller."""
    rest = sql.SQL("t.{}").format(sql.Identifier((place.rest or "").replace("%", "%%")))
    names = sql.SQL(", ").join([sql.Literal(one.replace("%", "%%")) for one in path])
    return sql.SQL("{} #> ARRAY[{}]").format(rest, names)


def _noted_missing(place: Place) -> sql.Composed:
    noted = _kept(place, [*place.in_rest[:-1], MISSING])
    plain = place.path.rpartition(".")[2].replace("%", "%%")
    return sql.SQL("coalesce(jsonb_exists({}, {}), false)").format(noted, sql.Literal(plain))


def _condition(place: Place, condition: Condition) -> Part:
    match condition:
        case Missing():
            return _missing(place)
        case Equal():
            return _equal(place, [condition.value])
        case OneOf():
            found = _equal(place, [value for value in condition.values if value is not None])
            return joined([found, _missing(place)], " OR ") if None in condition.values else found
        case Between():
            return _between(place, condition)
        case Contains():
            return _containing(place, condition)
        case StartsWith():
            return _matching(place, "starts_with({}, {})", condition.text)
        case Not():
            return filled("NOT coalesce({}, false)", _condition(place, condition.condition))
    raise TypeError(f"{condition!r} is no condition")


def _missing(place: Place) -> Part:
    if place.is_array:
        return _missing_array(place)
    empty = sql.SQL("{} IS NULL").format(column(_TOP, place.table, place.number))
    if place.rest is None:
        return Part(empty)
    nothing = sql.SQL("coalesce({}, 'null') = 'null'").format(_kept(place, place.in_rest))
    parts = [joined([Part(empty), Part(nothing)], " AND ")]
    if place.column.default is not None:
        parts.append(Part(_noted_missing(place)))
    return joined(parts, " OR ")


def _missing_array(place: Place) -> Part:
    none = filled("NOT EXISTS ({})", _elements(place, _ALWAYS))
    if place.rest is None:
        return none if place.no_rows == "missing" else _NEVER
    if place.no_rows == "missing":
        nothing = sql.SQL("coalesce({}, 'null') = 'null'").format(_kept(place, place.in_rest))
    else:
        nothing = sql.SQL("({} OR {} = 'null')").format(_noted_missing(place), _kept(place, place.in_rest))
    return joined([none, Part(nothing)], " AND ")


def _elements(place: Place, condition: Part) -> Part:
    top = column(_TOP, place.table, 0)  # the key's column has one name in all tables of a collection
    of = sql.SQL("{} = {}").format(column(_CHILD, place.table, 0), top)
    return filled("SELECT FROM {} AS c WHERE {} AND {}", name(place.table), of, condition)


def _equal(place: Place, given: Sequence[Any]) -> Part:
    values = [value for value in map(place.value, given) if value is not None]
    if not values:
        return _NEVER
    of = _CHILD if place.is_array else _TOP
    texts = [to_text(place.shown(value)) for value in values]
    wanted = Part(sql.SQL("%s::text[]"), (texts,)) if len(texts) > 1 else Part(sql.SQL("%s::text"), (texts[0],))
    template = "{} = ANY({}::{}[])" if len(texts) > 1 else "{} = {}::{}"
    found = filled(template, column(of, place.table, place.number), wanted, _type(place))
    return filled("EXISTS ({})", _elements(place, found)) if place.is_array else _counting(place, found)


def _compared(place: Place, comparison: str, value: Any) -> Part:
    shown = sql.SQL("{}").format(column(_TOP, place.table, place.number))
    if _is_text(place):
        shown = sql.SQL('{} COLLATE "C"').format(_as_text(place, shown))
    wanted = Part(sql.SQL("%s::text"), (to_text(place.shown(value)),))
    if place.column.field.enum:
        return filled(f"{{}} {comparison} {{}}", shown, wanted)
    return filled(f"{{}} {comparison} {{}}::{{}}", shown, wanted, _type(place))


def _between(place: Place, condition: Between) -> Part:
    place.require_order()
    parts = [_compared(place, comparison, place.limit(value)) for comparison, value in condition.limits().items()]
    there = sql.SQL("{} IS NOT NULL").format(column(_TOP, place.table, place.number))
    numbers = [filled("{} <> 'NaN'", column(_TOP, place.table, place.number))] if place.has_nan and parts else []
    return _counting(place, joined([*parts, *numbers] or [Part(there)], " AND "))


def _containing(place: Place, condition: Contains) -> Part:
    if not condition.ignore_case:
        return _matching(place, "strpos({}, {}) > 0", condition.text)
    low = "".join(one.lower() if one.isascii() else one for one in condition.text)
    return _matching(place, "strpos(lower({}), {}) > 0", low)


def _matching(place: Place, template: str, text: str) -> Part:
    place.require_text(text)
    if place.type.fit(as_text(text))[0] is None:
        return _NEVER
    value = sql.SQL('{} COLLATE "C"').format(_as_text(place, column(_TOP, place.table, place.number)))
    return _counting(place, filled(template, value, Part(sql.SQL("%s::text"), (text,))))


def _counting(place: Place, found: Part) -> Part:
    """Count a column's value only where it is the document's: not a default, not a likeness of what the rest has."""
    parts = [found]
    if place.rest is not None and place.column.default is not None:
        parts.append(Part(sql.SQL("NOT {}").format(_noted_missing(place))))
    if place.rest is not None and place.is_strict and not place.is_key:
        parts.append(Part(sql.SQL("{} IS NULL").format(_kept(place, place.in_rest))))
    return joined(parts, " AND ")


def _type(place: Place) -> sql.Composable:
    return type_sql(place.table, place.column, percent="%%")
