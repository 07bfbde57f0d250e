"""The engine's own ceiling, and the poller that people write by hand."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pymongo
from psycopg.rows import dict_row
from pymongo import UpdateOne, WriteConcern

from benchmarks.stage import Stage

DURABLE = WriteConcern(w="majority", j=True)
CHUNK = 1000
Documents = list[dict[str, Any]]


def _parallel(documents: Documents, writers: int, write: Callable[[Documents], Any]) -> float:
    parts = iter([documents[start : start + CHUNK] for start in range(0, len(documents), CHUNK)])
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                part = next(parts, None)
            if part is None:
                return
            write(part)

    threads = [threading.Thread(target=run) for _ in range(writers)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(documents) / (time.perf_counter() - began)


def _documents(on: Stage, count: int) -> Documents:
    with on.client() as client:
        return list(client.bench.todos.find().limit(count))


def inserts(on: Stage, count: int) -> dict[int, float]:
    """Bare ``insert_many`` of the very documents that the relay wrote: writers to documents per second."""
    documents = _documents(on, count)
    rates = {}
    for writers in (1, 2, 3):
        with on.client() as client:
            client.bench.drop_collection("ceiling")
            collection = client.bench.get_collection("ceiling", write_concern=DURABLE)
            rates[writers] = _parallel(documents, writers, lambda part: collection.insert_many(part, ordered=False))  # noqa: B023
    return rates


def updates(on: Stage, count: int) -> dict[int, float]:
    """Bare guarded updates of existing documents: writers to updates per second."""
    documents = _documents(on, count)
    rates = {}
    with on.client() as client:
        collection = client.bench.get_collection("ceiling", write_concern=DURABLE)
        collection.drop()
        collection.insert_many(documents)
        for writers in (1, 2, 4):
            for document in documents:
                document["_v"] += 1
            rates[writers] = _parallel(
                documents, writers, lambda part: collection.bulk_write(_guarded(part), ordered=False)
            )
        collection.drop()
    return rates


def _guarded(documents: Documents) -> list[UpdateOne]:
    newer = [{"$lt": [{"$ifNull": ["$_v", -1]}, d["_v"]]} for d in documents]
    return [
        UpdateOne({"_id": d["_id"]}, [{"$replaceWith": {"$cond": [n, {"$literal": d}, "$$ROOT"]}}], upsert=True)
        for d, n in zip(documents, newer, strict=True)
    ]


def poller(on: Stage, count: int) -> float:
    """The loop of blog posts: 100 rows FOR UPDATE SKIP LOCKED, a ``replace_one`` each, then UPDATE processed."""
    with on.sql() as conn, on.client() as client:
        collection = client.bench.poller
        collection.drop()
        conn.execute("DROP TABLE IF EXISTS poller_outbox")
        conn.execute(
            "CREATE TABLE poller_outbox AS"
            " SELECT row_number() OVER () AS id, to_jsonb(t) AS payload, false AS processed"
            " FROM (SELECT * FROM todo LIMIT %s) AS t",
            (count,),
        )
        conn.execute("CREATE INDEX ON poller_outbox (id) WHERE NOT processed")
        conn.row_factory = dict_row  # type: ignore[assignment]
        began = time.perf_counter()
        while True:
            with conn.transaction():
                rows: list[Any] = conn.execute(
                    "SELECT id, payload FROM poller_outbox WHERE NOT processed ORDER BY id LIMIT 100"
                    " FOR UPDATE SKIP LOCKED"
                ).fetchall()
                for row in rows:
                    collection.replace_one({"_id": row["payload"]["id"]}, row["payload"], upsert=True)
                ids = [row["id"] for row in rows]
                conn.execute("UPDATE poller_outbox SET processed = true WHERE id = ANY(%s)", (ids,))
            if not rows:
                break
        rate = count / (time.perf_counter() - began)
        conn.execute("DROP TABLE poller_outbox")
        collection.drop()
        return rate


__all__ = ["inserts", "poller", "pymongo", "updates"]
