"""Syncline as a user runs it: a file, the command, a worker in its own process."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bson
import psycopg
from bson.codec_options import CodecOptions, DatetimeConversion
from pymongo import MongoClient

MARKS = ("_originalId", "_source", "_syncedAt", "_v")
OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)

AT_ONCE = "UPDATE syncline.deferred SET due = clock_timestamp() WHERE due > clock_timestamp()"
_CONFIG = """
[source]
url = "{source}"
[target]
url = "{target}"
database = "{database}"
timeout_seconds = 3
[worker]
grace_seconds = 6
max_batch_age_seconds = 2
[log]
format = "json"
{entities}
"""


class Syncline:
    """One configuration and what runs with it."""

    def __init__(self, folder: Path, *, source: str, target: str, database: str, entities: str) -> None:
        self.config = folder / "syncline.toml"
        self.log = folder / "worker.log"
        self.source = source
        self.target = target
        self.database = database
        self.write(entities)

    def write(self, entities: str) -> None:
        """Write the configuration with these entities."""
        self.config.write_text(
            _CONFIG.format(source=self.source, target=self.target, database=self.database, entities=entities)
        )

    def call(self, *arguments: str, status: int = 0) -> str:
        """Run a command; its output, both streams."""
        done = subprocess.run(
            [sys.executable, "-m", "syncline.cli.main", *arguments, "-c", str(self.config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "COLUMNS": "300"},
        )
        assert done.returncode == status, f"{arguments}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def verify(self) -> Mapping[str, Any]:
        """Have everything proved equal."""
        return json.loads(self.call("verify", "--json"))

    @contextlib.contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker for a block; it must end in order."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "syncline.cli.main", "worker", "-c", self.config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            yield process
            process.terminate()
            assert process.wait(15) == 0, self.log.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()

    def drained(self, *, seconds: float = 90, parked: int = 0) -> None:
        """Wait until nothing waits: marks, second deletes, backfills.

        Second deletes are called due: nothing here is frozen, and no write is on its way that they would have to outlast.
        """
        until = time.monotonic() + seconds
        with psycopg.connect(self.source, autocommit=True) as connection:
            while True:
                connection.execute(AT_ONCE)
                waiting = connection.execute(
                    "SELECT (SELECT count(*) FROM syncline.waiting), (SELECT count(*) FROM syncline.deferred),"
                    " (SELECT count(*) FROM syncline.task)"
                ).fetchone()
                if waiting == (0, 0, 0):
                    break
                assert time.monotonic() < until, f"waiting: {waiting}\n{self.log.read_text()[-3000:]}"
                time.sleep(0.1)
            found = connection.execute("SELECT key, code, error FROM syncline.parked").fetchall()
            assert len(found) == parked, found

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """Read a collection: key text to document, our own marks checked and taken off."""
        with MongoClient[dict[str, Any]](self.target) as client:
            found = client[self.database].get_collection(collection, codec_options=OPTIONS).find().to_list()
        documents = {}
        for document in found:
            key, source, synced_at, ticket = (document.pop(name) for name in MARKS)
            assert (source, key) == ("postgresql", str(key))
            assert synced_at is not None
            assert ticket > 0
            documents[key] = document
        return documents


def differing(wanted: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Compare documents by the bytes of each field; say what differs."""
    lines = []
    for key in sorted(wanted.keys() | found.keys()):
        if key not in wanted or key not in found:
            lines.append(f"{key}: {'missing' if key in wanted else 'not in the source'}")
            continue
        for name in sorted(wanted[key].keys() | found[key].keys()):
            ours, theirs = wanted[key].get(name, "no such field"), found[key].get(name, "no such field")
            if _bytes(ours) != _bytes(theirs):
                lines.append(f"{key}.{name}: wanted {ours!r}, found {theirs!r}")
    return lines


def _bytes(value: Any) -> bytes:
    return bson.encode({"v": value}, codec_options=OPTIONS)
