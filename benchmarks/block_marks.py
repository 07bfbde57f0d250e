"""What marks in blocks cost at least: a row for each lane of a statement, with an array of keys, not one for each key.

Blocks are filled by the least triggers that do so, beside single marks and the product ("captured"). Each ratio is to
the same statement on a table without triggers, in turn, in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks.report import Line, median
from benchmarks.stage import Sizes, Stage, timed

STATEMENTS = (10, 100, 1_000, 100_000)
"""Rows of a statement."""
MOST = (250, 1_000, 4_000)
"""Keys of a block, about at most: parts of a lane are told apart by other bits of the hash."""
SINGLE, TODAY, BARE = "single marks", "captured", "bare"

TABLES: LiteralString = """
DROP TABLE IF EXISTS {bare}, {single}, {blocks}, held CASCADE;
CREATE TABLE {bare} (LIKE todo INCLUDING ALL);
CREATE TABLE {single} (LIKE todo INCLUDING ALL);
CREATE TABLE {blocks} (LIKE todo INCLUDING ALL);
CREATE TABLE held (
    tx xid8 NOT NULL, seq bigint NOT NULL DEFAULT nextval('syncline.outbox_seq_seq') PRIMARY KEY,
    at timestamptz NOT NULL, entity smallint NOT NULL, lane smallint NOT NULL, hint "char" NOT NULL,
    durable boolean NOT NULL, keys text[] NOT NULL
)
"""
SINGLES: LiteralString = """
BEGIN
    INSERT INTO syncline.outbox (tx, at, entity, lane, hint, durable, key)
    SELECT pg_current_xact_id(), clock_timestamp(), 1, (hashtextextended(id::text, 1) & 63)::smallint,
           left(TG_OP, 1)::"char", true, id::text
    FROM changed;
    RETURN NULL;
END
"""
BLOCKS: LiteralString = """
DECLARE
    parts bigint := 2 ^ ceil(log(2, greatest((SELECT count(*) FROM changed) / 64 / {most}, 1)));
    mark_tx xid8 := pg_current_xact_id();
    mark_at timestamptz := clock_timestamp();
BEGIN
    INSERT INTO held (tx, at, entity, lane, hint, durable, keys)
    SELECT mark_tx, mark_at, 1, (q.h & 63)::smallint, left(TG_OP, 1)::"char", true, array_agg(q.k)
    FROM (SELECT id::text AS k, hashtextextended(id::text, 1) AS h FROM changed) AS q
    GROUP BY q.h & 63, (q.h >> 6) & (parts - 1);
    RETURN NULL;
END
"""
FUNCTION: LiteralString = "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {body}"
TRIGGER: LiteralString = (
    "CREATE OR REPLACE TRIGGER {name} AFTER {event} ON {table} REFERENCING {rows} TABLE AS changed"
    " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
)
CHANGES: dict[str, LiteralString] = {
    "INSERT": "INSERT INTO {table} SELECT * FROM fresh WHERE id <= {rows}",
    "UPDATE": "UPDATE {table} SET done = NOT done, updated = now() WHERE id <= {rows}",
    "DELETE": "DELETE FROM {table} WHERE id <= {rows}",
}
FRESH: LiteralString = """
INSERT INTO fresh
SELECT g, g % 1000, 'todo number ' || g, 'mathematics', 'easy', g % 50, false, g * 0.5, now(), repeat('x', 120), now()
FROM generate_series(1, {}) AS g
"""
READ: LiteralString = "SELECT seq, lane, entity, key, hint, durable FROM syncline.outbox ORDER BY seq"
READ_BLOCKS: LiteralString = "SELECT seq, lane, entity, unnest(keys), hint, durable FROM held ORDER BY seq"
TAKEN: LiteralString = "SELECT array_agg(seq) FROM syncline.outbox"
TAKEN_BLOCKS: LiteralString = "SELECT array_agg(seq) FROM held"
GONE: LiteralString = "DELETE FROM syncline.outbox WHERE seq = ANY(%s::bigint[])"
GONE_BLOCKS: LiteralString = "DELETE FROM held WHERE seq = ANY(%s::bigint[])"
HALF: LiteralString = """
WITH given AS MATERIALIZED (
    SELECT seq, array_agg(k) AS keys FROM held, unnest(keys) WITH ORDINALITY AS u (k, place)
    WHERE place %% 2 = 0 GROUP BY seq
)
UPDATE held AS h SET keys = ARRAY(SELECT k FROM unnest(h.keys) AS k EXCEPT ALL SELECT unnest(given.keys))
FROM given WHERE given.seq = h.seq
"""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Statements of each size; then what reading and acknowledging the largest costs."""
    on.reset()
    found: list[Line] = []
    with on.sql() as conn:
        _make(conn, MOST[1])
        conn.execute("DROP TABLE IF EXISTS fresh; CREATE TABLE fresh (LIKE todo)")
        conn.execute(_fresh(STATEMENTS[-1]))
        for rows in STATEMENTS:
            found += _of_statements(conn, rows, sizes.rounds if rows == STATEMENTS[-1] else 7 * sizes.rounds)
        found += list(_afterwards(conn))
    return found


