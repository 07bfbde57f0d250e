"""What capture costs the writer beside bulk statements of one plain table.

Statements of few rows; UUID and text keys, embedded rows, partitions; and what the marks leave for VACUUM. Each ratio
is to the same statement on a table without triggers, in turn, in the same run. "Single marks" are those of the least
trigger that makes them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks import product
from benchmarks.block_marks import FUNCTION, SINGLES, TRIGGER
from benchmarks.report import Line, median
from benchmarks.stage import Sizes, Stage, timed, worker
from syncline.model.entity import Embed, Entity, TableName

BULK = 100_000
FEWER = (10, 100, 1_000)
"""Rows of statements that are smaller."""
COLUMNS: LiteralString = "title text NOT NULL, done boolean, points numeric(10, 2), note text, at timestamptz"
TABLES: LiteralString = f"""
DROP TABLE IF EXISTS {{plain}}, {{uuid}}, {{text}}, {{part}}, {{parted}} CASCADE;
CREATE TABLE {{plain}} (id bigint PRIMARY KEY, {COLUMNS});
CREATE TABLE {{uuid}} (id uuid PRIMARY KEY, {COLUMNS});
CREATE TABLE {{text}} (id text PRIMARY KEY, {COLUMNS});
CREATE TABLE {{part}} (id bigint PRIMARY KEY, owner bigint NOT NULL, {COLUMNS});
CREATE TABLE {{parted}} (id bigint PRIMARY KEY, {COLUMNS}) PARTITION BY HASH (id);
CREATE TABLE {{parted_0}} PARTITION OF {{parted}} FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE {{parted_1}} PARTITION OF {{parted}} FOR VALUES WITH (MODULUS 2, REMAINDER 1);
"""
FILL: LiteralString = """
INSERT INTO {table}
SELECT {key}, 'number ' || g, false, g * 0.5, repeat('x', 120), now() FROM generate_series(1, {rows}) AS g
"""
CHANGES: dict[str, LiteralString] = {
    "INSERT": FILL,
    "UPDATE": "UPDATE {table} SET done = NOT done, at = now()",
    "DELETE": "DELETE FROM {table}",
}


@dataclass(frozen=True)
class Kind:
    """A table of another kind."""

    table: str
    told: str
    key: LiteralString
    """Its key, and what else stands before the columns that all have, of a number ``g``."""
    marked: LiteralString = "id::text"
    """The key that is marked."""
    wal: float = 0.2


FORGET: LiteralString = "TRUNCATE syncline.outbox, syncline.block"
FORGET_FEW: LiteralString = "DELETE FROM syncline.outbox; DELETE FROM syncline.block"
"""After TRUNCATE the triggers' statements would be planned anew, which takes longer than a small statement."""
PLAIN = Kind("plain", "a bigint key", "g", wal=0.1)
KINDS = (
    Kind("uuid", "a UUID key", "md5(g::text)::uuid"),
    Kind("text", "a text key", "'customer-' || lpad(g::text, 8, '0')"),
    Kind("part", "embedded rows, ten to a parent", "g, g / 10", "owner::text"),
    Kind("parted", "two partitions", "g"),
)
ENTITIES = (
    *(Entity(name, TableName("public", name), name) for name in ("plain", "uuid", "text", "parted")),
    Entity(
        "owner",
        TableName("public", "owner"),
        "owners",
        embeds=(Embed("parts", TableName("public", "part"), ("owner",)),),
    ),
)


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Statements of few rows, tables of other kinds; then dead rows."""
    on.reset(captured=False)
    with on.sql() as conn:
        conn.execute("DROP TABLE IF EXISTS owner; CREATE TABLE owner (id bigint PRIMARY KEY)")
        for prefix in ("", "bare_", "single_"):
            conn.execute(_tables(prefix))
        asyncio.run(product.install_entities(on.postgres.url, ENTITIES))
        for kind in (PLAIN, *KINDS):
            _mark_singly(conn, kind)
        found = [line for rows in FEWER for line in _measured(conn, PLAIN, rows, 7 * sizes.rounds)]
        for kind in KINDS:
            found += _measured(conn, kind, BULK, sizes.rounds)
    return [*found, _dead(on)]


def _tables(prefix: str) -> sql.Composed:
    names = [kind.table for kind in (PLAIN, *KINDS)] + ["parted_0", "parted_1"]
    return sql.SQL(TABLES).format(**{name: sql.Identifier(prefix + name) for name in names})


def _mark_singly(conn: psycopg.Connection[Any], kind: Kind) -> None:
    function = sql.Identifier(f"marks of {kind.table}")
    body = SINGLES.replace("id::text", kind.marked)
    conn.execute(sql.SQL(FUNCTION).format(function=function, body=sql.Literal(body)))
    for event in CHANGES:
        rows = sql.SQL("OLD" if event == "DELETE" else "NEW")
        table = sql.Identifier(f"single_{kind.table}")
        given = {"name": sql.Identifier(event), "event": sql.SQL(event), "rows": rows, "table": table}
        conn.execute(sql.SQL(TRIGGER).format(function=function, **given))


def _measured(conn: psycopg.Connection[Any], kind: Kind, rows: int, rounds: int) -> Iterator[Line]:
    took: dict[tuple[str, str], list[float]] = {}
    logged: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for prefix in ("bare_", "", "single_"):
            table = sql.Identifier(prefix + kind.table)
            for event, text in CHANGES.items():
                change = sql.SQL(text).format(table=table, key=sql.SQL(kind.key), rows=sql.Literal(rows))
                if rows == BULK:
                    conn.execute("CHECKPOINT")
                before = _position(conn)
                took.setdefault((event, prefix), []).append(timed(conn.execute, change))
                logged.setdefault((event, prefix), []).append(_position(conn) - before)
        conn.execute(FORGET if rows == BULK else FORGET_FEW)
    for event in CHANGES:
        bare = median(took[event, "bare_"])
        single = f"single marks {median(took[event, 'single_']) / bare:.2f}, bare {bare * 1e3:,.2f} ms"
        what = f"{event} of {rows:,} rows with capture against without, {kind.told}"
        yield Line(what, median(took[event, ""]) / bare, "<=", 1.4, single)
    if rows == BULK:
        ours, single_ = [sum(_more(logged, event, prefix) for event in CHANGES) for prefix in ("", "single_")]
        told = f"{ours / 1e6:.1f} MB, {single_ / 1e6:.1f} MB"
        yield Line(
            f"… more write-ahead log of the three, against single marks, {kind.told}",
            ours / single_,
            "<=",
            kind.wal,
            told,
        )


def _more(logged: dict[tuple[str, str], list[float]], event: str, prefix: str) -> float:
    return median(logged[event, prefix]) - median(logged[event, "bare_"])


def _dead(on: Stage) -> Line:
    """Have a worker acknowledge a statement's marks: what rows have died of it? Of single marks each would."""
    on.reset()
    with on.sql() as conn, worker(on) as running:
        before = _died(conn)
        conn.execute(sql.SQL(TODO).format(sql.Literal(BULK)))
        running.drained()
        time.sleep(2)  # until the worker's session has told its statistics
        dead = _died(conn) - before
    return Line(
        f"dead rows after {BULK:,} marks, against single marks",
        dead / BULK,
        "<=",
        0.02,
        f"{dead:,} rows, those of TOAST too",
    )


TODO: LiteralString = """
INSERT INTO todo (id, user_id, title, note) SELECT g, 7, 'a todo', repeat('x', 120) FROM generate_series(1, {}) AS g
"""
DIED: LiteralString = """
SELECT sum(s.n_tup_del + s.n_tup_upd)::bigint FROM pg_stat_all_tables AS s
JOIN pg_class AS c ON s.relid IN (c.oid, c.reltoastrelid)
WHERE c.oid IN ('syncline.outbox'::regclass, 'syncline.block'::regclass)
"""


def _died(conn: psycopg.Connection[Any]) -> int:
    (number,) = conn.execute(DIED).fetchone() or (0,)
    return int(number)


def _position(conn: psycopg.Connection[Any]) -> float:
    (position,) = conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone() or (0,)
    return float(position)
