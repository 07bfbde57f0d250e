"""From a write of a wrapped collection to its row: how long the worker of a document link takes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.documents import PLAIN, apart, collection, copied
from benchmarks.figure import peak_megabytes
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SPAWN, Sizes, Stage, cpu_seconds
from syncline.capture.documents import wrap

KEYS, RATE, IDLE_SECONDS = 2000, 200, 8.0
NOTICE = """
CREATE FUNCTION bench_seen() RETURNS trigger LANGUAGE plpgsql AS
$$BEGIN PERFORM pg_notify('bench_seen', NEW.count::text); RETURN NEW; END$$;
CREATE TRIGGER bench_seen AFTER UPDATE ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION bench_seen()
"""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """A writer at a fixed rate; medians of the rounds."""
    found: dict[float, list[float]] = {0.5: [], 0.99: []}
    with collection(on, PLAIN, KEYS) as folder:
        apart(on, copied, folder)
        with on.sql() as conn:
            conn.execute(NOTICE)
        with _worker(folder) as pid:
            for number in range(sizes.rounds):
                before = cpu_seconds(pid)
                took = _written(on, first=(number + 1) << 32, seconds=sizes.seconds / 3)
                cost = f"{(cpu_seconds(pid) - before) / len(took) * 1e3:.2f} ms a record, {peak_megabytes(pid):.0f} MB"
                for part, values in found.items():
                    values.append(percentile(took, part) * 1e3)
            time.sleep(IDLE_SECONDS)
            before = cpu_seconds(pid)
            time.sleep(IDLE_SECONDS)
            idle = (cpu_seconds(pid) - before) / IDLE_SECONDS
        with on.sql() as conn:
            conn.execute("DROP FUNCTION bench_seen CASCADE")
    return [
        Line(f"from a write of a document to its row at {RATE}/s, p{part * 100:.0f} ms", median(values), "<=", reach,
             ", ".join(f"{value:.2f}" for value in values) + f" (the worker {cost})")
        for (part, values), reach in zip(found.items(), (3, 10), strict=True)
    ] + [
        Line("… an idle worker, % of a core", 100 * idle, "<", 1,
             f"{IDLE_SECONDS:.0f} s after the last document, for as long")
    ]  # fmt: skip


def _written(on: Stage, *, first: int, seconds: float) -> list[float]:
    """Write at the rate; seconds from the answer of each write until a session of PostgreSQL has heard of its row."""
    with on.client() as client, _seen(on) as seen:
        tasks = client["bench"]["tasks"]
        ids = [one["_id"] for one in tasks.find({}, {"_id": 1})]
        wrapped, written = wrap(tasks), {}
        began = time.monotonic()
        for number in range(int(RATE * seconds)):
            while (pause := began + number / RATE - time.monotonic()) > 0:
                time.sleep(pause)
            wrapped.update_one({"_id": ids[number % KEYS]}, {"$set": {"count": first + number}})
            written[first + number] = time.monotonic()
        until = time.monotonic() + 30
        while written.keys() - seen.keys() and time.monotonic() < until:
            time.sleep(0.01)
    took = [max(0.0, seen[number] - at) for number, at in written.items() if number in seen]
    assert len(took) > 0.95 * len(written), (len(took), len(written))
    return took


@contextlib.contextmanager
def _seen(on: Stage) -> Iterator[dict[int, float]]:
    """Listen, as long as a block lasts."""
    seen: dict[int, float] = {}
    with psycopg.connect(on.postgres.url, autocommit=True) as connection:
        connection.execute("LISTEN bench_seen")
        ended = threading.Event()

        def listen() -> None:
            while not ended.is_set():
                for notice in connection.notifies(timeout=0.2):
                    seen[int(notice.payload)] = time.monotonic()

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield seen
        finally:
            ended.set()
            thread.join()


@contextlib.contextmanager
def _worker(folder: str) -> Iterator[int]:
    """Run a worker of the link in a process of its own."""
    ready = SPAWN.Event()
    process = SPAWN.Process(target=_work, args=(folder, ready), daemon=True)
    process.start()
    try:
        assert ready.wait(60)
        assert process.pid is not None
        yield process.pid
    finally:
        process.terminate()
        process.join(20)


def _work(folder: str, ready: Any) -> None:
    from syncline.config.documents import load_documents
    from syncline.documents.running import run_worker
    from syncline.executing.collector import tune_garbage_collection
    from syncline.telemetry.observer import NullObserver

    class Quiet(NullObserver):
        """Says when the worker has begun."""

        def tell(self, event: Any) -> None:  # noqa: ARG002
            ready.set()

    tune_garbage_collection()
    asyncio.run(run_worker(load_documents(Path(folder), {}), Quiet()))
