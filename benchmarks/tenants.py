"""Many small sources in one worker: what it costs while nothing happens, and what a change waits for.

``python -m benchmarks.tenants N`` measures N of them instead of those of ``make bench``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from benchmarks.companions import companion
from benchmarks.product import install_links
from benchmarks.report import Line, machine, percentile
from benchmarks.stage import SQL, Sizes, Stage, cpu_seconds, resident_megabytes, stage

TENANTS = 50
SETTLE_SECONDS = 75.0
"""After so long every link is at rest: the last changes, the grace of second deletes, looks that become seldom."""
CONNECTIONS_EACH = 8
ALONE = 7
"""So many times as long one source alone is changed: of the changes of a few seconds p99 would be the longest."""


def file_of(on: Stage, urls: dict[str, str]) -> str:
    """Write a configuration with a link for each."""
    links = [
        f'[links.{name}.source]\nurl = "{url}"\n'
        f'[links.{name}.target]\nurl = "{on.mongo.url}"\ndatabase = "{name}"\n'
        f'[links.{name}.entities.todo]\ntable = "todo"\ncollection = "{name}"\n'
        for name, url in urls.items()
    ]
    file = on.folder / f"tenants-{len(urls)}.toml"
    file.write_text("".join(links), encoding="utf-8")
    return str(file)


@contextlib.contextmanager
def tenants(on: Stage, count: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Make so many databases with a record each, and give the file that has a link for each, and their URLs."""
    names = [f"t{number:03d}" for number in range(count)]
    urls = {}
    with on.sql() as conn:
        for name in names:
            conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            urls[name] = urlsplit(on.postgres.url)._replace(path=f"/{name}").geturl()
    at_each(urls, "table")
    file = file_of(on, urls)
    asyncio.run(install_links(file))
    at_each(urls, "fill", first=1, last=1)
    try:
        yield file, urls
    finally:
        with on.sql() as conn, on.client() as client:
            for name in names:
                conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
                client.drop_database(name)


def at_each(urls: dict[str, str], statement: str, **values: int) -> None:
    """Run a statement in each database."""
    for url in urls.values():
        with psycopg.connect(url, autocommit=True) as conn:
            conn.execute(SQL[statement], values)


@contextlib.contextmanager
def serving(file: str) -> Iterator[subprocess.Popen[str]]:
    """Run the worker."""
    process = companion([sys.executable, "-m", "benchmarks.tenants_worker", file], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def seen_by(process: subprocess.Popen[str]) -> dict[str, float]:
    """Ask the worker when it wrote what."""
    assert process.stdout is not None
    process.send_signal(signal.SIGUSR1)
    seen: dict[str, float] = json.loads(process.stdout.readline())
    return seen


def until_served(process: subprocess.Popen[str], urls: dict[str, str]) -> float:
    """Wait until each tenant's record has arrived; seconds."""
    began, left = time.monotonic(), set(urls)
    while left:
        time.sleep(0.2)
        left -= {change.partition("/")[0] for change in seen_by(process)}
        if process.poll() is not None:
            raise RuntimeError("the worker ended")
    return time.monotonic() - began


def at_rest(on: Stage, process: subprocess.Popen[str], seconds: float) -> dict[str, float]:
    """What it costs while nothing happens."""
    time.sleep(SETTLE_SECONDS)
    with on.sql() as conn:
        counted = "SELECT sum(xact_commit) FROM pg_stat_database WHERE datname LIKE 't___'"
        conn.execute("SELECT pg_sleep(1.1)")
        before, began, used = conn.execute(counted).fetchone(), time.monotonic(), cpu_seconds(process.pid)
        time.sleep(seconds)
        took, spent = time.monotonic() - began, cpu_seconds(process.pid) - used
        conn.execute("SELECT pg_sleep(1.1)")
        after = conn.execute(counted).fetchone()
        connections = conn.execute("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 't___'").fetchone()
    assert before
    assert after
    assert connections
    return {
        "cpu": spent / took * 100,
        "megabytes": resident_megabytes(process.pid),
        "transactions": float(after[0] - before[0]) / took,
        "connections": connections[0],
    }


def waited(process: subprocess.Popen[str], urls: dict[str, str], seconds: float) -> tuple[list[float], list[float]]:
    """Change each tenant's record once a second; from commit to durable, in ms: the first in each, and all."""
    seen_by(process)
    committed: dict[str, float] = {}
    with contextlib.ExitStack() as stack:
        writers: dict[str, psycopg.Connection[Any]] = {
            name: stack.enter_context(psycopg.connect(url, autocommit=True)) for name, url in urls.items()
        }
        time.sleep(3)
        began = time.monotonic()
        for number in range(int(seconds) * len(writers)):
            due = began + number / len(writers)
            while (pause := due - time.monotonic()) > 0:
                time.sleep(pause)
            name, note = list(writers)[number % len(writers)], f"{number:012d}"
            writers[name].execute("UPDATE todo SET note = %s WHERE id = 1", (note,))
            committed[f"{name}/{note}"] = time.monotonic()
        time.sleep(5)
    seen = seen_by(process)
    took = {change: (seen[change] - at) * 1e3 for change, at in committed.items() if change in seen}
    assert len(took) > 0.95 * len(committed), (len(took), len(committed))
    woken = [took[change] for change in list(committed)[: len(urls)] if change in took]
    return woken, list(took.values())


def measured(
    on: Stage, count: int, seconds: float, *, changing: float
) -> tuple[dict[str, float], list[float], list[float]]:
    """So many in one worker: what it costs at rest for so long, and what changes wait for in so many seconds."""
    with tenants(on, count) as (file, urls), serving(file) as process:
        until_served(process, urls)
        rest = at_rest(on, process, seconds)
        return rest, *waited(process, urls, changing)


def lines(_: Stage, sizes: Sizes, count: int = TENANTS) -> list[Line]:
    """Beside one source alone; at rest, and with a change a second in each."""
    with stage(max_connections=50 + CONNECTIONS_EACH * count) as apart:
        one_rest, one_woken, one = measured(apart, 1, sizes.seconds, changing=ALONE * sizes.seconds)
        rest, woken, all_ = measured(apart, count, sizes.seconds, changing=sizes.seconds)
    cost = (
        f"{rest['megabytes']:,.0f} MB ({one_rest['megabytes']:,.0f} MB for one), {rest['connections']:.0f} connections,"
        f" {rest['transactions']:.0f} transactions a second ({one_rest['transactions']:.1f} for one)"
    )
    waits = ", ".join(
        f"p{part * 100:.0f} {percentile(one, part):.1f} ms alone, {percentile(all_, part):.1f} ms"
        for part in (0.5, 0.99)
    )
    waits += (
        f"; {len(one)} and {len(all_)} changes; the first after a rest: {max(one_woken, default=0):.1f} ms alone,"
        f" p50 {percentile(woken, 0.5):.1f} ms, at most {max(woken):.1f} ms"
    )
    of = f"{count} idle sources in one worker"
    return [
        Line(f"{of}, % of a core", rest["cpu"], "<", 10, f"{cost}; one alone {one_rest['cpu']:.2f} %"),
        Line(f"{of}, MB", rest["megabytes"], "<", 400),
        Line(
            f"a change a second in each of {count}: p99 against one source alone",
            percentile(all_, 0.99) / percentile(one, 0.99),
            "<=",
            2,
            waits,
        ),
    ]


if __name__ == "__main__":
    print(machine())
    with stage() as beside:
        for measured_line in lines(beside, Sizes(), *map(int, sys.argv[1:])):
            print(measured_line)
