"""What a mark costs: the backend's processor time for an INSERT of one row: bare, with the least trigger, captured."""

from __future__ import annotations

from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from benchmarks.report import Line, median
from benchmarks.stage import Sizes, Stage

BODIES: dict[str, LiteralString] = {
    "empty": "RETURN NULL;",
    "row": "INSERT INTO plain SELECT id FROM changed; RETURN NULL;",
    "mark": """
        INSERT INTO syncline.outbox (entity, lane, hint, key)
        SELECT 1, (hashtextextended(id::text, 1) & 63)::smallint, 'I', id::text FROM changed;
        RETURN NULL;
    """,
}
"""A trigger that does nothing; one that keeps the id in a table without an index; the least that is a mark of ours."""
ALONE = 120
"""INSERTs in transactions of their own, a table."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Within one transaction, the least of the rounds; and in transactions of their own, medians."""
    on.reset()
    with on.sql() as conn:
        tables = _made(conn)
        many = sizes.rows // 20
        together = {name: min(_within(conn, name, many, n) for n in range(2 + sizes.rounds)) for name in tables}
        alone: dict[str, list[float]] = {name: [] for name in tables}
        for number in range(ALONE):
            for name in tables:
                alone[name].append(_used_by(conn, _insert(name, sql.Placeholder()), [-1 - number]))
    return [
        _line("within a transaction", together, 1.7),
        _line("in a transaction of its own", {name: median(took) for name, took in alone.items()}, 1.25),
    ]


def _line(where: str, took: dict[str, float], reach: float) -> Line:
    told = ", ".join(f"{name} {one:.1f} ({one / took['bare']:.2f})" for name, one in took.items())
    what = f"INSERT of one row {where}, processor time: captured against the least mark"
    return Line(what, took["todo"] / took["mark"], "<=", reach, f"µs (of bare): {told}")


def _made(conn: psycopg.Connection[Any]) -> list[str]:
    """Make copies of the table, with triggers of these bodies; ``todo`` itself is captured."""
    conn.execute('DROP TABLE IF EXISTS plain, bare, empty, "row", mark')
    conn.execute("CREATE TABLE plain (id bigint)")
    for name, body in {"bare": None, **BODIES}.items():
        table, function = sql.Identifier(name), sql.Identifier(f"marking_{name}")
        conn.execute(sql.SQL("CREATE TABLE {} (LIKE todo INCLUDING ALL)").format(table))
        if body is None:
            continue
        given = {"table": table, "function": function, "body": sql.Literal(f"BEGIN {body} END")}
        conn.execute(sql.SQL(CREATE).format(**given))
        conn.execute(sql.SQL(TRIGGER).format(**given))
    return ["bare", *BODIES, "todo"]


CREATE: LiteralString = "CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS {body}"
TRIGGER: LiteralString = (
    "CREATE TRIGGER marking AFTER INSERT ON {table} REFERENCING NEW TABLE AS changed"
    " FOR EACH STATEMENT EXECUTE FUNCTION {function}()"
)
WITHIN: LiteralString = "DO {body}"


INSERT: LiteralString = (
    "INSERT INTO {table} (id, user_id, title, note) VALUES ({key}, 7, 'a todo', 'some words of a note')"
)


def _insert(name: str, key: sql.Composable) -> sql.Composed:
    return sql.SQL(INSERT).format(table=sql.Identifier(name), key=key)


def _within(conn: psycopg.Connection[Any], name: str, rows: int, turn: int) -> float:
    """Microseconds a row of a loop in the server."""
    first, one = 1 + turn * rows, _insert(name, sql.Identifier("i")).as_string(conn)
    loop = f"BEGIN FOR i IN {first}..{first + rows - 1} LOOP {one}; END LOOP; END"
    return _used_by(conn, sql.SQL(WITHIN).format(body=sql.Literal(loop))) / rows


def _used_by(conn: psycopg.Connection[Any], statement: sql.Composed, values: list[int] | None = None) -> float:
    """Microseconds that the backend runs for a statement."""
    before = _used(conn)
    conn.execute(statement, values)
    return _used(conn) - before


def _used(conn: psycopg.Connection[Any]) -> float:
    return int(Path(f"/proc/{conn.info.backend_pid}/schedstat").read_text("ascii").split()[0]) / 1e3