def _fresh(rows: int) -> sql.Composed:
    return sql.SQL(FRESH).format(sql.Literal(rows))


def _make(conn: psycopg.Connection[Any], most: int) -> None:
    names = {"bare": sql.Identifier(BARE), "single": sql.Identifier(SINGLE), "blocks": sql.Identifier("blocks")}
    conn.execute(sql.SQL(TABLES).format(**names))
    bodies = {
        SINGLE: sql.SQL(SINGLES).as_string(),
        "blocks": sql.SQL(BLOCKS).format(most=sql.Literal(most)).as_string(),
    }
    for name, body in bodies.items():
        function = sql.Identifier(f"marks of {name}")
        conn.execute(sql.SQL(FUNCTION).format(function=function, body=sql.Literal(body)))
        for event in CHANGES:
            rows = sql.SQL("OLD" if event == "DELETE" else "NEW")
            given = {"name": sql.Identifier(event), "event": sql.SQL(event), "rows": rows}
            conn.execute(sql.SQL(TRIGGER).format(table=sql.Identifier(name), function=function, **given))


def _of_statements(conn: psycopg.Connection[Any], rows: int, rounds: int) -> Iterator[Line]:
    tables = {BARE: BARE, TODAY: "todo", SINGLE: SINGLE, "blocks": "blocks"}
    took: dict[tuple[str, str], list[float]] = {}
    logged: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for name, table in tables.items():
            for event, text in CHANGES.items():
                change = sql.SQL(text).format(table=sql.Identifier(table), rows=sql.Literal(rows))
                if rows == STATEMENTS[-1]:
                    conn.execute("CHECKPOINT")
                before = _position(conn)
                took.setdefault((event, name), []).append(timed(conn.execute, change))
                logged.setdefault((event, name), []).append(_position(conn) - before)
        conn.execute("TRUNCATE syncline.outbox, syncline.block, held")
    for event in CHANGES:
        bare = median(took[event, BARE])
        log = {name: median(logged[event, name]) - median(logged[event, BARE]) for name in tables}
        told = ", ".join(f"{name} {median(took[event, name]) / bare:.2f}" for name in (TODAY, SINGLE, "blocks"))
        told = (
            f"{told} (bare {bare * 1e3:,.2f} ms); more WAL {log[SINGLE] / 1e3:,.1f} and {log['blocks'] / 1e3:,.1f} kB"
        )
        value = median(took[event, "blocks"]) / bare
        yield Line(f"{event} of {rows:,} rows, marks in blocks, against bare", value, "<=", 1.4, told)


def _afterwards(conn: psycopg.Connection[Any]) -> Iterator[Line]:
    """Read and acknowledge the marks of one statement."""
    rows = STATEMENTS[-1]

    def fill(table: str) -> None:
        conn.execute("TRUNCATE syncline.outbox, syncline.block, held")
        for event in ("DELETE", "INSERT"):
            conn.execute("TRUNCATE syncline.outbox, syncline.block, held")
            conn.execute(sql.SQL(CHANGES[event]).format(table=sql.Identifier(table), rows=sql.Literal(rows)))
        conn.execute("VACUUM ANALYZE held, syncline.outbox")

    fill(SINGLE)
    read, gone = _read(conn, READ), _gone(conn, TAKEN, GONE)
    for most in MOST:
        _make(conn, most)
        fill("blocks")
        (blocks,) = conn.execute("SELECT count(*) FROM held").fetchone() or (0,)
        read_blocks = _read(conn, READ_BLOCKS)
        half = timed(conn.execute, HALF, ())
        fill("blocks")
        gone_blocks = _gone(conn, TAKEN_BLOCKS, GONE_BLOCKS)
        told = f"{blocks} blocks; read {read_blocks * 1e3:.0f} ms ({read * 1e3:.0f}), half of each {half * 1e3:.0f} ms"
        told += f"; all {gone_blocks * 1e3:.1f} ms ({gone * 1e3:.1f})"
        yield Line(
            f"acknowledging {rows:,} keys in blocks of {most:,}, against single marks",
            gone_blocks / gone,
            "<=",
            0.1,
            told,
        )


def _read(conn: psycopg.Connection[Any], query: LiteralString) -> float:
    fetched: Callable[[], object] = lambda: conn.execute(query, binary=True).fetchall()  # noqa: E731
    return min(timed(fetched) for _ in range(3))


def _gone(conn: psycopg.Connection[Any], taken: LiteralString, gone: LiteralString) -> float:
    (seqs,) = conn.execute(taken).fetchone() or ([],)
    return timed(conn.execute, gone, (seqs,))


def _position(conn: psycopg.Connection[Any]) -> float:
    (position,) = conn.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone() or (0,)
    return float(position)
