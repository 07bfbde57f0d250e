"""Backfill: against a bare COPY and ``insert_many``; its memory and the worker's; what a writer feels of it.

``python -m benchmarks.backfill SOURCE TARGET full|default`` is the process that marks: it says ``ready``, waits for a
line, and says in JSON what it did.
"""

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
from pathlib import Path

from pymongo import WriteConcern

from benchmarks.entity import TODO
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SQL, Stage, install_todo, worker
from syncline import wiring
from syncline.backfill.runner import Runner
from syncline.backfill.tasks import TaskKind
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.targets.mongo import MongoTarget

CHUNK = 1000
FIELDS = ["_id", "userId", "title", "subject", "difficulty", "questions", "done", "points", "due", "note", "updated"]
TYPES = ["int8", "int8", "text", "text", "text", "int4", "bool", "float8", "timestamptz", "text", "timestamptz"]
WRITES = 500
"""Transactions a second of the writer."""


def lines(on: Stage, *, rows: int, rounds: int) -> list[Line]:
    """At full throttle into an empty collection."""
    ours, bare, marking, working = [], [], 0.0, 0.0
    for _ in range(rounds):
        bare.append(rows / _bare(on, rows))
        seconds, marker, relay = _ours(on, rows)
        ours.append(rows / seconds)
        marking, working = max(marking, marker), max(working, relay)
    ratio = median([a / b for a, b in zip(ours, bare, strict=True)])
    told = f"{median(ours):,.0f}/s, {median(bare):,.0f}/s"
    return [
        Line(f"backfill of {rows:,} rows at full throttle: against bare COPY and insert_many", ratio, ">=", 0.5, told),
        Line("… memory of the marking process, MB", marking, "<", 300),
        Line("… memory of the worker, MB", working, "<", 300),
    ]


def beside(on: Stage, *, rows: int, seconds: float, rounds: int) -> list[Line]:
    """A writer at 500 transactions a second, without and beside a backfill at its default pace."""
    ratios, told = [], []
    for _ in range(rounds):
        _filled(on, rows)
        with worker(on) as running:
            running.drained()
            alone = percentile(_writing(on, seconds, rows), 0.99)
            with _marker(on, "default") as marker:
                assert marker.stdin
                marker.stdin.write("go\n")
                marker.stdin.flush()
                time.sleep(1)
                together = percentile(_writing(on, seconds, rows), 0.99)
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


def _ours(on: Stage, rows: int) -> tuple[float, float, float]:
    """Seconds until every document is there; megabytes of the marking process and of the worker."""
    _filled(on, rows)
    with on.sql() as conn, on.client() as client, worker(on) as running, _marker(on, "full") as marker:
        assert marker.stdin
        assert marker.stdout
        running.drained()
        began = time.perf_counter()
        marker.stdin.write("go\n")
        marker.stdin.flush()
        said = json.loads(marker.stdout.readline())
        while conn.execute(SQL["waiting"]).fetchone() != (False,):
            time.sleep(0.05)
        took = time.perf_counter() - began
        assert said["marked"] == rows
        assert client.bench.todos.count_documents({}) == rows
        return took, said["megabytes"], _peak(running.process.pid)


def _filled(on: Stage, rows: int) -> None:
    """Rows that were there before Syncline was, and nothing that is done for them yet."""
    on.reset(rows=rows, captured=False)
    asyncio.run(install_todo(on.postgres.url))
    with on.sql() as conn:
        conn.execute("DELETE FROM syncline.task")


@contextlib.contextmanager
def _marker(on: Stage, pace: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.backfill", on.postgres.url, on.mongo.url, pace],
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


def _writing(on: Stage, seconds: float, rows: int) -> list[float]:
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


def _peak(pid: int | str = "self") -> float:
    """Highest resident memory of a process so far, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1e3


async def main(source: str, target_url: str, pace: str) -> None:
    settings = Settings(SourceSettings(url=source), TargetSettings(url=target_url, database="bench"), entities=(TODO,))
    target = MongoTarget(target_url, "bench")
    options = {"full_throttle": True} if pace == "full" else {}
    async with wiring.opened_source(settings, keyed=True) as connection:
        plans = await wiring.open_plans(settings, connection)
        runner = Runner(connection, "00000000-0000-4000-8000-000000000001", plans.by_id, target)
        print("ready", flush=True)
        sys.stdin.readline()
        began = time.perf_counter()
        progress = await runner.run(await runner.tasks.request(TaskKind.BACKFILL, 1, "benchmark", options))
        took = time.perf_counter() - began
    assert progress
    print(json.dumps({"marked": progress.marked, "seconds": took, "megabytes": _peak()}), flush=True)
    await target.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
