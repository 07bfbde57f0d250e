"""The documents of a run, how they are declared, and what both sides have of them: read here, without our mapping."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

NAME = "cards"
DATABASE = "chaos"
WRITERS = 4
SHARED, OWN = 60, 10
"""Keys that everybody writes, and keys of each writer's own, which it makes and takes away: 100 in all."""
DECLARED = """
[log]
format = "json"
[collections.cards]
id = "text"
[collections.cards.columns]
{columns}
code = {{ type = "text", unique = true }}
[collections.cards.arrays.labels]
type = "text"
[collections.cards.arrays.steps.columns]
n = "integer"
[collections.cards.arrays.steps.arrays.who]
type = "text"
[collections.cards.objects.more.columns]
at = "integer"
"""
NUMBERS = [f"{kind}{slot}" for slot in range(WRITERS) for kind in ("w", "h")]
"""Fields of each writer: the number of its last write, and how often it has counted."""
COLUMNS = "\n".join(f'{name} = "integer"' for name in NUMBERS)

Row = tuple[str, tuple[Any, ...], str]
"""Table, key, and all that it says."""


def shared() -> list[str]:
    """Give the keys that everybody writes."""
    return [f"s{number:02}" for number in range(SHARED)]


def own(slot: int) -> list[str]:
    """Give the keys that one writer makes and takes away."""
    return [f"o{slot}-{number}" for number in range(OWN)]


def wanted(document: Mapping[str, Any]) -> Iterator[Row]:
    """Say which rows stand for a document."""
    given = {name: value for name, value in document.items() if name != "_sync"}
    key = given.pop("_id")
    labels, steps, more = given.pop("labels", []), given.pop("steps", []), given.pop("more", None)
    for place, label in enumerate(labels):
        yield "labels", (key, place), repr(label)
    for place, step in enumerate(steps):
        yield "steps", (key, place), _said({"n": step["n"]}, {} if step["who"] else {"who": []})
        for inner, who in enumerate(step["who"]):
            yield "steps_who", (key, place, inner), repr(who)
    if more is not None:
        yield "more", (key,), _said({"at": more["at"]}, {name: one for name, one in more.items() if name != "at"})
    columns = {name: given.pop(name, None) for name in (*NUMBERS, "code")}
    yield "", (key,), _said(columns, given)


def there(connection: psycopg.Connection[Any]) -> Iterator[Row]:
    """Read the rows of all tables, at one moment."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with connection.cursor(row_factory=dict_row) as cursor:
            for table in ("", "labels", "steps", "steps_who", "more"):
                name = f"postgres_cards{'_' if table else ''}{table}"
                for row in cursor.execute(f"SELECT * FROM {name}".encode()).fetchall():
                    yield _row(table, row)


def _row(table: str, row: dict[str, Any]) -> Row:
    key = (row.pop("mongo_id"), *(row.pop(name) for name in ("position_1", "position") if name in row))
    if table in ("labels", "steps_who"):
        return table, key, repr(row["labels" if table == "labels" else "who"])
    rest = row.pop("rest") or {}
    columns = {name: value for name, value in row.items() if name not in ("sync_status", "sync_error", "last_sync_at")}
    return table, key, _said(columns, {name: value for name, value in rest.items() if name != "$order"})


def _said(columns: Mapping[str, Any], rest: Mapping[str, Any]) -> str:
    return json.dumps([columns, rest], sort_keys=True)


def differences(
    documents: Mapping[str, Mapping[str, Any]], connection: psycopg.Connection[Any]
) -> dict[str, list[str]]:
    """Compare every document with its rows, and every row with its document: key to what is wrong."""
    one = {row for document in documents.values() for row in wanted(document)}
    other = set(there(connection))
    found: dict[str, list[str]] = {}
    for side, rows in (("MongoDB", one - other), ("PostgreSQL", other - one)):
        for table, key, said in sorted(rows):
            found.setdefault(key[0], []).append(f"in {side} alone: {table}{key[1:]} {said}")
    return found
