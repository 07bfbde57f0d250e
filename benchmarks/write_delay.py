"""What writers feel of an installation while others hold its tables: the longest delay of a write.

``python -m benchmarks.write_delay`` prints milliseconds.
"""

from __future__ import annotations

import subprocess
import threading
import time

import psycopg

from benchmarks.entities import command_line, configuration, environment, prepare
from benchmarks.report import Line, percentile
from benchmarks.stage import SQL, Sizes, Stage, stage
from syncline.cli.partly import PARTLY

TABLES = 6
HOLDERS = (
    "SELECT FROM small_0000",
    "UPDATE small_0001 SET done = true",
    "LOCK TABLE small_0002 IN SHARE UPDATE EXCLUSIVE MODE",
)
WAIT = 8.0
"""Seconds for which the installation tries again."""


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """The longest delay of the rounds, and of an installation on a table of a thousand partitions."""
    waits = [wait for _ in range(sizes.rounds) for wait in measure(on)]
    told = f"{len(waits):,} writes, p99 {percentile(waits, 0.99):.1f} ms, three held {len(HOLDERS)} of {TABLES} tables"
    among = partitioned(on)
    told_among = f"{len(among):,} writes, p99 {percentile(among, 0.99):.1f} ms"
    return [
        Line("longest write beside an installation, ms", max(waits), "<", 500, told),
        Line("… on a table of 1,000 partitions, ms", max(among), "<", 500, told_among),
    ]


def measure(on: Stage) -> list[float]:
    """Milliseconds of every write, on the tables that others hold and on the rest."""
    prepare(on, TABLES)
    holders = [psycopg.connect(on.postgres.url, application_name="reporting") for _ in HOLDERS]
    try:
        for holder, statement in zip(holders, HOLDERS, strict=True):
            holder.execute(statement)  # type: ignore[arg-type]  # ours
        return _beside(on, TABLES, wait=WAIT, status=PARTLY)
    finally:
        for holder in holders:
            holder.close()


def partitioned(on: Stage) -> list[float]:
    """Milliseconds of every write, each into another partition."""
    prepare(on, 1)
    with on.sql() as conn:
        conn.execute(SQL["partitioned"])
    return _beside(on, 1, wait=60.0, status=0)


def _beside(on: Stage, tables: int, *, wait: float, status: int) -> list[float]:
    """Install while a session a table writes."""
    file = configuration(on, tables)
    ended, waits = threading.Event(), list[float]()
    writers = [threading.Thread(target=_write, args=(on.postgres.url, n, ended, waits)) for n in range(tables)]
    try:
        for writer in writers:
            writer.start()
        install = command_line(file, "install", "--yes", "--wait", str(wait))
        done = subprocess.run(install, capture_output=True, check=False, env=environment(), text=True)
        assert done.returncode == status, done.stdout + done.stderr
    finally:
        ended.set()
        for writer in writers:
            writer.join()
    return waits


def _write(url: str, number: int, ended: threading.Event, waits: list[float]) -> None:
    with psycopg.connect(url, autocommit=True) as conn:
        key = 1_000_000
        while not ended.is_set():
            key += 1
            began = time.perf_counter()
            conn.execute(f"INSERT INTO small_{number:04} (id, owner, title) VALUES ({key}, 1, 'x')")  # type: ignore[arg-type]
            waits.append((time.perf_counter() - began) * 1e3)
            time.sleep(0.01)


if __name__ == "__main__":
    with stage() as on:
        for line in lines(on, Sizes(rounds=1)):
            print(line)
