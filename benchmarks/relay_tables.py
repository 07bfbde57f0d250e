"""The relay into a PostgreSQL's table: against the best bare batched statements that write the same rows."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import psycopg

from benchmarks.ceiling import CHUNK
from benchmarks.figure import Figure
from benchmarks.product import TABLE, install_todo
from benchmarks.report import Line
from benchmarks.stage import SQL, Sizes, Stage, cpu_seconds, worker
from benchmarks.throughput import drained, per_second, ratio
from benchmarks.verify_tables import NAME, table_copy

Rows = Sequence[tuple[Any, ...]]
Write = Callable[[psycopg.Connection[Any], Rows], Any]
BARE_ROWS = 100_000
"""The bare statements are measured with so many rows at most."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Update marks, then delete marks, waiting for one worker."""
    bare: list[tuple[float, float]] = []
    relay: list[list[tuple[Figure, str]]] = []
    for _ in range(sizes.rounds):
        _fill(on, sizes.rows)
        with table_copy(on) as target:
            bare.append(_bare(target, min(sizes.rows, BARE_ROWS)))
        relay.append(_measured(on, sizes.rows))
    found = []
    for place, (what, bound) in enumerate(
        (
            ("relay into a table, updates: against the best bare INSERT … ON CONFLICT", 0.6),
            ("relay into a table, deletes: against the best bare DELETE", 0.1),
        )
    ):
        ours, best = [one[place][0].value for one in relay], [one[place] for one in bare]
        figure, servers = relay[-1][place]
        detail = f"{per_second(ours, best)}; {figure.cost}; {servers}"
        found.append(Line(what, ratio(ours, best), ">=", bound, detail))
    return found


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """Change every row while a worker waits for it, then delete every row."""
    _fill(on, sizes.rows)
    return [figure for figure, _ in _measured(on, sizes.rows)]


def _fill(on: Stage, rows: int) -> None:
    on.reset(captured=False)
    with on.sql() as conn:
        conn.execute(SQL["fill"], {"first": 1, "last": rows})
        conn.execute("VACUUM ANALYZE todo")
    asyncio.run(install_todo(on.postgres.url, TABLE))
    with on.sql() as conn:
        conn.execute(SQL["forget_marks"])
        conn.execute("TRUNCATE syncline.task")


def _measured(on: Stage, rows: int) -> list[tuple[Figure, str]]:
    """Give each figure, and what the sessions of both databases have cost."""
    found = []
    with table_copy(on) as target, on.sql() as conn, worker(on, target=target) as running:
        time.sleep(1.5)  # until it has its lanes
        running.drained()
        for what, statement in (("updates", SQL["touch"]), ("deletes", SQL["remove"])):
            conn.execute(statement)
            before = _sessions(conn)
            done = drained(on, running)
            spent = {
                name: (used - before.get(name, 0.0)) / done["marks"] * 1e6 for name, used in _sessions(conn).items()
            }
            assert done["marks"] >= rows, done
            rate = done["marks"] / done["seconds"]
            figure = Figure(f"relay into a table, {what}", rate, "/s", done["cpu_us"], done["peak_mb"])
            there = spent.pop(NAME, 0.0)
            found.append((figure, f"{sum(spent.values()):.1f} and {there:.1f} µs of the source's and the target's CPU"))
    return found


def _sessions(conn: psycopg.Connection[Any]) -> dict[str, float]:
    """Sum up the processor time of other sessions by database."""
    spent: dict[str, float] = {}
    for name, pid in conn.execute(SQL["sessions"]).fetchall():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            spent[name] = spent.get(name, 0.0) + cpu_seconds(pid)
    return spent


def _bare(target: str, count: int) -> tuple[float, float]:
    """The best of some ways to write all these rows over those that stand, and to delete them: rows per second."""
    with psycopg.connect(target) as conn:
        rows = conn.execute("SELECT * FROM todo ORDER BY id LIMIT %s", (count,)).fetchall()
    updates = max(_rate(target, rows, how, writers) for how in (_by_arrays, _by_copy) for writers in (1, 2))
    half = len(rows) // 2
    deletes = max(_rate(target, part, _delete, n) for part, n in ((rows[:half], 1), (rows[half:], 2)))
    return updates, deletes


def _rate(target: str, rows: Rows, write: Write, writers: int) -> float:
    parts = iter([rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK)])
    lock = threading.Lock()

    def run() -> None:
        with psycopg.connect(target, prepare_threshold=1) as conn:
            while True:
                with lock:
                    part = next(parts, None)
                if part is None:
                    return
                with conn.transaction():
                    write(conn, part)

    threads = [threading.Thread(target=run) for _ in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(rows) / (time.perf_counter() - began)


def _by_arrays(conn: psycopg.Connection[Any], rows: Rows) -> Any:
    return conn.execute(SQL["upsert_arrays"], [list(column) for column in zip(*rows, strict=True)])


def _by_copy(conn: psycopg.Connection[Any], rows: Rows) -> Any:
    conn.execute(SQL["staged"])
    with conn.cursor().copy("COPY staged FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    return conn.execute(SQL["upsert_staged"])


def _delete(conn: psycopg.Connection[Any], rows: Rows) -> Any:
    return conn.execute(SQL["delete_keys"], ([row[0] for row in rows],))
