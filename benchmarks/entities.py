"""Hundreds of entities: how long each command takes, and how long until the first rows are visible.

``python -m benchmarks.entities [COUNT…]`` prints seconds for so many tables, of whatever Syncline is on the path.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from benchmarks.companions import companion
from benchmarks.figure import Figure
from benchmarks.report import Line
from benchmarks.stage import SQL, Sizes, Stage, stage

ROWS = 10_000
"""Rows of all tables together."""
BOUNDS = {"install": 10, "install again": 2, "status": 1, "doctor": 5, "first rows": 20, "uninstall": 10}
"""Seconds, for 500 tables."""
PATIENCE = 600.0


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Each command with hundreds of entities."""
    took = measure(on, sizes.entities)
    return [
        Line(f"{sizes.entities} entities, {ROWS:,} rows: {what}, s", took[what].seconds, "<", bound)
        for what, bound in BOUNDS.items()
    ]


def measured(on: Stage, sizes: Sizes) -> list[Figure]:
    """The same, as figures that are compared with another commit's."""
    took = measure(on, sizes.entities)
    return [
        Figure(f"{sizes.entities} entities: {what}", one.seconds, "s", one.cpu / sizes.entities * 1e6, 0.0)
        for what, one in took.items()
    ]


@dataclass(frozen=True)
class Took:
    """Seconds of a command, and of the processor in its processes."""

    seconds: float
    cpu: float


def measure(on: Stage, count: int) -> Mapping[str, Took]:
    """Make tables and go through the life of an installation; what each command took."""
    prepare(on, count)
    return dict(_life(on, configuration(on, count)))


def _life(on: Stage, file: Path) -> Iterator[tuple[str, Took]]:
    steps: Mapping[str, Callable[[], float]] = {
        "install": lambda: command(file, "install", "--yes"),
        "install again": lambda: command(file, "install", "--yes"),
        "first rows": lambda: first_rows(on, file),
        "status": lambda: command(file, "status", statuses=(0, 1, 2)),
        "doctor": lambda: command(file, "doctor", statuses=(0, 1, 2)),
        "uninstall": lambda: command(file, "uninstall", "--yes"),
    }
    for what, step in steps.items():
        used = _children()
        seconds = step()
        yield what, Took(seconds, _children() - used)


def _children() -> float:
    """Processor seconds of the processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def prepare(on: Stage, count: int) -> None:
    """Make the tables, with a few rows each."""
    with on.sql() as conn, on.client() as client:
        client.drop_database("bench")
        conn.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
        conn.execute("DROP TABLE IF EXISTS todo CASCADE")
        for number in range(count):
            name = sql.Identifier(f"small_{number:04}")
            conn.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(name))
            conn.execute(sql.SQL(SQL["small"]).format(name=name))
            conn.execute(sql.SQL(SQL["fill_small"]).format(name=name), {"rows": ROWS // count})
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")


def configuration(on: Stage, count: int) -> Path:
    """Write a file with an entity per table, each with an index."""
    parts = ["[source]", f'url = "{on.postgres.url}"', "[target]", f'url = "{on.mongo.url}"', 'database = "bench"']
    for number in range(count):
        name = f"small_{number:04}"
        parts += [f"[entities.{name}]", f'table = "{name}"', f'collection = "{name}"']
        parts += [f"[[entities.{name}.indexes]]", 'keys = ["owner"]']
    file = on.folder / "entities.toml"
    file.write_text("\n".join(parts))
    return file


def command(file: Path, *arguments: str, statuses: tuple[int, ...] = (0,)) -> float:
    """Run a command to its end, in a process of its own as its users do; seconds."""
    began = time.perf_counter()
    done = subprocess.run(
        command_line(file, *arguments), capture_output=True, text=True, check=False, env=environment()
    )
    took = time.perf_counter() - began
    if done.returncode not in statuses:
        raise RuntimeError(f"{arguments}: status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return took


def first_rows(on: Stage, file: Path) -> float:
    """Start a worker after the installation; seconds until as many documents as rows are there."""
    began = time.perf_counter()
    log = (on.folder / "worker.log").open("w")
    running = companion(command_line(file, "worker"), stdout=log, stderr=log, env=environment())
    try:
        with on.sql() as conn, on.client() as client:
            (wanted,) = conn.execute(SQL["small_rows"]).fetchone() or (0,)
            while _documents(client.bench) < wanted:
                if running.poll() is not None or time.perf_counter() - began > PATIENCE:
                    raise RuntimeError(f"not all came: {(on.folder / 'worker.log').read_text()[-3000:]}")
                time.sleep(0.2)
        return time.perf_counter() - began
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)
        log.close()


def _documents(database: object) -> int:
    names = [name for name in database.list_collection_names() if name.startswith("small_")]  # type: ignore[attr-defined]
    return sum(database[name].estimated_document_count() for name in names)  # type: ignore[index]


def command_line(file: Path, *arguments: str) -> list[str]:
    """Give the command line of ``syncline``."""
    return [sys.executable, "-m", "syncline.cli.main", *arguments, "--config", str(file)]


def environment() -> dict[str, str]:
    """Give this environment without addresses of databases."""
    return {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "MONGODB_URL")}


def main(counts: list[int]) -> None:
    """Print seconds for so many tables."""
    with stage() as on:
        for count in counts or [Sizes().entities]:
            print(f"{count} entities", flush=True)
            prepare(on, count)
            for what, took in _life(on, configuration(on, count)):
                print(f"  {what:15} {took.seconds:8.2f} s, {took.cpu:.2f} of the processor", flush=True)


if __name__ == "__main__":
    main([int(count) for count in sys.argv[1:]])
