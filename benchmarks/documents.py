"""Document links: copy, verification and relay, each against a bare loop that only moves the bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
import pymongo
from bson import Int64, ObjectId
from pymongo.write_concern import WriteConcern

from benchmarks.figure import peak_megabytes
from benchmarks.report import Line, median
from benchmarks.stage import SPAWN, Sizes, Stage, server_seconds

FIELDS = """
title = "text"
description = "text"
status = "text"
priority = "bigint"
done = "boolean"
score = "double"
created = "timestamptz"
count = "bigint"
owner = "objectid"
note = "text"
"""
PLAIN = f"[collections.tasks.columns]{FIELDS}"
WITH_CHILD = f'{PLAIN}[collections.tasks.arrays.labels]\ntype = "text"\n'
NAMES = ("title", "description", "status", "priority", "done", "score", "created", "count", "owner", "note")
TYPES = ("text", "text", "text", "text", "int8", "bool", "float8", "timestamptz", "int8", "text", "text")
CARRIED = {"v": Int64(1 << 41)}
"""Our field in a document that was carried before, or by whoever has wrapped its collection: it needs no write."""
Cost = tuple[float, float, float]
"""Seconds, seconds of the processor, megabytes."""


def copy_lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Copy documents of 10 fields, without and with a child table, and those that nobody has wrapped."""
    found = _copied(on, sizes, PLAIN, sizes.large, "10 fields", 0.8)
    found += _copied(on, sizes, WITH_CHILD, sizes.large // 2, "10 fields and a child table", 0.6)
    with collection(on, PLAIN, sizes.large // 10, wrapped=False) as folder:
        ours, cpu, _ = apart(on, copied, folder)
    rows = sizes.large // 10
    return [
        *found,
        Line(f"… of {rows:,} that nobody has wrapped, a second", rows / ours, ">=", 0, f"{cpu / rows * 1e6:.1f} µs"),
    ]


def _copied(on: Stage, sizes: Sizes, declared: str, rows: int, what: str, reach: float) -> list[Line]:
    ratios, costs, speeds, peak = [], [], [], 0.0
    with collection(on, declared, rows) as folder:
        for _ in range(sizes.rounds):
            bare, bare_cpu, _ = apart(on, piped, folder)
            ours, cpu, megabytes = apart(on, copied, folder)
            ratios.append(bare / ours)
            costs.append((cpu / rows * 1e6, bare_cpu / rows * 1e6))
            speeds.append((rows / ours, rows / bare))
            peak = max(peak, megabytes)
    ours, bare = (median(list(column)) for column in zip(*speeds, strict=True))
    mine, its = (median(list(column)) for column in zip(*costs, strict=True))
    return [
        Line(f"copy of {rows:,} documents of {what}: against find and a binary COPY", median(ratios), ">=", reach,
             f"{ours:,.0f}/s, {bare:,.0f}/s"),
        Line("… its processor time, µs a document", mine, "<=", its / reach, f"the bare loop {its:.1f}"),
        Line("… its memory at most, MB", peak, "<", 100),
    ]  # fmt: skip


def verify_lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Verify equal documents, contents and all, against reading both sides."""
    rows, ratios, costs, peak = sizes.large, [], [], 0.0
    with collection(on, PLAIN, rows) as folder:
        apart(on, copied, folder)
        for _ in range(sizes.rounds):
            bare, bare_cpu, _ = _kept(both_read, folder)
            ours, cpu, megabytes = _kept(verified, folder)
            ratios.append(ours / bare)
            costs.append((cpu / rows * 1e6, bare_cpu / rows * 1e6))
            peak = max(peak, megabytes)
    mine, its = (median(list(column)) for column in zip(*costs, strict=True))
    return [
        Line(f"verification of {rows:,} documents: against reading both sides", median(ratios), "<=", 1.3),
        Line("… its processor time, µs a document", mine, "<=", its * 1.3, f"reading {its:.1f}"),
        Line("… its memory at most, MB", peak, "<", 100),
    ]


def relay_lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Carry updates, against the best bare batched upsert of the same rows."""
    rows, ratios, speeds, spent, hands = min(sizes.rows, 100_000), [], [], [], []
    with collection(on, PLAIN, rows) as folder:
        apart(on, copied, folder)
        for _ in range(sizes.rounds):
            (bare, bare_cpu, _), _, bare_rows = _costing(on, upserted, folder)
            _mark_all(on)
            by_hand, hand_in_mongodb, hand_in_rows = _costing(on, carried_by_hand, folder)
            _mark_all(on)
            (ours, cpu, peak), in_mongodb, in_rows = _costing(on, carried, folder)
            hand_seconds = (by_hand[1], hand_in_mongodb, hand_in_rows)
            hands.append((by_hand[0] / ours, *(part / rows * 1e6 for part in hand_seconds)))
            ratios.append(bare / ours)
            speeds.append((rows / ours, rows / bare))
            spent.append([part / rows * 1e6 for part in (cpu, in_mongodb, in_rows, bare_cpu, bare_rows)])
    mine, mongodb, postgresql, its, its_rows = (median(list(column)) for column in zip(*spent, strict=True))
    speed, bare_speed = (median(list(column)) for column in zip(*speeds, strict=True))
    against, *hand = (median(list(column)) for column in zip(*hands, strict=True))
    return [
        Line(f"relay of {rows:,} updates of documents: against a bare batched upsert", median(ratios), ">=", 0.7,
             f"{speed:,.0f}/s, {bare_speed:,.0f}/s; {', '.join(f'{one:.2f}' for one in ratios)}"),
        Line("… its processor time, µs a document", mine, "<=", its / 0.7,
             f"the upsert {its:.1f}, {peak:.0f} MB; MongoDB's {mongodb:.0f}, PostgreSQL's {postgresql:.0f}"
             f" (the upsert's {its_rows:.0f})"),
        Line("… against the same by hand: marks read, rows upserted by version, marks cleared", against, ">=", 1.0,
             "its processor time {:.1f} µs a document, MongoDB's {:.0f}, PostgreSQL's {:.0f}".format(*hand)),
    ]  # fmt: skip


def _mark_all(on: Stage) -> None:
    with on.client() as client:
        tasks = client["bench"]["tasks"]
        tasks.bulk_write([_marking(one["_id"]) for one in tasks.find({}, {"_id": 1})], ordered=False)


def _costing(on: Stage, measure: Callable[[str], Cost], folder: str) -> tuple[Cost, float, float]:
    """Measure, and give the processor time of both servers."""
    before = server_seconds(on.mongo), server_seconds(on.postgres)
    found = _kept(measure, folder)
    return found, server_seconds(on.mongo) - before[0], server_seconds(on.postgres) - before[1]


@contextmanager
def collection(on: Stage, declared: str, rows: int, *, wrapped: bool = True) -> Iterator[str]:
    """Fill a collection, make its tables, install the link."""
    folder = Path(on.folder) / "documents.toml"
    mongo = on.mongo.url.replace("/?", "/bench?")
    folder.write_text(f'[source]\nurl = "{mongo}"\n[target]\nurl = "{on.postgres.url}"\n{declared}')
    with on.client() as client:
        client.drop_database("bench")
        for first in range(0, rows, 10_000):
            client["bench"]["tasks"].insert_many(
                [
                    _document(n, child="labels" in declared, wrapped=wrapped)
                    for n in range(first, min(rows, first + 10_000))
                ]
            )
    asyncio.run(_installed(folder))
    try:
        yield str(folder)
    finally:
        with on.sql() as conn:
            conn.execute("DROP TABLE postgres_tasks CASCADE; DROP SCHEMA syncline_documents CASCADE")
            conn.execute("DROP TABLE IF EXISTS postgres_tasks_labels")
        with on.client() as client:
            client.drop_database("bench")


def _document(n: int, *, child: bool, wrapped: bool) -> dict[str, Any]:
    found = {
        "_id": ObjectId(),
        "title": f"Task number {n}",
        "description": "x" * 80,
        "status": "open",
        "priority": n % 5,
        "done": False,
        "score": n * 1.5,
        "created": datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=n),
        "count": n,
        "owner": ObjectId(),
        "note": "some note",
    }
    return found | ({"labels": ["a", "b"]} if child else {}) | ({"_sync": CARRIED} if wrapped else {})


async def _installed(file: Path) -> None:
    from syncline.config.documents import load_documents
    from syncline.documents.installing import install, plan
    from syncline.documents.opening import opened
    from syncline.engines.postgres.documents.definitions import schema

    documents = load_documents(file, {})
    with psycopg.connect(documents.url("target"), autocommit=True) as conn:
        for statement in schema(documents.mappings):
            conn.execute(statement)
    async with opened(documents) as link:
        await install(link, await plan(link, role=None))


def apart(on: Stage, measure: Callable[[str], Cost], folder: str) -> Cost:
    """Measure into empty tables."""
    with on.sql() as conn:
        conn.execute(
            "TRUNCATE postgres_tasks CASCADE; TRUNCATE syncline_documents.key_version, syncline_documents.copy"
        )
        conn.execute("CHECKPOINT")
    return _kept(measure, folder)


def _kept(measure: Callable[[str], Cost], folder: str) -> Cost:
    with SPAWN.Pool(1) as pool:
        return pool.apply(measure, [folder])


def _sides(folder: str) -> tuple[Any, Any, bool]:
    from syncline.config.documents import load_documents

    documents = load_documents(Path(folder), {})
    child = len(documents.mappings[0].tables) > 1
    return pymongo.MongoClient(documents.url("source")), psycopg.connect(documents.url("target")), child


def _row(one: dict[str, Any]) -> tuple[Any, ...]:
    before = (one["title"], one["description"], one["status"], one["priority"], one["done"], one["score"])
    created = one["created"].replace(tzinfo=UTC)
    return (str(one["_id"]), *before, created, one["count"], str(one["owner"]), one["note"])


def _marking(id_: ObjectId) -> pymongo.UpdateOne:
    """Change a document as a wrapped collection does."""
    return pymongo.UpdateOne({"_id": id_}, {"$inc": {"count": 1, "_sync.v": 1}, "$set": {"_sync.mark": ObjectId()}})


def piped(folder: str) -> Cost:
    """Copy as one would by hand: find, and a binary COPY for each table."""
    client, connection, child = _sides(folder)
    began, cpu = time.monotonic(), time.process_time()
    names = ", ".join(("mongo_id", *NAMES))
    tasks = client.get_default_database()["tasks"]
    with client, connection:
        with connection.cursor().copy(f"COPY postgres_tasks ({names}) FROM STDIN (FORMAT binary)") as into:
            into.set_types(TYPES)
            for one in tasks.find():
                into.write_row(_row(one))
        if child:
            with connection.cursor().copy("COPY postgres_tasks_labels FROM STDIN (FORMAT binary)") as into:
                into.set_types(("text", "int4", "text"))
                for one in tasks.find({}, {"labels": 1}):
                    for place, label in enumerate(one["labels"]):
                        into.write_row((str(one["_id"]), place, label))
        connection.commit()
        return time.monotonic() - began, time.process_time() - cpu, peak_megabytes()


def copied(folder: str) -> Cost:
    """Copy as ``syncline copy --rate 0`` does."""
    from syncline.documents.copying import DocumentCopier

    async def run(link: Any) -> None:
        copier = DocumentCopier(link)
        try:
            (progress,) = await copier.run(link.collections)
            assert progress.finished
        finally:
            await copier.close()

    return _run(folder, run)


def verified(folder: str) -> Cost:
    """Verify as ``syncline verify --rate 0`` does."""
    from syncline.documents.verifying import DocumentVerifier

    async def run(link: Any) -> None:
        verifier = DocumentVerifier(link)
        try:
            report = await verifier.verify(link.collections)
            assert report.exit_status == 0
        finally:
            await verifier.close()

    return _run(folder, run)


def carried(folder: str) -> Cost:
    """Carry what is marked."""

    async def run(link: Any) -> None:
        assert (await link.pump().walk()).applied

    return _run(folder, run)


def _run(folder: str, work: Callable[[Any], Any]) -> Cost:
    from syncline.config.documents import load_documents
    from syncline.documents.opening import opened
    from syncline.executing.collector import tune_garbage_collection

    async def run() -> tuple[float, float]:
        async with opened(load_documents(Path(folder), {})) as link:
            tune_garbage_collection()
            began, cpu = time.monotonic(), time.process_time()
            await work(link)
            return time.monotonic() - began, time.process_time() - cpu

    return (*asyncio.run(run()), peak_megabytes())


def both_read(folder: str) -> Cost:
    """Read every document and every row, one side after the other, and look at none."""
    client, connection, _ = _sides(folder)
    began, cpu = time.monotonic(), time.process_time()
    with client, connection, connection.cursor("rows") as cursor:
        for _ in client.get_default_database()["tasks"].find():
            pass
        cursor.itersize = 5000
        for _ in cursor.execute("SELECT * FROM postgres_tasks"):
            pass
        return time.monotonic() - began, time.process_time() - cpu, peak_megabytes()


def upserted(folder: str) -> Cost:
    """Upsert the same rows, 500 a transaction, by arrays: the best way that is known."""
    client, connection, _ = _sides(folder)
    with client, connection:
        rows = [_row(one) for one in client.get_default_database()["tasks"].find()]
        names = ("mongo_id", *NAMES)
        arrays = ", ".join(f"%s::{type_}[]" for type_ in TYPES)
        sets = ", ".join(f"{name} = excluded.{name}" for name in NAMES)
        statement = (
            f"INSERT INTO postgres_tasks ({', '.join(names)}) SELECT * FROM unnest({arrays}) "
            f"ON CONFLICT (mongo_id) DO UPDATE SET {sets}"
        )
        began, cpu = time.monotonic(), time.process_time()
        for first in range(0, len(rows), 500):
            connection.execute(statement, [[*column] for column in zip(*rows[first : first + 500], strict=True)])
            connection.commit()
        return time.monotonic() - began, time.process_time() - cpu, peak_megabytes()


def carried_by_hand(folder: str) -> Cost:
    """Carry what is marked, page by page: upsert rows that are newer, and clear the marks that were read."""
    client, connection, _ = _sides(folder)
    with client, connection:
        tasks = client.get_default_database()["tasks"].with_options(write_concern=WriteConcern(1, j=False))
        connection.execute("DROP TABLE IF EXISTS by_hand")
        connection.execute("CREATE TABLE by_hand (LIKE postgres_tasks INCLUDING ALL)")
        connection.execute("INSERT INTO by_hand SELECT * FROM postgres_tasks")
        connection.execute("ALTER TABLE by_hand ADD COLUMN v bigint NOT NULL DEFAULT 0")
        connection.commit()
        names = ("mongo_id", *NAMES, "v")
        arrays = ", ".join(f"%s::{type_}[]" for type_ in (*TYPES, "int8"))
        sets = ", ".join(f"{name} = excluded.{name}" for name in names[1:])
        statement = (
            f"INSERT INTO by_hand ({', '.join(names)}) SELECT * FROM unnest({arrays}) "
            f"ON CONFLICT (mongo_id) DO UPDATE SET {sets} WHERE by_hand.v < excluded.v"
        )
        began, cpu = time.monotonic(), time.process_time()
        marked = tasks.find({"_sync.mark": {"$exists": True}}, batch_size=1000)
        while page := [*islice(marked, 1000)]:
            rows = [(*_row(one), one["_sync"]["v"]) for one in page]
            connection.execute(statement, [[*column] for column in zip(*rows, strict=True)])
            connection.commit()
            tasks.bulk_write(
                [_clearing(page[first : first + 200]) for first in range(0, len(page), 200)], ordered=False
            )
        took = time.monotonic() - began, time.process_time() - cpu
        assert tasks.find_one({"_sync.mark": {"$exists": True}}) is None
        connection.execute("DROP TABLE by_hand")
    return (*took, peak_megabytes())


def _clearing(page: list[dict[str, Any]]) -> pymongo.UpdateMany:
    ids, marks = [one["_id"] for one in page], [one["_sync"]["mark"] for one in page]
    read = {"$arrayElemAt": [{"$literal": marks}, {"$indexOfArray": [{"$literal": ids}, "$_id"]}]}
    which = {"_id": {"$in": ids}, "$expr": {"$eq": ["$_sync.mark", read]}}
    return pymongo.UpdateMany(which, {"$unset": {"_sync.mark": ""}}, hint="_id_")
