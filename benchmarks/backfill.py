"""Backfill: against a bare COPY and ``insert_many``; its memory and the worker's; what a writer feels of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import islice

from pymongo import WriteConcern

from benchmarks.companions import companion
from benchmarks.figure import Figure, peak_megabytes
from benchmarks.product import install_todo
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SQL, Sizes, Stage, cpu_seconds, worker

CHUNK = 1000
FIELDS = ["_id", "userId", "title", "subject", "difficulty", "questions", "done", "points", "due", "note", "updated"]
TYPES = ["int8", "int8", "text", "text", "text", "int4", "bool", "float8", "timestamptz", "text", "timestamptz"]
WRITES = 500
"""Transactions a second of the writer."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """At full throttle into an empty collection."""
    rows, ours, bare, marking, working = sizes.large, [], [], 0.0, 0.0
    for _ in range(sizes.rounds):
        bare.append(rows / _bare(on, rows))
        figure, marker, relay = _ours(on, rows)
        ours.append(figure.value)
        marking, working = max(marking, marker), max(working, relay)
    ratio = median([a / b for a, b in zip(ours, bare, strict=True)])
    told = f"{median(ours):,.0f}/s, {median(bare):,.0f}/s; {figure.cpu_us:.1f} µs"
    return [
        Line(f"backfill of {rows:,} rows at full throttle: against bare COPY and insert_many", ratio, ">=", 0.5, told),
        Line("… memory of the marking process, MB", marking, "<", 300),
        Line("… memory of the worker, MB", working, "<", 300),
    ]


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    return [_ours(on, sizes.large)[0]]


def beside(on: Stage, sizes: Sizes) -> list[Line]:
    """A writer at 500 transactions a second, without and beside a backfill at its default pace."""
    rows, seconds = sizes.rows * 4, sizes.seconds
    ratios, told = [], []
    for _ in range(sizes.rounds):
        _filled(on, rows)
        with worker(on) as running:
            running.drained()
            alone = percentile(writing(on, seconds, rows), 0.99)
            with _marker(on, "default") as marker:
                assert marker.stdin
                marker.stdin.write("go\n")
                marker.stdin.flush()
                time.sleep(1)
                together = percentile(writing(on, seconds, rows), 0.99)
                with on.sql() as conn:
                    (progress,) = conn.execute("SELECT progress FROM syncline.task").fetchone() or ({},)
        ratios.append(together / alone)
        told.append(f"{together:.2f} against {alone:.2f} ms, {progress.get('done', rows) / (seconds + 1):,.0f} marks/s")
    what = f"p99 of a writer at {WRITES}/s beside a backfill at the default pace: against alone"
    return [Line(what, median(ratios), "<=", 2, "; ".join(told))]


def _bare(on: Stage, rows: int) -> float:
    """The loop that people write: COPY out, documents of a thousand, as durable as ours."""
    on.reset(rows=rows, captured=False)
    with on.sql() as conn, on.client() as client:
        collection = client.bench.get_collection("todos", write_concern=WriteConcern(w="majority", j=True))
        began = time.perf_counter()
        with conn.cursor() as cursor, cursor.copy("COPY todo TO STDOUT") as copy:
            copy.set_types(TYPES)
            found = copy.rows()
            while documents := [dict(zip(FIELDS, row, strict=True)) for row in islice(found, CHUNK)]:
                collection.insert_many(documents, ordered=False)
        took = time.perf_counter() - began
        assert collection.count_documents({}) == rows
    return took


def _ours(on: Stage, rows: int) -> tuple[Figure, float, float]:
    """Rows a second until every document is there; megabytes of the marking process and of the worker."""
    _filled(on, rows)
    with on.sql() as conn, on.client() as client, worker(on) as running, _marker(on, "full") as marker:
        assert marker.stdin
        assert marker.stdout
        running.drained()
        began, used = time.perf_counter(), cpu_seconds(running.process.pid)
        marker.stdin.write("go\n")
        marker.stdin.flush()
        said = json.loads(marker.stdout.readline())
        while conn.execute(SQL["waiting"]).fetchone() != (False,):
            time.sleep(0.05)
        took = time.perf_counter() - began
        assert said["marked"] == rows
        assert client.bench.todos.count_documents({}) == rows
        cpu = said["cpu"] + cpu_seconds(running.process.pid) - used
        megabytes = said["megabytes"], peak_megabytes(running.process.pid)
    figure = Figure(f"backfill of {rows:,} rows at full throttle", rows / took, "/s", cpu / rows * 1e6, max(megabytes))
    return figure, *megabytes


def _filled(on: Stage, rows: int) -> None:
    """Rows that were there before Syncline was, and nothing that is done for them yet."""
    on.reset(rows=rows, captured=False)
    asyncio.run(install_todo(on.postgres.url))
    with on.sql() as conn:
        conn.execute("DELETE FROM syncline.task")


@contextlib.contextmanager
def _marker(on: Stage, pace: str) -> Iterator[subprocess.Popen[str]]:
    process = companion(
        [sys.executable, "-m", "benchmarks.product", on.postgres.url, on.mongo.url, pace],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def writing(on: Stage, seconds: float, rows: int) -> list[float]:
    """Milliseconds that each transaction of the writer takes."""
    took = []
    chance = random.Random(1)
    with on.sql() as conn:
        began = time.monotonic()
        for number in range(int(WRITES * seconds)):
            while (pause := began + number / WRITES - time.monotonic()) > 0:
                time.sleep(pause)
            key, note = chance.randrange(1, rows), f"{number:012d}"
            at = time.perf_counter()
            conn.execute("UPDATE todo SET note = %s WHERE id = %s", (note, key))
            took.append((time.perf_counter() - at) * 1e3)
    return took
