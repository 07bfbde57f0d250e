"""Throughput: the relay against the engine's ceiling and the hand-written poller."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Any

from benchmarks import ceiling
from benchmarks.figure import Figure
from benchmarks.report import Line, median
from benchmarks.stage import SQL, Sizes, Stage, Worker, resident_megabytes, worker


def inserts(on: Stage, sizes: Sizes) -> list[Line]:
    """Insert marks waiting for one worker."""
    rows, relay, best, poll = sizes.rows, [], [], []
    for _ in range(sizes.rounds):
        (figure,) = measured_inserts(on, sizes)
        relay.append(figure.value)
        best.append(max(ceiling.inserts(on, min(rows, 100_000)).values()))
        poll.append(ceiling.poller(on, min(rows, 5_000)))
    return [
        Line(
            "relay, one worker, inserts: against the best bare insert_many",
            ratio(relay, best),
            ">=",
            0.6,
            f"{per_second(relay, best)}; {figure.cost}",
        ),
        Line("… against the hand-written poller", ratio(relay, poll), ">=", 30, per_second(relay, poll)),
    ]


def measured_inserts(on: Stage, sizes: Sizes) -> list[Figure]:
    on.reset(rows=sizes.rows)
    with worker(on) as running:
        done = drained(on, running)
    rate = _rate(done, sizes.rows)
    return [Figure("relay, one worker, inserts", rate, "/s", done["cpu_us"], done["peak_mb"])]


def updates(on: Stage, sizes: Sizes) -> list[Line]:
    """Update marks of existing keys waiting for one worker, and for two."""
    rows, one, two, best, poll, shared = sizes.rows, [], [], [], [], []
    for _ in range(sizes.rounds):
        (figure,) = measured_updates(on, sizes)
        one.append(figure.value)
        two.append(_touch_and_drain(on, rows, 2).value)
        best.append(max(ceiling.updates(on, min(rows, 50_000)).values()))
        poll.append(ceiling.poller(on, min(rows, 5_000)))
        shared.append(two[-1] / one[-1])
    return [
        Line(
            "relay, one worker, updates: against the best bare guarded updates",
            ratio(one, best),
            ">=",
            0.9,
            f"{per_second(one, best)}; {figure.cost}",
        ),
        Line("… against the hand-written poller", ratio(one, poll), ">=", 15, per_second(one, poll)),
        Line("relay, two workers, updates: against one worker", median(shared), ">=", 1.0, per_second(two, one)),
    ]


def measured_updates(on: Stage, sizes: Sizes) -> list[Figure]:
    on.reset(rows=sizes.rows)
    with worker(on) as first:
        drained(on, first)
    return [_touch_and_drain(on, sizes.rows, 1)]


def _touch_and_drain(on: Stage, rows: int, workers: int) -> Figure:
    """Update every row while workers wait for it; marks a second from first read to last acknowledgement."""
    with on.sql() as conn, contextlib.ExitStack() as stack:
        running = [stack.enter_context(worker(on)) for _ in range(workers)]
        time.sleep(3.5 if workers > 1 else 1.5)  # until the lanes are shared out
        for one in running:
            one.drained()
        conn.execute(SQL["touch"])
        wait_until_empty(conn)
        done = [one.drained() for one in running]
    assert sum(one["marks"] for one in done) >= rows
    seconds = max(one["last"] for one in done) - min(one["first"] for one in done)
    return Figure("relay, one worker, updates", rows / seconds, "/s", done[0]["cpu_us"], done[0]["peak_mb"])


def backlog(on: Stage, sizes: Sizes) -> list[Line]:
    """Drain rate with many marks waiting against few; the worker's memory meanwhile."""
    small, large = sizes.rows, sizes.rows * 10
    rates, peak, early = [], 0.0, 0.0
    for rows in (small, large):
        on.reset(rows=rows)
        with worker(on) as running:
            resident: list[float] = []
            over = threading.Event()

            def watch(
                pid: int = running.process.pid, into: list[float] = resident, end: threading.Event = over
            ) -> None:
                while not end.wait(0.2):
                    into.append(resident_megabytes(pid))

            watcher = threading.Thread(target=watch)
            watcher.start()
            rates.append(_rate(drained(on, running), rows))
            over.set()
            watcher.join()
            peak, early = max(resident), max(resident[: len(resident) // 4] or resident)
    return [
        Line(
            f"drain rate with {large:,} marks waiting against {small:,}",
            rates[1] / rates[0],
            ">=",
            0.9,
            f"{rates[1]:,.0f}/s, {rates[0]:,.0f}/s",
        ),
        Line(f"worker memory while draining {large:,}, MB", peak, "<", 250, f"first quarter: {early:.0f} MB"),
    ]


def drained(on: Stage, running: Worker) -> dict[str, Any]:
    with on.sql() as conn:
        wait_until_empty(conn)
    return running.drained()


def wait_until_empty(conn: Any) -> None:
    while conn.execute(SQL["waiting"]).fetchone() != (False,):
        time.sleep(0.05)


def _rate(done: dict[str, Any], rows: int) -> float:
    assert done["marks"] >= rows, done["marks"]
    return float(done["marks"] / done["seconds"])


def ratio(first: list[float], second: list[float]) -> float:
    return median([a / b for a, b in zip(first, second, strict=True)])


def per_second(first: list[float], second: list[float]) -> str:
    return f"{median(first):,.0f}/s, {median(second):,.0f}/s"
