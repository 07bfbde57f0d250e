"""Verification: against merely reading both sides, with a few differences, its memory, and what writers feel of it."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pymongo

from benchmarks.entity import TODO
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SPAWN, Stage, worker
from syncline.cli.verify import RATE
from syncline.model.mark import ticket
from syncline.model.values import EPOCH
from syncline.outbox.connection import connect
from syncline.outbox.loaders import register_loaders
from syncline.outbox.plans import compile_plans
from syncline.outbox.states import read_range
from syncline.targets.mongo import CODEC, MongoTarget
from syncline.targets.mongo_inspect import MongoInspection
from syncline.verify.one_pass import Options, Sides
from syncline.verify.report import Mode
from syncline.verify.verifier import verify
from syncline.wiring import tune_garbage_collection

FETCH = 5000
"""Rows that the bare reader fetches at a time."""
DAMAGED = 10
WRITES = 500
"""Transactions a second of the writer."""


def lines(on: Stage, *, rows: int, rounds: int) -> list[Line]:
    """Full and by keys against bare reading; with ten differences; memory."""
    prepare(on, rows)
    full, keys, damaged, peak, details = [], [], [], 0.0, []
    for _ in range(rounds):
        bare, _ = _apart(bare_reading, on, False)
        ours, found = _apart(verifying, on, Mode.FULL)
        assert found[0] == "equal", found
        peak = max(peak, found[2])
        bare_keys, _ = _apart(bare_reading, on, True)
        by_keys, found = _apart(verifying, on, Mode.KEYS)
        assert found[1] == 0, found
        _damage(on, rows)
        again, found = _apart(verifying, on, Mode.FULL)
        assert found[1] == DAMAGED, found
        _heal(on)
        full.append(ours / bare)
        keys.append(by_keys / bare_keys)
        damaged.append(again / ours)
        details.append((bare, ours, bare_keys, by_keys, again))
    shown = [f"{median(list(column)):.1f} s" for column in zip(*details, strict=True)]
    return [
        Line(f"verify {rows:,} equal records, contents: against reading both sides", median(full), "<=", 2.5,
             f"{shown[1]}, {shown[0]}"),
        Line("… by keys: against reading the keys of both sides", median(keys), "<=", 1.5, f"{shown[3]}, {shown[2]}"),
        Line(f"… with {DAMAGED} differences, all found: against equal", median(damaged), "<=", 1.2, shown[4]),
        Line("… its memory at most, MB", peak, "<", 300),
    ]  # fmt: skip


def beside(on: Stage, *, rows: int, seconds: float, rounds: int) -> list[Line]:
    """A writer at 500 transactions a second, without and beside a verification at its default pace."""
    prepare(on, rows)
    ratios, told = [], []
    with worker(on) as running:
        running.drained()
        for _ in range(rounds):
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
        await _verifying(source, target, Mode.FULL, rate=RATE)


def prepare(on: Stage, rows: int) -> None:
    """Fill both sides with the same records, as a worker would leave them."""
    on.reset(rows=rows)
    with on.sql() as conn:
        conn.execute("TRUNCATE syncline.outbox")
    asyncio.run(_copy(on))


async def _copy(on: Stage) -> None:
    conn = await connect(on.postgres.url, keyed=True)
    target = MongoTarget(on.mongo.url, "bench")
    register_loaders(conn.adapters)
    plan = next(iter((await compile_plans(conn, [TODO])).by_id.values()))
    await target.announce(dict.fromkeys(range(64), 1))
    after = None
    with pymongo.MongoClient(on.mongo.url) as client:
        todos = client.get_database("bench", codec_options=CODEC).todos
        while (states := await read_range(conn, plan, after=after, until=None, limit=FETCH)).rows:
            documents = states.documents(source="postgresql", synced_at=EPOCH, ticket=ticket(1, 1))
            todos.insert_many(documents, ordered=False)
            after = states.rows[-1][-1]
    await conn.close()
    await target.close()


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


def _apart(work: Callable[..., Any], on: Stage, *arguments: Any) -> tuple[float, Any]:
    """Run it in a process of its own; seconds and what it returns."""
    with SPAWN.Pool(1) as pool:
        return pool.apply(_timed, (work, on.postgres.url, on.mongo.url, *arguments))


def _timed(work: Callable[..., Any], *arguments: Any) -> tuple[float, Any]:
    began = time.perf_counter()
    result = work(*arguments)
    return time.perf_counter() - began, result


def bare_reading(source: str, target: str, keys: bool) -> int:
    """Read all rows by a server-side cursor, then all documents, decoding both; nothing is compared."""
    read = 0
    with psycopg.connect(source) as conn, conn.cursor("bare", binary=True) as cursor:
        cursor.execute("SELECT id FROM todo" if keys else "SELECT * FROM todo")
        while rows := cursor.fetchmany(FETCH):
            read += len(rows)
    with pymongo.MongoClient(target) as client:
        for _ in client.get_database("bench", codec_options=CODEC).todos.find({}, {"_id": 1} if keys else None):
            read += 1
    return read


def verifying(source: str, target: str, mode: Mode) -> tuple[str, int, float]:
    """Verify as fast as it goes: verdict, differences, peak memory in MB."""
    tune_garbage_collection()
    return asyncio.run(_verifying(source, target, mode))


async def _verifying(source: str, url: str, mode: Mode, rate: float | None = None) -> tuple[str, int, float]:
    target = MongoTarget(url, "bench")
    pages, looks = [await connect(source, keyed=True) for _ in range(2)]
    for connection in (pages, looks):
        register_loaders(connection.adapters)
    plans = await compile_plans(looks, [TODO])
    report = await verify(
        Sides(pages, looks, MongoInspection(target)), list(plans.by_id.values()), Options(mode, rate=rate)
    )
    await pages.close()
    await looks.close()
    await target.close()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    return report.verdict.value, sum(one.counts.total() for one in report.entities), peak
