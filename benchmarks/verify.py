"""Verification: against merely reading both sides, with a few differences, its memory, and what writers feel of it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pymongo

from benchmarks import product
from benchmarks.figure import Figure, peak_megabytes
from benchmarks.product import VERIFY_RATE as RATE
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SPAWN, SQL, Sizes, Stage, worker

FETCH = 5000
"""Rows that the bare reader fetches at a time."""
DAMAGED = 10
CORES = 4
"""Two processes that verify, and a server on each side."""
WRITES = 500
"""Transactions a second of the writer."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Full and by keys against bare reading; with ten differences; memory."""
    rows = sizes.large
    prepare(on, rows)
    full, keys, damaged, details, peak = [], [], [], [], 0.0
    for _ in range(sizes.rounds):
        bare, bare_keys = [apart(bare_reading, on, keys_only)[0] for keys_only in (False, True)]
        ours, by_keys = [_equal(on, rows, keys_only=keys_only) for keys_only in (False, True)]
        _damage(on, rows)
        again, _, _, found = apart(verifying, on, False)
        assert found[1] == DAMAGED, found
        _heal(on)
        full.append(ours.value / bare)
        keys.append(by_keys.value / bare_keys)
        damaged.append(again / ours.value)
        details.append((bare, ours.value, bare_keys, by_keys.value, again))
        peak = max(peak, ours.peak_mb)
    shown = [f"{median(list(column)):.1f} s" for column in zip(*details, strict=True)]
    return [
        Line(f"verify {rows:,} equal records, contents: against reading both sides", median(full), "<=", 2.5,
             f"{shown[1]}, {shown[0]}; {ours.cost}"),
        Line("… by keys: against reading the keys of both sides", median(keys), "<=", 1.5,
             f"{shown[3]}, {shown[2]}; {by_keys.cost}"),
        Line(f"… with {DAMAGED} differences, all found: against equal", median(damaged), "<=", 1.2, shown[4]),
        Line("… its memory at most, MB", peak, "<", 300),
    ]  # fmt: skip


def shared(on: Stage, sizes: Sizes) -> list[Line]:
    """Two processes against one, by the command's own way; on fewer cores than both sides and they need it says so."""
    if (cores := os.cpu_count() or 1) < CORES:
        print(f"skip verify by two processes: {cores} cores, and it says something on {CORES} or more", file=sys.stderr)
        return []
    rows = sizes.large
    prepare(on, rows)
    ratios, told = [], []
    for _ in range(sizes.rounds):
        one, two = (apart(verifying_by, on, processes) for processes in (1, 2))
        assert one[3] == two[3] == ("equal", 0), (one, two)
        ratios.append(one[0] / two[0])
        told.append(f"{two[0]:.1f} s, {one[0]:.1f} s")
    what = f"verify {rows:,} equal records, contents: two processes against one"
    return [Line(what, median(ratios), ">=", 1.6, "; ".join(told))]


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """Equal sides, by contents and by keys."""
    prepare(on, sizes.large)
    return [_equal(on, sizes.large, keys_only=keys_only) for keys_only in (False, True)]


def _equal(on: Stage, rows: int, *, keys_only: bool) -> Figure:
    took, cpu, peak, found = apart(verifying, on, keys_only)
    assert found[1] == 0, found
    assert keys_only or found[0] == "equal", found
    what = f"verify {rows:,} equal records, {'keys' if keys_only else 'contents'}"
    return Figure(what, took, "s", cpu / rows * 1e6, peak)


def beside(on: Stage, sizes: Sizes) -> list[Line]:
    """A writer at 500 transactions a second, without and beside a verification at its default pace."""
    rows, seconds = sizes.rows, sizes.seconds
    prepare(on, rows)
    ratios, told = [], []
    with worker(on) as running:
        running.drained()
        for _ in range(sizes.rounds):
            alone = percentile(writing(on, seconds, rows), 0.99)
            over = SPAWN.Event()
            verifier = SPAWN.Process(target=again_and_again, args=(on.postgres.url, on.mongo.url, over))
            verifier.start()
            time.sleep(1)
            together = percentile(writing(on, seconds, rows), 0.99)
            over.set()
            verifier.join()
            ratios.append(together / alone)
            told.append(f"{together:.2f} against {alone:.2f}")
    what = f"p99 of a writer at {WRITES}/s beside a verification at {RATE:,}/s: against alone"
    return [Line(what, median(ratios), "<=", 2, "ms: " + ", ".join(told))]


