"""A transaction of many rows under a live worker: what other writers wait for, and what the worker needs for it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import Any

from benchmarks.figure import peak_megabytes
from benchmarks.report import Line, percentile
from benchmarks.stage import SQL, Sizes, Stage, worker

OTHERS = 200
"""Records that the other writer changes in turn."""
RATE = 50
"""Changes a second of the other writer."""
WAITING = """\
SELECT (SELECT count(*) FROM syncline.outbox) + (SELECT coalesce(sum(size), 0) FROM syncline.block) > 1000"""


class Writer(threading.Thread):
    """Changes small records at a rate until it is stopped; ``committed`` tells when it did what."""

    def __init__(self, on: Stage) -> None:
        super().__init__(daemon=True)
        self._on = on
        self._over = threading.Event()
        self.committed: dict[str, float] = {}

    def run(self) -> None:
        with self._on.sql() as conn:
            began, number = time.monotonic(), 0
            while not self._over.wait(max(0.0, began + number / RATE - time.monotonic())):
                key, note = 1 + number % OTHERS, f"{number:012d}"
                conn.execute("UPDATE todo SET note = %s WHERE id = %s", (note, key))
                self.committed[f"{key}/{note}"] = time.monotonic()
                number += 1

    def stop(self) -> None:
        self._over.set()
        self.join()


def beside(on: Stage, act: Callable[[Any], None]) -> tuple[dict[str, Any], list[float]]:
    """Do something while another one writes; what the worker did, and what the other's changes waited for, in ms."""
    on.reset(rows=OTHERS)
    with worker(on, keys=OTHERS) as running, on.sql() as conn:
        running.drained()
        writer = Writer(on)
        writer.start()
        act(conn)
        while conn.execute(WAITING).fetchone() == (True,):
            time.sleep(0.5)
        writer.stop()
        done = running.drained() | {"peak_mb": peak_megabytes(running.process.pid)}
    return done, waited(writer.committed, done["seen"])


def waited(committed: dict[str, float], seen: dict[str, float]) -> list[float]:
    """From each change's commit until it, or a later one of its record, was in the target; ms."""
    waits, earliest = [], dict[str, float]()
    for change, at in reversed(committed.items()):
        key = change.partition("/")[0]
        earliest[key] = min(seen.get(change, math.inf), earliest.get(key, math.inf))
        waits.append((earliest[key] - at) * 1e3)
    return waits


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """One that is rolled back, and one that commits."""
    values = {"first": 1_000_001, "last": 1_000_000 + sizes.large}

    def rolled_back(conn: Any) -> None:
        with conn.transaction(force_rollback=True):
            conn.execute(SQL["fill"], values)

    def committed(conn: Any) -> None:
        conn.execute(SQL["fill"], values)

    found = []
    for what, act in (("rolled back", rolled_back), ("committed", committed)):
        done, waits = beside(on, act)
        rows = f"{sizes.large:,} rows {what}"
        told = f"p50 {percentile(waits, 0.5):.0f} ms of {len(waits)} changes, {RATE} a second; {done['marks']:,} marks"
        found += [
            Line(
                f"{rows}: another writer's changes, commit to visible, p99 s",
                percentile(waits, 0.99) / 1e3,
                "<=",
                2,
                told,
            ),
            Line(f"{rows}: worker, MB", done["peak_mb"], "<=", 150),
        ]
    return found
