"""What capture costs the writer: with triggers against without, side by side."""

from __future__ import annotations

import time
from typing import LiteralString

from benchmarks.figure import Figure, peak_megabytes
from benchmarks.report import Line, median
from benchmarks.stage import SQL, Sizes, Stage, timed

BULK = 100_000
REACH = 1.4
STATEMENTS: dict[str, tuple[LiteralString, dict[str, int] | None]] = {
    "INSERT": (SQL["fill"], {"first": 1, "last": BULK}),
    "UPDATE": (SQL["touch"], None),
    "DELETE": (SQL["remove"], None),
}


def single(on: Stage, sizes: Sizes) -> list[Line]:
    """Single-row INSERTs, each its own transaction."""
    ratios, told = [], ""
    for _ in range(sizes.rounds):
        (without,), (captured,) = [measured_single(on, sizes, captured=which) for which in (False, True)]
        ratios.append(captured.value / without.value)
        told = f"{captured}, {without}"
    return [Line("single-row INSERT with capture against without, p50", median(ratios), "<=", 1.3, told)]


def measured_single(on: Stage, sizes: Sizes, *, captured: bool = True) -> list[Figure]:
    on.reset(captured=captured)
    rows = sizes.rows // 100
    with on.sql() as conn:
        took, used = [], time.process_time()
        for number in range(rows):
            began = time.perf_counter()
            conn.execute(SQL["fill"], {"first": number, "last": number})
            took.append(time.perf_counter() - began)
    cpu = (time.process_time() - used) / rows * 1e6
    return [Figure("single-row INSERT with capture, p50", median(took) * 1e3, "ms", cpu, peak_megabytes())]


def bulk(on: Stage, sizes: Sizes) -> list[Line]:
    """One statement for many rows."""
    ratios: dict[str, list[float]] = {what: [] for what in STATEMENTS}
    told: list[str] = []
    for _ in range(sizes.rounds):
        without, captured = [measured_bulk(on, sizes, captured=which) for which in (False, True)]
        for what, with_, bare in zip(STATEMENTS, captured, without, strict=True):
            ratios[what].append(with_.value / bare.value)
        told = [f"{with_}, {bare}" for with_, bare in zip(captured, without, strict=True)]
    return [
        Line(f"bulk {what} of {BULK:,} rows with capture against without", median(ratios[what]), "<=", REACH, one)
        for what, one in zip(STATEMENTS, told, strict=True)
    ]


def measured_bulk(on: Stage, _: Sizes, *, captured: bool = True) -> list[Figure]:
    on.reset(captured=captured)
    figures = []
    with on.sql() as conn:
        for what, (statement, values) in STATEMENTS.items():
            conn.execute("CHECKPOINT")
            used = time.process_time()
            took = timed(conn.execute, statement, values)
            cpu = (time.process_time() - used) / BULK * 1e6
            figures.append(Figure(f"bulk {what} of {BULK:,} rows with capture", took, "s", cpu, peak_megabytes()))
    return figures
