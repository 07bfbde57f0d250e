"""The independent comparison: every row against its document, by PostgreSQL's own reading of both.

It shares no code with the mapping, with ``verify`` or with the relay: which column becomes which field is worked out
here again from the configuration, and a value counts as equal when what is restored from the document prints as what
is in the row.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from pymongo.database import Database

from syncline.model.entity import Embed, Entity, TableName
from syncline.testing.mapping.declared import TIMES, Mapped, fields_of, same, select
from syncline.testing.mapping.restore import far_instant, restored
from syncline.testing.mapping.tables import Table, find, named

OURS = ("_id", "_originalId", "_source", "_syncedAt", "_v")
PINNED = """
SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'hex';
SET extra_float_digits = 1; SET lc_monetary = 'C'; SET xmloption = 'content'
"""
ABSENT = "(no such field)"
UNREADABLE = "(cannot be read as"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field, or one whole record, that is not the same on both sides."""

    entity: str
    key: str
    """The row's key as text; of a document without a row its ``_id``."""
    field: str
    """Empty: the whole record."""
    source: str
    target: str
    look_at: str


def compare(
    conn: psycopg.Connection[Any], database: Database[dict[str, Any]], tables: Mapping[TableName, Table], entity: Entity
) -> list[Difference]:
    """Compare all rows of an entity with all its documents.

    Args:
        conn: to the source; its settings are pinned here.
        database: the target, decoding dates as ``DATETIME_AUTO``.
        tables: as read from the catalog.
        entity: as configured.

    """
    conn.execute(PINNED)
    return list(_Comparison(conn, tables, entity).run(database[entity.collection].find()))


