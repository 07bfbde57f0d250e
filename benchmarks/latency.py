"""Commit to visible: a writer at a fixed rate, when its commit returned against when the document was durable."""

from __future__ import annotations

import statistics
import time

from benchmarks.report import Line, percentile
from benchmarks.stage import SQL, Stage, cpu_seconds, worker

KEYS = 2000


def at_rate(on: Stage, *, rate: int, seconds: float) -> list[float]:
    """Milliseconds from commit to visible, of each change of a writer at ``rate`` changes a second."""
    on.reset(rows=KEYS)
    with worker(on, keys=True) as running, on.sql() as conn:
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
        seen = running.drained()["seen"]
    took = [(seen[change] - at) * 1e3 for change, at in committed.items() if change in seen]
    # A change that was overtaken by the next one of its key never shows; at these rates that is rare.
    assert len(took) > 0.95 * len(committed), (len(took), len(committed))
    return took


def lines(on: Stage, *, seconds: float, rounds: int) -> list[Line]:
    """At two rates; medians of the rounds, which are named."""
    slow, fast = [], []
    for _ in range(rounds):
        slow.append(at_rate(on, rate=200, seconds=seconds))
        fast.append(at_rate(on, rate=1500, seconds=seconds))

    def line(rate: str, found: list[list[float]], fraction: float, reach: float) -> Line:
        each = [percentile(took, fraction) for took in found]
        told = ", ".join(f"{value:.2f}" for value in each)
        return Line(
            f"commit to visible at {rate}, p{fraction * 100:.0f} ms", statistics.median(each), "<=", reach, told
        )

    return [line("200/s", slow, 0.5, 1.5), line("200/s", slow, 0.99, 4), line("1,500/s", fast, 0.99, 6)]


def idle(on: Stage, *, seconds: float) -> list[Line]:
    """A worker with nothing to do: its processor time, and what is written."""
    on.reset(rows=100)
    with worker(on) as running, on.sql() as conn:
        running.drained()
        before = conn.execute(SQL["written"]).fetchone()
        began, used = time.monotonic(), cpu_seconds(running.process.pid)
        time.sleep(seconds)
        share = (cpu_seconds(running.process.pid) - used) / (time.monotonic() - began) * 100
        after = conn.execute(SQL["written"]).fetchone()
        assert before is not None
        assert after is not None
    rows = (after[0] - before[0]) / seconds
    return [
        Line(
            "idle worker, % of a core",
            share,
            "<",
            1,
            f"{rows:.1f} rows written a second (a renewal writes 2 each second)",
        )
    ]
