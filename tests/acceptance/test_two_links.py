"""One database, two links, one worker: Chinook and a table with every type, to another PostgreSQL and to MongoDB at once."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests import engines
from tests.acceptance import test_chinook
from tests.acceptance.running import AT_ONCE, Syncline, differing
from tests.acceptance.test_chinook import DATA, KEYS, change, expected
from tests.acceptance.test_every_type import TABLES, Everything

pytestmark = test_chinook.pytestmark
ENTITIES = (*KEYS, "everything")
LINKS = ("rows", "collections")
CONFIG = """
[source]
url = "{source}"
[worker]
grace_seconds = 9
max_batch_age_seconds = 2
[log]
format = "json"
[links.rows.target]
url = "{other}"
timeout_seconds = 5
[links.collections.target]
url = "{mongo}"
database = "{name}"
timeout_seconds = 5
{entities}
"""


class Links(Syncline):
    """A file with both links."""

    def __init__(self, folder: Path, *, source: str, other: str, mongo: str, name: str) -> None:
        super().__init__(folder, source=source, target=mongo, database=name, entities="")
        entities = "".join(f"[links.{link}.entities.{table}]\n" for link in LINKS for table in ENTITIES)
        self.config.write_text(CONFIG.format(source=source, other=other, mongo=mongo, name=name, entities=entities))

    def drained(self, *, seconds: float = 90, parked: int = 0) -> None:
        """Wait until nothing waits in either link; nothing may be parked."""
        until = time.monotonic() + seconds
        counts = [
            f"(SELECT count(*) FROM syncline_{link}.{table})"
            for link in LINKS
            for table in ("outbox", "deferred", "task")
        ]
        with psycopg.connect(self.source, autocommit=True) as connection:
            while True:
                connection.execute(AT_ONCE.replace("syncline.", "syncline_collections."))
                waiting = connection.execute(f"SELECT {', '.join(counts)}").fetchone()
                if not any(waiting or ()):
                    break
                assert time.monotonic() < until, f"waiting: {waiting}\n{self.log.read_text()[-3000:]}"
                time.sleep(0.1)
            for link in LINKS:
                found = connection.execute(f"SELECT key, code, error FROM syncline_{link}.parked").fetchall()
                assert len(found) == parked, (link, found)


@pytest.fixture
def second(second_postgres) -> Iterator[str]:
    with engines.fresh_database(second_postgres.url) as url:
        yield url


def prepared(url: str, *, empty: bool) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute(DATA.read_text("utf-8"))
        connection.execute(TABLES)
        if empty:
            connection.execute(f"TRUNCATE {', '.join(ENTITIES)} CASCADE")


def contents(url: str, table: str) -> list[Any]:
    """Read a table as its types' output functions write it."""
    with psycopg.connect(url) as connection:
        return connection.execute(f'SELECT t::text FROM {table} AS t ORDER BY t::text COLLATE "C"').fetchall()


def test_rows_and_documents_of_one_database_at_the_same_time(database, second, mongo_url, mongo_db, tmp_path) -> None:
    """While writers write: the one link copied, the other one marked; both proved equal, and equal for an independent look."""
    prepared(database, empty=False)
    prepared(second, empty=True)
    links = Links(tmp_path, source=database, other=second, mongo=mongo_url, name=mongo_db)
    dice, stop = random.Random(20_262), threading.Event()
    with (
        psycopg.connect(database, autocommit=True) as connection,
        psycopg.connect(database, autocommit=True) as typed,
        ThreadPoolExecutor(2) as pool,
    ):
        everything = Everything(typed, random.Random(7))
        for _ in range(60):
            everything.put()
        links.call("install", "--yes", "--no-backfill", "--link", "rows")
        links.call("install", "--yes", "--link", "collections")

        def store() -> None:
            for _ in range(20):
                if not stop.is_set():
                    change(connection, dice, 50)

        def types() -> None:
            for number in range(400):
                if stop.is_set():
                    return
                (everything.put, everything.change, everything.delete, everything.rename)[number % 4]()

        with links.worker():
            writing = [pool.submit(store), pool.submit(types)]
            try:
                links.call(
                    "copy", "--link", "rows", "--rate", "0", "--replace"
                )  # the worker has brought changes already
                connection_two = psycopg.connect(database, autocommit=True)
                with connection_two:
                    connection_two.execute("UPDATE track SET unit_price = unit_price * 1.1")
                time.sleep(1)
            finally:
                stop.set()
            for one in writing:
                one.result()
            links.drained()
            reports = {
                link: json.loads(links.call("verify", "--json", "--rate", "0", "--link", link)) for link in LINKS
            }
        assert {link: report["verdict"] for link, report in reports.items()} == dict.fromkeys(LINKS, "equal"), reports
        for table in ENTITIES:
            assert contents(database, table) == contents(second, table), table
        for table in KEYS:
            assert differing(expected(connection, table), links.documents(table)) == []
        assert differing(everything.wanted(), links.documents("everything")) == []
