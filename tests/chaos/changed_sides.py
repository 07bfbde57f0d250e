"""What the target must hold, computed from the tables as they are, without our mapping."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import psycopg
from bson.decimal128 import Decimal128
from psycopg.rows import dict_row

Session = psycopg.Connection[Any]
OURS = ("_originalId", "_source", "_syncedAt", "_v")
_KEY = (
    "SELECT a.attname FROM pg_constraint AS c, unnest(c.conkey) WITH ORDINALITY AS k (number, place), pg_attribute AS a"
    " WHERE c.conrelid = %s::regclass AND c.contype = 'p' AND a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.place"
)


def differences(session: Session, database: Any) -> list[str]:
    """Compare each entity's table with its collection; nobody may be writing."""
    lines: dict[str, list[dict[str, Any]]] = {}
    parent_key = _key(session, "parent")
    order = psycopg.sql.SQL("SELECT * FROM child ORDER BY {}").format(psycopg.sql.Identifier(*_key(session, "child")))
    for row in _rows(session, order):
        lines.setdefault(str(row.pop("parent_id")), []).append(row)
    found = []
    for name in ("item", "part", "parent"):
        wanted = {}
        key = _key(session, name)
        for row in _rows(
            session, psycopg.sql.SQL("SELECT * FROM {}").format(psycopg.sql.Identifier(name)).as_string(None)
        ):
            text, document = _document(row, key)
            if name == "parent":
                document["lines"] = lines.get(str(row[parent_key[0]]), [])
            wanted[text] = document
        there = {}
        for document in database[name].find():
            text = document["_originalId"]
            if text in there:
                found.append(f"{name}/{text} is there twice: {document['_id']!r} and {there[text]['_id']!r}")
            there[text] = {field: _plain(value) for field, value in document.items() if field not in OURS}
        found += [
            f"{name}/{text}\n    source: {wanted.get(text)}\n    target: {there.get(text)}"
            for text in sorted(wanted.keys() | there.keys())
            if wanted.get(text) != there.get(text)
        ]
    return found


def _key(session: Session, table: str) -> list[str]:
    return [name for (name,) in session.execute(_KEY, [table]).fetchall()]


def _rows(session: Session, query: Any) -> list[dict[str, Any]]:
    with session.cursor(row_factory=dict_row) as cursor:
        return [{name: _plain(value) for name, value in row.items()} for row in cursor.execute(query).fetchall()]


def _document(row: dict[str, Any], key: list[str]) -> tuple[str, dict[str, Any]]:
    if len(key) == 1:
        return str(row[key[0]]), {"_id": row[key[0]], **{name: value for name, value in row.items() if name != key[0]}}
    return json.dumps([str(row[name]) for name in key]), {"_id": {name: row[name] for name in key}, **row}


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value