def writing(on: Stage, seconds: float, rows: int) -> list[float]:
    """Milliseconds that each transaction of the writer takes."""
    took = []
    with on.sql() as conn:
        began = time.monotonic()
        for number in range(int(WRITES * seconds)):
            due = began + number / WRITES
            while (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            at = time.monotonic()
            conn.execute("UPDATE todo SET done = NOT done WHERE id = %s", (1 + number * 7919 % rows,))
            took.append((time.monotonic() - at) * 1e3)
    return took


def again_and_again(source: str, target: str, over: Any) -> None:
    """Verify at the default pace until told to stop."""

    async def run() -> None:
        task = asyncio.create_task(_endless(source, target))
        while not over.is_set():
            await asyncio.sleep(0.1)
        task.cancel()
        await asyncio.wait([task])

    asyncio.run(run())


async def _endless(source: str, target: str) -> None:
    while True:
        await product.verified(source, target, keys_only=False, rate=RATE)


def prepare(on: Stage, rows: int) -> None:
    """Fill both sides with the same records, as a worker would leave them."""
    on.reset(rows=rows)
    with on.sql() as conn:
        conn.execute(SQL["forget_marks"])
    asyncio.run(product.copy(on.postgres.url, on.mongo.url))


def _damage(on: Stage, rows: int) -> None:
    with on.client() as client:
        for number in range(DAMAGED):
            client.bench.todos.update_one({"_id": 1 + number * (rows // DAMAGED)}, {"$set": {"title": "other"}})


def _heal(on: Stage) -> None:
    with on.client() as client:
        for document in client.bench.todos.find({"title": "other"}):
            client.bench.todos.update_one(
                {"_id": document["_id"]}, {"$set": {"title": f"todo number {document['_id']}"}}
            )


def apart(work: Callable[..., Any], on: Stage, *arguments: Any) -> tuple[float, float, float, Any]:
    """Run it in a process of its own; seconds, of processor too, peak memory in MB and what it returns."""
    with SPAWN.Pool(1) as pool:
        found: tuple[float, float, float, Any] = pool.apply(_timed, (work, on.postgres.url, on.mongo.url, *arguments))
    return found


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, float, float, Any]:
    began, used = time.perf_counter(), time.process_time()
    result = work(*arguments)
    return time.perf_counter() - began, time.process_time() - used, peak_megabytes(), result


def bare_reading(source: str, target: str, keys_only: bool) -> int:
    """Read all rows by a server-side cursor, then all documents, decoding both; nothing is compared."""
    read = 0
    with psycopg.connect(source) as conn, conn.cursor("bare", binary=True) as cursor:
        cursor.execute("SELECT id FROM todo" if keys_only else "SELECT * FROM todo")
        while rows := cursor.fetchmany(FETCH):
            read += len(rows)
    with pymongo.MongoClient(target) as client:
        for _ in client.get_database("bench", codec_options=product.CODEC).todos.find(
            {}, {"_id": 1} if keys_only else None
        ):
            read += 1
    return read


def verifying_by(source: str, target: str, processes: int) -> tuple[str, int]:
    """Verify as fast as it goes, by so many processes: verdict and differences."""
    product.tune_garbage_collection()
    return asyncio.run(product.verified_by(source, target, processes))


def verifying(source: str, target: str, keys_only: bool) -> tuple[str, int]:
    """Verify as fast as it goes: verdict and differences."""
    product.tune_garbage_collection()
    return asyncio.run(product.verified(source, target, keys_only=keys_only))
