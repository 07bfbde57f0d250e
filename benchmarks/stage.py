"""The stage of every benchmark: two engines, one table of 300-byte rows, a worker in its own process."""

from __future__ import annotations

import asyncio
import contextlib
import json
import multiprocessing
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psycopg
import pymongo

from benchmarks.companions import companion
from benchmarks.product import install_todo

_PARTS = re.split(r"^-- name: (\w+)\n", Path(__file__).with_name("schema.sql").read_text("utf-8"), flags=re.MULTILINE)
SQL: dict[str, LiteralString] = dict(zip(_PARTS[1::2], _PARTS[2::2], strict=True))


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    rows: int = 200_000
    large: int = 1_000_000
    """Rows of a table for a backfill or a verification."""
    rounds: int = 3
    seconds: float = 15.0
    entities: int = 500


QUICK = Sizes(50_000, 200_000, 1, 4.0, 60)


class Server(Protocol):
    """A running engine."""

    @property
    def url(self) -> str: ...

    @property
    def pid(self) -> int | None: ...


@dataclass
class Stage:
    """Two running engines."""

    postgres: Server
    mongo: Server
    folder: Path

    def sql(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.postgres.url, autocommit=True)

    def client(self) -> pymongo.MongoClient[dict[str, Any]]:
        return pymongo.MongoClient(self.mongo.url, uuidRepresentation="standard")

    def reset(self, *, rows: int = 0, captured: bool = True) -> None:
        """Empty both sides, make the table anew, install (or not) and fill it."""
        with self.sql() as conn, self.client() as client:
            client.drop_database("bench")
            conn.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
            conn.execute("DROP TABLE IF EXISTS todo CASCADE")
            conn.execute(SQL["table"])
            if captured:
                asyncio.run(install_todo(self.postgres.url))
            if rows:
                conn.execute(SQL["fill"], {"first": 1, "last": rows})
            conn.execute("VACUUM ANALYZE")
            conn.execute("CHECKPOINT")


@contextlib.contextmanager
def stage(**more: Any) -> Iterator[Stage]:
    """Start both engines in a temporary folder; ``more`` are settings of PostgreSQL's."""
    from syncline.embedded import PrivateMongo, PrivatePostgres

    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as name:
        folder = Path(name)
        settings = {"shared_buffers": "256MB", "max_wal_size": "4GB", "checkpoint_timeout": "30min", **more}
        with PrivatePostgres(folder / "pg", settings=settings) as postgres, PrivateMongo(folder / "mongo") as mongo:
            yield Stage(postgres, mongo, folder)


class Worker:
    """A worker process that tells when it did what (``benchmarks.worker``).

    ``keys``: up to this one each record by itself.
    """

    def __init__(self, on: Stage, *, target: str = "", history: str = "off", keys: int = 0) -> None:
        arguments = [
            sys.executable,
            "-m",
            "benchmarks.worker",
            on.postgres.url,
            target or on.mongo.url,
            history,
            str(keys),
        ]
        self.process = companion(arguments, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.process.stdout.readline()

    def drained(self) -> dict[str, Any]:
        """Wait until it has had nothing to do for a second; what it did since the last call."""
        os.kill(self.process.pid, signal.SIGUSR1)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("the worker ended")
        done: dict[str, Any] = json.loads(line)
        return done

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@contextlib.contextmanager
def worker(on: Stage, **options: Any) -> Iterator[Worker]:
    running = Worker(on, **options)
    try:
        yield running
    finally:
        running.stop()


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def server_seconds(server: Server) -> float:
    """User and system time of a server so far, of its sessions that have ended too."""
    from syncline.embedded.process import family_of

    spent = 0.0
    for pid in [] if server.pid is None else family_of(server.pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            spent += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return spent


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def timed(function: Any, *arguments: Any) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - began


SPAWN = multiprocessing.get_context("spawn")
