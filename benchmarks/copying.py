"""The initial copy of a PostgreSQL target: against psycopg's own binary COPY piped into COPY, in a process like it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from benchmarks.backfill import WRITES, writing
from benchmarks.figure import peak_megabytes
from benchmarks.report import Line, median, percentile
from benchmarks.stage import SPAWN, SQL, Sizes, Stage

OTHER = "bench_copy"


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Copy two large tables' rows, one range at a time and without a rate, beside a bare pipe of the same rows."""
    rows = sizes.large * 2
    ratios, costs, speeds, peak = [], [], [], 0.0
    with _target(on, rows) as target:
        for _ in range(sizes.rounds):
            bare, _, _ = _apart(target, piped, on.postgres.url, target)
            ours, cpu, megabytes = _apart(target, copied, on.postgres.url, target, str(on.folder))
            ratios.append(bare / ours)
            costs.append(cpu / rows * 1e6)
            speeds.append((rows / ours, rows / bare))
            peak = max(peak, megabytes)
    ours, bare = (median(list(column)) for column in zip(*speeds, strict=True))
    return [
        Line(f"copy of {rows:,} rows: against a bare binary pipe", median(ratios), ">=", 0.85,
             f"{ours:,.0f}/s, {bare:,.0f}/s"),
        Line("… its processor time, µs a row", median(costs), "<=", 0.6),
        Line("… its memory at most, MB", peak, "<", 100),
    ]  # fmt: skip


def beside(on: Stage, sizes: Sizes) -> list[Line]:
    """A writer, without and beside a copy of the table at its default pace, again and again."""
    rows, ratios, told = sizes.rows * 4, [], []
    with _target(on, rows):
        for _ in range(sizes.rounds):
            alone = percentile(writing(on, sizes.seconds, rows), 0.99)
            copying = SPAWN.Process(target=paced, args=(str(on.folder),), daemon=True)
            copying.start()
            time.sleep(1)
            together = percentile(writing(on, sizes.seconds, rows), 0.99)
            copying.kill()
            copying.join()
            ratios.append(together / alone)
            told.append(f"{together:.2f} against {alone:.2f} ms")
    what = f"p99 of a writer at {WRITES}/s beside a copy at the default pace: against alone"
    return [Line(what, median(ratios), "<=", 1.5, "; ".join(told))]


@contextmanager
def _target(on: Stage, rows: int) -> Iterator[str]:
    """Make a second database with the table, and a link to it."""
    on.reset(rows=rows, captured=False)
    target = urlsplit(on.postgres.url)._replace(path=f"/{OTHER}").geturl()
    with on.sql() as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {OTHER}")
        conn.execute(f"CREATE DATABASE {OTHER}")
    try:
        with psycopg.connect(target, autocommit=True) as conn:
            conn.execute(SQL["table"])
        asyncio.run(_installed(on.postgres.url, target, on.folder))
        yield target
    finally:
        with on.sql() as conn:
            conn.execute(f"DROP DATABASE {OTHER} WITH (FORCE)")


async def _installed(source: str, target: str, folder: Path) -> None:
    from syncline.capture.postgres.install import InstallOptions, install, plan
    from syncline.config import load

    file = folder / "copy.toml"
    file.write_text(f'[source]\nurl = "{source}"\n[target]\nurl = "{target}"\n[entities.todo]\n')
    async with await psycopg.AsyncConnection.connect(source, autocommit=True) as conn:
        await install(conn, await plan(conn, load(file).entities, InstallOptions()))


def _apart(
    target: str, measure: Callable[..., tuple[float, float, float]], *arguments: str
) -> tuple[float, float, float]:
    """Measure in a process of its own, into an empty table: seconds, seconds of its processor, its memory."""
    with psycopg.connect(target, autocommit=True) as conn:
        conn.execute("TRUNCATE todo")
        conn.execute("CHECKPOINT")
    with SPAWN.Pool(1) as pool:
        return pool.apply(measure, arguments)


def piped(source: str, target: str) -> tuple[float, float, float]:
    """Pipe by psycopg's own means."""
    with psycopg.connect(source) as here, psycopg.connect(target) as there:
        began, cpu = time.monotonic(), time.process_time()
        with (
            here.cursor().copy("COPY todo TO STDOUT (FORMAT binary)") as out,
            there.cursor().copy("COPY todo FROM STDIN (FORMAT binary)") as into,
        ):
            for data in out:
                into.write(data)
        there.commit()
        return time.monotonic() - began, time.process_time() - cpu, peak_megabytes()


def paced(folder: str) -> None:
    """Copy as ``syncline copy --replace`` does, until it is ended."""
    from syncline.config import load
    from syncline.copying.pace import Pacing
    from syncline.wiring.copying import opened_copier

    async def run() -> None:
        while True:
            async with opened_copier(load(Path(folder) / "copy.toml"), Pacing()) as (copier, plans):
                await copier.run(list(plans.by_id.values()), replace=True)

    asyncio.run(run())


def copied(_source: str, _target: str, folder: str) -> tuple[float, float, float]:
    """Copy as ``syncline copy --rate 0 --replace`` does."""
    from syncline.config import load
    from syncline.copying.pace import Pacing
    from syncline.executing.collector import tune_garbage_collection
    from syncline.wiring.copying import opened_copier

    async def run() -> tuple[float, float]:
        async with opened_copier(load(Path(folder) / "copy.toml"), Pacing(None)) as (copier, plans):
            tune_garbage_collection()
            began, cpu = time.monotonic(), time.process_time()
            (progress,) = await copier.run(list(plans.by_id.values()), replace=True)
            assert progress.finished
            return time.monotonic() - began, time.process_time() - cpu

    return (*asyncio.run(run()), peak_megabytes())
