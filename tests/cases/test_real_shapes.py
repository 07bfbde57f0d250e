"""Documents as real applications have them: deep, long, wide, drifting, as large as MongoDB takes; there and back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import bson
import psycopg
import pytest
from bson import ObjectId
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from syncline.engines.mongo.marked import apart
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.model.documents import DocumentMapping
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

Document = dict[str, Any]
LEVELS, FAN = 5, 3
LONG = 1000
WIDE = 200
LARGEST = 16 * 1024 * 1024 - 64
"""Of a document beside our field."""


def _declared(lines: Iterator[str]) -> str:
    return "\n".join(lines) + "\n"


def deep_declared() -> Iterator[str]:
    path = "collections.shapes"
    for level in range(LEVELS):
        path += f".arrays.of{level}"
        yield f'[{path}.columns]\nn = "integer"\n"in.x" = "text"'
    yield f'[{path}.arrays.tags]\ntype = "text"'


def deep(chance: random.Random) -> Document:
    def level(number: int) -> Document:
        one: Document = {"n": chance.randrange(100), "in": {"x": "é", "left": [1, None]}}
        if number < LEVELS:
            one[f"of{number}"] = [level(number + 1) for _ in range(FAN)]
        else:
            one["tags"] = ["a", "b"]
        return one

    return {"of0": [level(1) for _ in range(FAN)]}


def long_declared() -> Iterator[str]:
    yield '[collections.shapes.arrays.numbers]\ntype = "integer"'
    yield '[collections.shapes.arrays.lines.columns]\nitem = "text"\nprice = "numeric"'


def long(chance: random.Random) -> Document:
    lines = [{"item": f"item {n}", "price": Decimal128(f"{n}.10"), "odd": n % 7 or None} for n in range(LONG)]
    return {"numbers": [chance.choice([n, n, n, Int64(n), "n"]) for n in range(LONG)], "lines": lines}


def wide_declared() -> Iterator[str]:
    kinds = ("text", "integer", "bigint", "double", "timestamptz", "boolean", "numeric", "objectid")
    yield "[collections.shapes.columns]"
    yield from (f'f{n} = "{kinds[n % len(kinds)]}"' for n in range(WIDE))


def wide(chance: random.Random) -> Document:
    drift: list[Callable[[int], Any]] = [
        str, int, Int64, float, lambda n: n % 2 == 0, lambda n: Decimal128(f"{n}.0"), lambda _: None, lambda _: ObjectId(),
        lambda n: datetime(2026, 1, 1, tzinfo=UTC).replace(minute=n % 60), lambda n: [n, "x"], lambda n: {"n": n}, lambda n: b"\0" * (n % 3),
    ]  # fmt: skip
    fields = [(f"f{n}", chance.choice(drift)(n)) for n in range(WIDE) if chance.random() < 0.9]
    chance.shuffle(fields)
    return dict(fields)


def large_declared() -> Iterator[str]:
    yield '[collections.shapes.columns]\ntext = "text"'
    yield '[collections.shapes.arrays.parts]\ntype = "text"'


def large(_: random.Random) -> list[Document]:
    """As large as a document may be, in a column; beside one in a child table with which it has no room in one reply."""
    most, many = LARGEST - 1000, 9_000_000
    return [
        {"parts": ["x" * (many // 1000)] * 1000},
        {"text": "é" * (most // 2)},
        {"left": {"of": ["y" * 100_000] * 8}},
    ]


SHAPES: dict[str, tuple[Callable[[], Iterator[str]], Callable[[random.Random], list[Document]], Document]] = {
    "nested five deep": (deep_declared, lambda chance: [deep(chance) for _ in range(3)], {"of0.0.of1.1.of2.2.n": 7}),
    "arrays of a thousand": (long_declared, lambda chance: [long(chance) for _ in range(2)], {"lines.500.item": "new"}),
    "two hundred fields that drift": (wide_declared, lambda chance: [wide(chance) for _ in range(20)], {"f7": "new"}),
    "nearly 16 MB": (large_declared, large, {"more": 1}),
}


@pytest.fixture
def shapes(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    stages = []

    def declared(text: str) -> DocumentStage:
        stages.append(made := DocumentStage(tmp_path, mongo_url, mongo_db, database, text))
        made.make_tables()
        made.call("install", "--yes")
        return made

    yield declared
    stages[0].close()


def stored(stage: DocumentStage) -> dict[Any, bytes]:
    """Give the documents as they are, without our field."""
    raw = stage.mongo["shapes"].with_options(codec_options=bson.CodecOptions(document_class=RawBSONDocument))
    return {one["_id"]: apart(bytes(one.raw))[0] for one in raw.find()}


def composed(stage: DocumentStage) -> dict[Any, bytes]:
    """Give the documents that the rows become."""
    mapping: DocumentMapping = stage.documents.mappings[0]

    async def read() -> list[bytes]:
        async with await psycopg.AsyncConnection.connect(stage.database) as connection:
            keys = [
                key for (key,) in await (await connection.execute("SELECT mongo_id FROM postgres_shapes")).fetchall()
            ]
            return [mapping.document(rows) for rows in (await DocumentTables(mapping).read(connection, keys)).values()]

    return {bson.decode(one)["_id"]: one for one in asyncio.run(read())}


@pytest.mark.parametrize("shape", SHAPES)
def test_documents_of_a_shape_go_there_and_back_and_are_proved_equal(shape, shapes):
    declared, made, change = SHAPES[shape]
    stage, documents = shapes(_declared(declared())), made(random.Random(7))
    half = (len(documents) + 1) // 2
    for one in documents[:half]:
        stage.mongo["shapes"].insert_one(one)
    stage.call("copy")
    for one in documents[half:]:
        stage.collection("shapes").insert_one(one)
    stage.collection("shapes").update_many({}, {"$set": change})
    stage.work(lambda: not stage.mongo["shapes"].count_documents({"_sync.mark": {"$exists": True}}))
    assert stage.json("verify")["verdict"] == "equal"
    there = stored(stage)
    assert len(there) == len(documents)
    assert composed(stage) == there
