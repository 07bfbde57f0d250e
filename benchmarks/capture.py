"""What capture costs the writer: with triggers against without, side by side."""

from __future__ import annotations

import time

from benchmarks.report import Line, median
from benchmarks.stage import SQL, Stage, timed


def single(on: Stage, *, rows: int, rounds: int) -> list[Line]:
    """Single-row INSERTs, each its own transaction."""
    ratios, details = [], []
    for _ in range(rounds):
        halves = {}
        for captured in (False, True):
            on.reset(captured=captured)
            with on.sql() as conn:
                took = []
                for number in range(rows):
                    began = time.perf_counter()
                    conn.execute(SQL["fill"], {"first": number, "last": number})
                    took.append(time.perf_counter() - began)
                halves[captured] = median(took) * 1e3
        ratios.append(halves[True] / halves[False])
        details.append(f"{halves[True]:.2f} ms, {halves[False]:.2f} ms")
    return [Line("single-row INSERT with capture against without, p50", median(ratios), "<=", 1.3, details[-1])]


def bulk(on: Stage, *, rows: int, rounds: int) -> list[Line]:
    """One statement for many rows."""
    inserts, updates = [], []
    for _ in range(rounds):
        took = {}
        for captured in (False, True):
            on.reset(captured=captured)
            with on.sql() as conn:
                fill = timed(conn.execute, SQL["fill"], {"first": 1, "last": rows})
                conn.execute("CHECKPOINT")
                took[captured] = (fill, timed(conn.execute, SQL["touch"]))
        inserts.append(took[True][0] / took[False][0])
        updates.append(took[True][1] / took[False][1])
    return [
        Line(f"bulk INSERT of {rows:,} rows with capture against without", median(inserts), "<=", 2),
        Line(f"bulk UPDATE of {rows:,} rows with capture against without", median(updates), "<=", 2),
    ]
