"""The database engines that tests, chaos runs, mutants and benchmarks use: small, durable, and gone afterwards."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
from psycopg import sql
from pymongo import MongoClient

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres

POSTGRES_SETTINGS = {
    "shared_buffers": "32MB",
    "max_connections": 100,
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": 0,
    "autovacuum_max_workers": 1,
    "jit": "off",
}
"""A small footprint; ``fsync`` and ``synchronous_commit`` stay as they are by default, on."""
MONGO_CACHE_MB = 256
SHARED_POSTGRES, SHARED_MONGO = "SYNCLINE_SHARED_POSTGRES", "SYNCLINE_SHARED_MONGO"
"""URLs of servers that run: a test that starts pytest lends it those of its own session."""


def small_postgres(data_dir: Path, **options: Any) -> PrivatePostgres:
    """Prepare a server for tests; ``settings`` are added to ours."""
    settings = POSTGRES_SETTINGS | options.pop("settings", {})
    return PrivatePostgres(data_dir, settings=settings, **options)


def small_mongo(data_dir: Path, **options: Any) -> PrivateMongo:
    """Prepare a server for tests. The licence is accepted by who sets SYNCLINE_ACCEPT_SSPL, never by us."""
    return PrivateMongo(data_dir, **{"cache_mb": MONGO_CACHE_MB} | options)


MEMORY, DISK = Path("/dev/shm"), Path("/tmp")
MEMORY_BYTES = 4 << 30
"""So much must be free in memory for the folders of servers to be there."""
DATA = re.compile(r"syncline-data-(\d+)-")


def in_memory() -> None:
    """Have the folders of servers in memory, where there is room for them, and not on a disk.

    A server that is killed has written what it has acknowledged either way: only what a power cut does to a disk would
    be another thing, and no test can cut the power. Whoever measures leaves it.
    """
    global _where  # noqa: PLW0603
    with contextlib.suppress(OSError):
        _remove_abandoned()
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
            _where = MEMORY


_where = DISK


def _remove_abandoned() -> None:
    """What a process that was killed has left there takes memory until somebody removes it."""
    for folder in MEMORY.iterdir():
        if (made := DATA.match(folder.name)) and not Path(f"/proc/{made[1]}").exists():
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder for data and remove it, whatever happens inside."""
    folder = Path(tempfile.mkdtemp(prefix=f"syncline-data-{os.getpid()}-", dir=_where))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def running_postgres(**options: Any) -> Iterator[PrivatePostgres]:
    """Run a server of its own; the block may stop, kill and freeze it."""
    with scratch_folder() as folder:
        server = small_postgres(folder / "pg", **options)
        try:
            yield server.start()
        finally:
            server.kill()


@contextlib.contextmanager
def running_mongo(**options: Any) -> Iterator[PrivateMongo]:
    """Run a server of its own; the block may stop, kill and freeze it."""
    with scratch_folder() as folder:
        server = small_mongo(folder / "mongo", **options)
        try:
            yield server.start()
        finally:
            server.kill()


@dataclass(frozen=True)
class Shared:
    """A server of another process."""

    url: str


@contextlib.contextmanager
def shared_postgres() -> Iterator[PrivatePostgres]:
    """Take the server that ``SHARED_POSTGRES`` names, or run one; nobody may stop, kill or freeze it."""
    if url := os.environ.get(SHARED_POSTGRES):
        yield cast("PrivatePostgres", Shared(url))
        return
    with running_postgres() as server:
        yield server


@contextlib.contextmanager
def shared_mongo() -> Iterator[PrivateMongo]:
    """Take the server that ``SHARED_MONGO`` names, or run one; nobody may stop, kill or freeze it."""
    if url := os.environ.get(SHARED_MONGO):
        yield cast("PrivateMongo", Shared(url))
        return
    with running_mongo() as server:
        yield server


@contextlib.contextmanager
def fresh_database(server_url: str) -> Iterator[str]:
    """Create an empty database, yield its URL and drop it with the sessions that are left."""
    name = f"t_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        # Copying files takes two checkpoints: less work than the log of all pages, where no disk must be waited for.
        strategy = "file_copy" if _where == MEMORY else "wal_log"
        strategy = f"STRATEGY {strategy}" if connection.info.server_version >= 150000 else ""
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 {}")
        connection.execute(create.format(sql.Identifier(name), sql.SQL(strategy)))
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@contextlib.contextmanager
def fresh_mongo_database(server_url: str) -> Iterator[str]:
    """Yield a name that no database has, and drop what was created under it."""
    name = f"t_{uuid4().hex[:12]}"
    try:
        yield name
    finally:
        with MongoClient(server_url, serverSelectionTimeoutMS=5000) as client:
            client.drop_database(name)
