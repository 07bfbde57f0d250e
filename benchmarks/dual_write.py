"""What dual writes cost a call: with PostgreSQL near, 20 ms away, and down; and batches against single calls."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import psycopg
from bson import ObjectId
from pymongo import AsyncMongoClient, ReturnDocument
from pymongo.write_concern import WriteConcern

from benchmarks.report import Line, percentile
from benchmarks.stage import Sizes, Stage
from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.model.documents import Collection, DocumentMapping, Field, Part
from syncline.phases.dual_write import AsyncEnhancedDualWriteService

DOCUMENTS, BATCH = 200, 100
NOBODY = "postgresql://nobody@127.0.0.1:9/none"
TEXTS = {name: Field("text") for name in ("name", "email", "city", "title")}
USERS = DocumentMapping(Collection("users", part=Part({**TEXTS, "n": Field("integer")})))
Call = Callable[[ObjectId, int], Awaitable[Any]]
Took = dict[str, list[list[float]]]


def lines(on: Stage, sizes: Sizes) -> list[Line]:
    """Calls in turns with bare writes of the same write concern."""
    with _far(on, milliseconds=20) as far:
        return asyncio.run(_lines(on, sizes, far))


async def _lines(on: Stage, sizes: Sizes, far: str) -> list[Line]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(AsyncMongoClient[dict[str, Any]](on.mongo.url))
        await _prepare(client, on.postgres.url)
        bare = client.bench_dual.get_collection("bare", write_concern=WriteConcern("majority", j=True))
        ids = [ObjectId() for _ in range(DOCUMENTS)]
        await bare.insert_many([_document(id_) for id_ in ids])

        async def alone(id_: ObjectId, number: int) -> Any:
            return await bare.update_one({"_id": id_}, {"$set": {"n": number, "city": f"city {number}"}})

        async def opened(url: str, deadline: float) -> AsyncEnhancedDualWriteService:
            source = f"{on.mongo.url.partition('?')[0].rstrip('/')}/bench_dual"
            documents = Documents((USERS,), None, {"source": source, "target": url})
            settings = DualWriteSettings(enabled=True, deadline=timedelta(seconds=deadline))
            return await stack.enter_async_context(AsyncEnhancedDualWriteService(documents, settings=settings))

        hand = await stack.enter_async_context(_ByHand.opened(client, on.postgres.url, ids))
        near = await opened(on.postgres.url, 5.0)
        for id_ in ids:
            await near.create_document("users", _document(id_), id_)
        left, down = await opened(far, 0.0), await opened(NOBODY, 0.25)
        calls = {"near": _updating(near), "left": _updating(left), "down": _updating(down)}
        calls |= {"hand": hand.both, "logged": hand.logged}
        await calls["down"](ids[0], 0)
        took = await _turns({"alone": alone, **calls}, ids, max(3, sizes.rounds), sizes.seconds / 12)
        batch = await _batches(near, max(3, sizes.rounds))
    return [*_told(took), batch]


class _ByHand:
    """What one writes by hand: the document, and then its row; likewise durable, one after the other."""

    UPSERT = """
    INSERT INTO bench_hand (mongo_id, name, email, city, title, n) VALUES (%s, %s, %s, %s, %s, %s)
    ON CONFLICT (mongo_id) DO UPDATE SET name = excluded.name, email = excluded.email, city = excluded.city,
        title = excluded.title, n = excluded.n
    """

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], connection: psycopg.AsyncConnection[Any]) -> None:
        self._users = client.bench_dual.get_collection("hand", write_concern=WriteConcern("majority", j=True))
        self._log = client.bench_dual.get_collection("hand_log", write_concern=WriteConcern(1, j=False))
        self._connection = connection

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, client: AsyncMongoClient[dict[str, Any]], url: str, ids: list[ObjectId]
    ) -> AsyncIterator[_ByHand]:
        """Make both sides."""
        async with await psycopg.AsyncConnection.connect(url, autocommit=True, prepare_threshold=1) as connection:
            await connection.execute("DROP TABLE IF EXISTS bench_hand")
            texts = ", ".join(f"{name} text" for name in TEXTS)
            await connection.execute(f"CREATE TABLE bench_hand (mongo_id text PRIMARY KEY, {texts}, n int)")  # type: ignore[arg-type]
            made = cls(client, connection)
            await made._users.insert_many([_document(id_) for id_ in ids])
            yield made

    async def both(self, id_: ObjectId, number: int) -> None:
        """Update the document, and upsert what it is now."""
        change = {"$set": {"n": number, "city": f"city {number}"}}
        one = await self._users.find_one_and_update({"_id": id_}, change, return_document=ReturnDocument.AFTER)
        assert one is not None
        row = (str(one["_id"]), one["name"], one["email"], one["city"], one["title"], one["n"])
        await self._connection.execute(self.UPSERT, row)

    async def logged(self, id_: ObjectId, number: int) -> None:
        """Write down before who is about to do what."""
        said = {"actor": None, "action": "update", "collection": "hand", "document_id": id_, "fields": ["n", "city"]}
        await self._log.insert_one({**said, "at": datetime.now(UTC), "outcome": "open"})
        await self.both(id_, number)


def _document(id_: ObjectId) -> dict[str, Any]:
    return {"_id": id_, "name": "Ada", "email": f"{id_}@example.org", "city": "London", "title": "x" * 100, "n": 0}


def _updating(service: AsyncEnhancedDualWriteService) -> Call:
    async def update(id_: ObjectId, number: int) -> Any:
        return await service.update_document("users", id_, {"n": number, "city": f"city {number}"})

    return update


async def _prepare(client: AsyncMongoClient[dict[str, Any]], url: str) -> None:
    await client.drop_database("bench_dual")
    await wrap(client.bench_dual.users).prepare_marks()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS postgres_users")
        connection.execute("DROP SCHEMA IF EXISTS syncline_documents CASCADE")
        for statement in schema([USERS]):
            connection.execute(statement)
    rows = VersionedRows(url, [USERS])
    await rows.prepare()
    await rows.close()


async def _turns(calls: dict[str, Call], ids: list[ObjectId], rounds: int, seconds: float) -> Took:
    took: Took = {name: [] for name in calls}
    for call in calls.values():
        await _driven(call, ids, seconds / 2)
    for _ in range(rounds):
        for name, call in calls.items():
            took[name].append(await _driven(call, ids, seconds))
    return took


async def _driven(call: Call, ids: list[ObjectId], seconds: float) -> list[float]:
    took: list[float] = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        await call(ids[len(took) % len(ids)], len(took))
        took.append(time.perf_counter() - began)
    return took


async def _batches(service: AsyncEnhancedDualWriteService, rounds: int) -> Line:
    ratios, told = [], ""
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(BATCH):
            await service.create_document("users", _document(id_ := ObjectId()), id_)
        singly = time.perf_counter() - began
        given = [
            {"collection_name": "users", "operation": "create", "mongo_id": (id_ := ObjectId()), "data": _document(id_)}
            for _ in range(BATCH)
        ]
        began = time.perf_counter()
        assert await service.batch_operations(given)
        together = time.perf_counter() - began
        ratios.append(together / singly)
        told = f"{together * 1e3:.1f} against {singly * 1e3:.1f} ms"
    return Line("batch_operations of 100: against 100 calls", median(ratios), "<=", 0.2, told)


def _told(took: Took) -> Iterator[Line]:
    def ratio(name: str, of: Callable[[list[float]], float]) -> float:
        return median(of(one) / of(bare) for one, bare in zip(took[name], took["alone"], strict=True))

    def said(name: str) -> str:
        p50s = [median(median(one) for one in took[which]) * 1e3 for which in ("alone", name)]
        return "p50 {:.3f} ms alone, {:.3f} ms".format(*p50s)

    def against(name: str) -> float:
        return median(median(one) / median(other) for one, other in zip(took["near"], took[name], strict=True))

    yield Line(
        "update_document, both sides near: against MongoDB alone", ratio("near", median), "<=", 1.9, said("near")
    )
    yield Line(
        "… against an entry of a log, the document and its row, by hand", against("logged"), "<=", 1.15, said("logged")
    )
    yield Line("… against the document and its row alone, by hand", against("hand"), "<=", 1.9, said("hand"))
    yield Line("… PostgreSQL 20 ms away, left to the worker", ratio("left", median), "<=", 1.3, said("left"))
    yield Line("… PostgreSQL down, p99", ratio("down", lambda one: percentile(one, 0.99)), "<=", 1.5, said("down"))


@contextmanager
def _far(on: Stage, *, milliseconds: float) -> Iterator[str]:
    """Lead to the same PostgreSQL by a longer way."""
    parts = urlsplit(on.postgres.url)
    query = {name: values[0] for name, values in parse_qs(parts.query).items()}
    port = str(parts.port or query.get("port", 5432))
    there = f"{unquote(query['host'])}/.s.PGSQL.{port}" if "host" in query else port
    command = [sys.executable, "-m", "benchmarks.slow_link", there, str(milliseconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            listens = process.stdout.readline().strip()
            user = f"{quote(parts.username)}@" if parts.username else ""
            yield f"postgresql://{user}127.0.0.1:{listens}{parts.path}"
        finally:
            process.terminate()
