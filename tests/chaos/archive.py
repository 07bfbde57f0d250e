"""The large table of a chaos run: as many rows as one likes, some of which nobody but the vandal touches."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.chaos.acting import Acting
from tests.chaos.journal import Journal

NAME = "archive"
UNTOUCHED = 97
"""Every so many rows there is one that no writer touches."""
NOBODY = 10**12
"""Keys from here on have no row."""

TABLE = "CREATE TABLE archive (id bigint PRIMARY KEY, name text NOT NULL, amount numeric(12, 2) NOT NULL)"
FILL = "INSERT INTO archive SELECT i, 'name ' || i, i / 100.0 FROM generate_series(0, %s - 1) AS i"
DELETES = "DELETE FROM archive WHERE id = %s"
PUTS = "INSERT INTO archive VALUES (%(id)s, %(name)s, 1) ON CONFLICT (id) DO UPDATE SET name = excluded.name"
UPDATES = "UPDATE archive SET amount = amount + 0.01 WHERE id = %s"
RANGES = "UPDATE archive SET amount = -amount WHERE id BETWEEN %s AND %s AND id %% 97 > 0"


def copy(database: Any, rows: int) -> None:
    """Put the documents there as if the relay had written them long ago: the way of so many through it takes its time."""
    ours = {"_source": "postgresql", "_syncedAt": datetime(2020, 1, 1, tzinfo=UTC), "_v": Int64(1)}
    for start in range(0, rows, 10_000):
        documents = [
            {"_id": i, "_originalId": str(i), "name": f"name {i}", "amount": Decimal128(f"{i / 100:.2f}"), **ours}
            for i in range(start, min(rows, start + 10_000))
        ]
        database[NAME].insert_many(documents, ordered=False)


def write(session: psycopg.Connection[Any], dice: random.Random, rows: int) -> None:
    """Change something, anywhere."""
    key = dice.randrange(rows)
    key += key % UNTOUCHED == 0
    kind = dice.random()
    if kind < 0.15:
        session.execute(DELETES, (key,))
    elif kind < 0.5:
        session.execute(PUTS, {"id": key, "name": f"again {dice.randrange(10**9)}"})
    elif kind < 0.95:
        session.execute(UPDATES, (key,))
    else:
        session.execute(RANGES, (key, key + 50))


def unlike(connection: psycopg.Connection[Any], client: MongoClient[dict[str, Any]], database: str) -> Iterator[str]:
    """Compare both sides row by row; nobody may be writing. Yields the keys of those that differ, on either side."""
    there = {
        document["_id"]: document
        for document in client[database][NAME].find({"_id": {"$gte": NOBODY}})  # few: the vandal's
    }
    yield from map(str, there)
    documents = client[database][NAME].find({"_id": {"$lt": NOBODY}}).sort("_id", 1).batch_size(10_000)
    document = next(documents, None)
    with connection.transaction(), connection.cursor("archive") as rows:
        rows.itersize = 10_000
        for id_, name, amount in rows.execute("SELECT id, name, amount FROM archive ORDER BY id"):
            while document is not None and document["_id"] < id_:
                yield str(document["_id"])
                document = next(documents, None)
            if document is None or document["_id"] != id_:
                yield str(id_)
                continue
            ours = {"_originalId": str(id_), "_source": "postgresql", "name": name, "amount": Decimal128(amount)}
            if ours | {n: document.get(n) for n in ("_id", "_v", "_syncedAt")} != document or "_v" not in document:
                yield str(id_)
            document = next(documents, None)
    while document is not None:
        yield str(document["_id"])
        document = next(documents, None)


class Vandal(Acting):
    """Damages documents of rows that no writer touches, and adds some that have no row; keeps a book of it."""

    _kinds: tuple[str, ...] = ("edit", "type", "delete", "ticket", "extra")

    def __init__(self, url: str, database: str, journal: Journal, rows: int, *, seed: int, pause: float) -> None:
        super().__init__("vandal")
        self._url = url
        self._database = database
        self._journal = journal
        self._rows = rows
        self._pause = pause
        self._random = random.Random(f"{seed} vandal")
        self.book: set[str] = set()
        """Key texts of what was damaged, or may have been, ever."""
        self.acts = 0

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                with self._opened() as side:
                    self._work(side)
            except (PyMongoError, psycopg.Error):
                time.sleep(0.1)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        with MongoClient[dict[str, Any]](self._url, serverSelectionTimeoutMS=500, socketTimeoutMS=4000) as client:
            yield client[self._database][NAME]

    def _work(self, side: Any) -> None:
        while self._goes_on():
            kind = self._random.choice(self._kinds)
            key = self._random.randrange(self._rows // UNTOUCHED) * UNTOUCHED
            if kind == "extra":
                key = NOBODY + self._random.randrange(10**9)
            self.book.add(str(key))
            self._journal.note(f"vandal: {kind} of archive/{key}")
            self._act(side, kind, key)
            self.acts += 1
            self._ended.wait(self._random.expovariate(1 / self._pause))

    def _act(self, documents: Any, kind: str, key: int) -> None:
        if kind == "edit":
            documents.update_one({"_id": key}, {"$set": {"name": "by hand"}})
        elif kind == "type":
            documents.update_one({"_id": key}, {"$set": {"amount": 1}})
        elif kind == "delete":
            documents.delete_one({"_id": key})
        elif kind == "ticket":
            documents.update_one({"_id": key}, {"$unset": {"_v": 1}})
        else:
            documents.insert_one({"_id": key, "name": "nobody", "_v": 1})


class RowVandal(Vandal):
    """Damages rows."""

    _kinds = ("edit", "delete", "extra")

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as connection:
            yield connection

    def _act(self, connection: Any, kind: str, key: int) -> None:
        statement = {
            "edit": f"UPDATE {NAME} SET name = 'by hand' WHERE id = %s",
            "delete": f"DELETE FROM {NAME} WHERE id = %s",
            "extra": f"INSERT INTO {NAME} VALUES (%s, 'nobody', 1)",
        }[kind]
        connection.execute(statement, (key,))
