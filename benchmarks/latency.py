"""Commit to visible: a writer at a fixed rate, when its commit returned against when the document was durable."""

from __future__ import annotations

import statistics
import time

from benchmarks.figure import Figure
from benchmarks.report import Line, percentile
from benchmarks.stage import SQL, Sizes, Stage, cpu_seconds, worker

KEYS = 2000
RATES = (200, 1500)


def at_rate(on: Stage, *, rate: int, seconds: float) -> dict[float, Figure]:
    """From commit to visible, of each change of a writer at ``rate`` changes a second: p50 and p99."""
    on.reset(rows=KEYS)
    with worker(on, keys=KEYS) as running, on.sql() as conn:
        running.drained()
        committed: dict[str, float] = {}
        began = time.monotonic()
        for number in range(int(rate * seconds)):
            due = began + number / rate
            while (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            key, note = 1 + number % KEYS, f"{number:012d}"
            conn.execute("UPDATE todo SET note = %s WHERE id = %s", (note, key))
            committed[f"{key}/{note}"] = time.monotonic()
        done = running.drained()
    seen = done["seen"]
    took = [(seen[change] - at) * 1e3 for change, at in committed.items() if change in seen]
    # A change that was overtaken by the next one of its key never shows; at these rates that is rare.
    assert len(took) > 0.95 * len(committed), (len(took), len(committed))
    return {
        part: Figure(
            f"commit to visible at {rate:,}/s, p{part * 100:.0f}",
            percentile(took, part),
            "ms",
            done["cpu_us"],
            done["peak_mb"],
        )
        for part in (0.5, 0.99)
    }


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """At two rates."""
    slow, fast = [at_rate(on, rate=rate, seconds=sizes.seconds / 1.5) for rate in RATES]
    return [slow[0.5], slow[0.99], fast[0.99]]


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """At two rates; medians of the rounds, which are named."""
    rounds = [measured(on, sizes) for _ in range(sizes.rounds)]
    found = []
    for each, reach in zip(zip(*rounds, strict=True), (1.5, 4, 6), strict=True):
        told = ", ".join(f"{figure.value:.2f}" for figure in each) + f" ({each[-1].cost})"
        found.append(Line(f"{each[0].what} ms", statistics.median(figure.value for figure in each), "<=", reach, told))
    return found


def idle(on: Stage, sizes: Sizes) -> list[Line]:
    """A worker with nothing to do: its processor time, and what is written."""
    on.reset(rows=100)
    with worker(on) as running, on.sql() as conn:
        running.drained()
        before = conn.execute(SQL["written"]).fetchone()
        began, used = time.monotonic(), cpu_seconds(running.process.pid)
        time.sleep(sizes.seconds)
        share = (cpu_seconds(running.process.pid) - used) / (time.monotonic() - began) * 100
        after = conn.execute(SQL["written"]).fetchone()
        assert before is not None
        assert after is not None
    rows = (after[0] - before[0]) / sizes.seconds
    return [
        Line(
            "idle worker, % of a core",
            share,
            "<",
            1,
            f"{rows:.1f} rows written a second (a renewal writes 2 each second)",
        )
    ]
