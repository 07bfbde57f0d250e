"""The stage of a damage run: both engines, two tables of rows that are synced, a worker, and the commands."""

from __future__ import annotations

import contextlib
import math
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import bson
import psycopg
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.database import Database

from tests import engines
from tests.chaos.commands import command, line

DATABASE = "damage"
CODEC = bson.CodecOptions[dict[str, Any]](uuid_representation=bson.binary.UuidRepresentation.STANDARD)
COLLECTIONS = ("item", "visit")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OURS = ("_originalId", "_source", "_syncedAt", "_v")

TABLES = """
CREATE TABLE item (
    id bigint PRIMARY KEY, code text NOT NULL UNIQUE, count integer NOT NULL, big bigint NOT NULL,
    ratio double precision NOT NULL, price numeric(20, 4) NOT NULL, label text, active boolean NOT NULL,
    seen timestamptz NOT NULL, data jsonb NOT NULL, tags text[] NOT NULL, raw bytea NOT NULL
);
CREATE TABLE visit (site integer, day text, hits integer NOT NULL, note text, PRIMARY KEY (site, day));
"""
ITEM = """
SELECT i, 'c' || i, i %% 1000 + 2, i + 2 ^ 60,
    CASE i %% 10 WHEN 0 THEN 'NaN' WHEN 1 THEN '-0' WHEN 2 THEN 0 ELSE i / 7.0 END, i / 100.0 + 0.1,
    CASE WHEN i %% 13 > 0 THEN 'label ' || i END, i %% 2 = 0, timestamptz '2020-01-01Z' + i * interval '1.003 s',
    jsonb_build_object('a', jsonb_build_object('b', i, 'c', 'x' || i), 'list',
        jsonb_build_array(i, 'y', NULL, jsonb_build_object('z', i)), 'on', true),
    ARRAY['t' || i, 'u', 'v' || i %% 7], int8send(i)
"""
VISIT = "SELECT i / 10, 'd' || i %% 10, i %% 100 + 2, 'note ' || i "
CONFIG = """
[source]
url = "{source}"
[target]
url = "{target}"
database = "damage"
timeout_seconds = 5
[worker]
grace_seconds = 12
max_batch_age_seconds = 2
[entities.item]
[[entities.item.indexes]]
keys = "code"
unique = true
[entities.visit]
"""


@dataclass(frozen=True)
class Stage:
    """Where everything is."""

    source: str
    items: int
    visits: int
    folder: Path
    docs: Database[dict[str, Any]]

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the source as the application does."""
        return psycopg.connect(self.source, autocommit=True)

    def command(self, *words: str, ok: tuple[int, ...] = (0,)) -> tuple[int, Any]:
        """Run a command of Syncline with ``--json``; return its exit status and what it printed.

        Raises:
            CommandError: it ended in another way.

        """
        return command(self.folder / "syncline.toml", *words, ok=ok)

    def settled(self) -> None:
        """Wait until nothing is on its way, the backfill of the installation included: it would mend damage done meanwhile."""
        waiting = "SELECT EXISTS (SELECT FROM syncline.waiting) OR EXISTS (SELECT FROM syncline.task)"
        with self.connect() as connection:
            while connection.execute(waiting).fetchone() != (False,):
                time.sleep(0.1)

    def line(self, *words: str) -> list[str]:
        """Give the command line."""
        return line(self.folder / "syncline.toml", *words)


@contextlib.contextmanager
def stage(rows: int) -> Iterator[Stage]:
    """Fill the tables, install, start a worker and copy everything; three quarters are items, one quarter visits."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-damage-", dir="/tmp"))
    size = {"shared_buffers": "128MB", "max_wal_size": "1GB"} if rows > 100_000 else {}
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = stack.enter_context(engines.running_postgres(settings=size))
        mongo = stack.enter_context(engines.running_mongo(cache_mb=512 if rows > 100_000 else 256))
        client = stack.enter_context(MongoClient[dict[str, Any]](mongo.url))
        made = Stage(postgres.url, rows * 3 // 4, rows - rows * 3 // 4, folder, client.get_database(DATABASE, CODEC))
        (folder / "syncline.toml").write_text(CONFIG.format(source=postgres.url, target=mongo.url))
        with made.connect() as connection:
            connection.execute(TABLES)
            connection.execute("INSERT INTO item " + ITEM + "FROM generate_series(1, %s) AS i", (made.items,))
            connection.execute("INSERT INTO visit " + VISIT + "FROM generate_series(1, %s) AS i", (made.visits,))
            connection.execute("ANALYZE")
        made.command("install", "--yes")
        log = stack.enter_context((folder / "worker.log").open("wb"))
        worker = subprocess.Popen(made.line("worker"), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        stack.callback(worker.wait)
        stack.callback(worker.terminate)
        made.command("backfill", "--full-throttle")
        made.settled()
        yield made


def expected(collection: str, row: tuple[Any, ...]) -> dict[str, Any]:
    """Compute the document of a row (all columns in order), without our mapping and without our own fields."""
    if collection == "visit":
        site, day, hits, note = row
        return {"_id": {"site": site, "day": day}, "site": site, "day": day, "hits": hits, "note": note}
    id_, code, count, big, ratio, price, label, active, seen, data, tags, raw = row
    return {
        "_id": id_, "code": code, "count": count, "big": big, "ratio": ratio, "price": Decimal128(price), "label": label,
        "active": active, "seen": (seen - EPOCH) // timedelta(milliseconds=1), "data": data, "tags": tags, "raw": raw,
    }  # fmt: skip


def plain(document: dict[str, Any]) -> dict[str, Any]:
    """Take our own fields off a document, and write its time as ``expected`` does."""
    document = {name: value for name, value in document.items() if name not in OURS}
    if isinstance(document.get("seen"), datetime):
        document["seen"] = int(DatetimeMS(document["seen"]))
    return document


def encoded(document: dict[str, Any]) -> bytes:
    """Encode for a comparison that tells types, -0.0 and the order of arrays apart, but not what counts for nothing."""
    return bson.encode({"": _tidy(document)}, codec_options=CODEC)


def _tidy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tidy(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if isinstance(value, Int64):
        return int(value)
    if isinstance(value, Decimal128):
        return Decimal128(value.to_decimal().normalize())
    return math.nan if isinstance(value, float) and math.isnan(value) else value


def unlike(made: Stage) -> list[str]:
    """Compare everything, row by row; nobody may be writing.

    Returns:
        The records that differ, at most ten, with both sides.

    """
    found: list[str] = []
    for collection, order in (("item", "id"), ("visit", 'site, day COLLATE "C"')):
        there = iter(made.docs[collection].find().sort("_id", 1).batch_size(5000))
        with made.connect() as connection, connection.transaction(), connection.cursor("walk") as cursor:
            cursor.itersize = 5000
            for row in cursor.execute(f"SELECT * FROM {collection} ORDER BY {order}"):  # type: ignore[arg-type]
                wanted, document = expected(collection, row), next(there, {})
                if document.get("_v") is None or encoded(wanted) != encoded(plain(document)):
                    found.append(f"{collection}: {wanted}\n{document}")
                if len(found) == 10:
                    return found
        found += [f"{collection}: no row has {document}" for document in there]
    return found