class _Comparison:
    def __init__(self, conn: psycopg.Connection[Any], tables: Mapping[TableName, Table], entity: Entity) -> None:
        self._conn, self._entity = conn, entity
        self._table = find(tables, entity.table)
        self._key = [self._table.column(name) for name in entity.key or self._table.primary_key]
        names = [column.name for column in self._key] if len(self._key) == 1 else []
        self._fields = fields_of(conn, f"entities.{entity.name}", entity.fields, self._table, names)
        self._children = [(embed, find(tables, embed.table)) for embed in entity.embeds]
        self._child_fields = {
            embed.field: fields_of(conn, f"entities.{entity.name}.embed.{embed.field}", embed.fields, table, embed.on)
            for embed, table in self._children
        }

    def run(self, documents: Any) -> Iterator[Difference]:
        rows = self._rows()
        children = {embed.field: self._child_rows(embed, table) for embed, table in self._children}
        seen: set[tuple[str, ...]] = set()
        for document in documents:
            key = self._key_of(document)
            if key is None or key not in rows:
                yield self._whole(
                    str(document["_id"]), "(no row)", "a document", "where and key, or who else writes it"
                )
                continue
            seen.add(key)
            yield from self._document(
                key, document, rows[key], {f: found.get(key, []) for f, found in children.items()}
            )
        for key in rows.keys() - seen:
            yield self._whole(shown_key(key), "a row", "(no document)", "where, and `parked` with its error")

    def _document(
        self, key: tuple[str, ...], document: dict[str, Any], row: Sequence[Any], children: Mapping[str, list[Any]]
    ) -> Iterator[Difference]:
        shown = shown_key(key)
        original = document.get("_originalId")
        if original != key[0] and not (
            len(key) > 1 and isinstance(original, str) and tuple(json.loads(original)) == key
        ):
            yield Difference(self._entity.name, shown, "_originalId", repr(key), repr(original), "who else writes it")
        yield from self._compared(shown, "", self._fields, row, document)
        for field, wanted in children.items():
            found = document.get(field)
            if not isinstance(found, list) or len(found) != len(wanted):
                count = f"{len(found)} items" if isinstance(found, list) else repr(found)
                where = f"on, where of [entities.{self._entity.name}.embed.{field}]"
                yield Difference(self._entity.name, shown, field, f"{len(wanted)} rows", count, where)
                continue
            for number, (child, item) in enumerate(zip(wanted, found, strict=True)):
                yield from self._compared(shown, f"{field}.{number}.", self._child_fields[field], child, item)
        known = _tree([m.path for m in self._fields])
        for name in _unexplained(known, {n: v for n, v in document.items() if n not in OURS and n not in children}):
            yield Difference(self._entity.name, shown, name, "(no such column)", repr(document.get(name)), "rename")

    def _compared(
        self, key: str, prefix: str, fields: Sequence[Mapped], row: Sequence[Any], document: Mapping[str, Any]
    ) -> Iterator[Difference]:
        values = [_at(document, mapped.path) for mapped in fields]
        for mapped, source, value, text in zip(fields, row, values, self._printed(fields, values), strict=True):
            if value is ABSENT and not mapped.required:
                continue
            if value is ABSENT or not same(mapped, source, text):
                name = prefix + ".".join(mapped.path)
                target = ABSENT if value is ABSENT else repr(value)
                if text is not None and text.startswith(UNREADABLE):
                    target += f" {text}"
                yield Difference(self._entity.name, key, name, repr(source), target, mapped.place)

    def _printed(self, fields: Sequence[Mapped], values: Sequence[Any]) -> Sequence[str | None]:
        """Have PostgreSQL print what the document's values are in their columns' types; at once if it can be."""
        try:
            return self._print(fields, [_restored(mapped, value) for mapped, value in zip(fields, values, strict=True)])
        except (psycopg.DataError, TypeError):
            return [self._print_one(mapped, value) for mapped, value in zip(fields, values, strict=True)]

    def _print_one(self, mapped: Mapped, value: Any) -> str | None:
        try:
            return self._print([mapped], [_restored(mapped, value)])[0]
        except (psycopg.DataError, TypeError) as error:
            return f"{UNREADABLE} {mapped.type.name}: {str(error).splitlines()[0]})"

    def _print(self, fields: Sequence[Mapped], texts: Sequence[str | None]) -> Sequence[str | None]:
        if not fields:
            return []
        query = sql.SQL("SELECT {}").format(sql.SQL(", ").join(mapped.cast for mapped in fields))
        row = self._conn.execute(query, texts).fetchone()
        return row or ()

    def _rows(self) -> dict[tuple[str, ...], Sequence[Any]]:
        keys = [sql.SQL("{}::text").format(self._column(self._table, column.name)) for column in self._key]
        width = len(keys)
        query = select([*keys, *(m.shown for m in self._fields)], self._table, [self._entity.where])
        return {tuple(row[:width]): row[width:] for row in self._conn.execute(query, ())}

    def _child_rows(self, embed: Embed, table: Table) -> dict[tuple[str, ...], list[Sequence[Any]]]:
        on = [sql.SQL("{}::text").format(self._column(table, name)) for name in embed.on]
        order = [*embed.order_by, *(name for name in table.primary_key if name not in embed.order_by)]
        query = select([*on, *(m.shown for m in self._child_fields[embed.field])], table, [embed.where])
        columns = sql.SQL(", ").join(self._column(table, name) for name in order)
        found: dict[tuple[str, ...], list[Sequence[Any]]] = {}
        for row in self._conn.execute(query + sql.SQL(" ORDER BY ") + columns, ()):
            found.setdefault(tuple(row[: len(on)]), []).append(row[len(on) :])
        return found

    def _key_of(self, document: Mapping[str, Any]) -> tuple[str, ...] | None:
        id_ = document["_id"]
        parts = list(id_.values()) if isinstance(id_, dict) and len(self._key) > 1 else [id_]
        if len(parts) != len(self._key):
            return None
        casts = [sql.SQL("%s::text::{}::text").format(sql.SQL(column.sql_type)) for column in self._key]
        try:
            texts = [
                restored(part, column.type, "text" if column.type.name in TIMES else None)
                for part, column in zip(parts, self._key, strict=True)
            ]
            row = self._conn.execute(sql.SQL("SELECT {}").format(sql.SQL(", ").join(casts)), texts).fetchone()
        except (psycopg.DataError, TypeError):
            return None
        return row

    def _whole(self, key: str, source: str, target: str, look_at: str) -> Difference:
        return Difference(self._entity.name, key, "", source, target, f"{look_at} (entity {self._entity.name})")

    @staticmethod
    def _column(table: Table, name: str) -> sql.Identifier:
        return named(table.name.name, name)


def _restored(mapped: Mapped, value: Any) -> str | None:
    if mapped.dates == "text":
        value = _as_instants(value)
    return None if value is ABSENT else restored(value, mapped.type, mapped.kind)


def _as_instants(value: Any) -> Any:
    """Read the texts of far dates back, within arrays and ranges too."""
    if isinstance(value, dict):
        return {name: _as_instants(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_as_instants(item) for item in value]
    return far_instant(value) if isinstance(value, str) else value


def _at(document: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(document, Mapping) or name not in document:
            return ABSENT
        document = document[name]
    return document


def _tree(paths: Sequence[Sequence[str]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for path in paths:
        place = tree
        for part in path[:-1]:
            place = place.setdefault(part, {})
        place[path[-1]] = None
    return tree


def _unexplained(tree: Mapping[str, Any], document: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in document.items():
        if name not in tree:
            yield prefix + name
        elif isinstance(tree[name], dict) and isinstance(value, Mapping):
            yield from _unexplained(tree[name], value, f"{prefix}{name}.")


def shown_key(key: Sequence[str]) -> str:
    """Print a key in a message."""
    return key[0] if len(key) == 1 else json.dumps(list(key), ensure_ascii=False)
