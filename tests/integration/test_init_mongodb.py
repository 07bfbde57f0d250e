"""From the documents of a MongoDB to tables of a PostgreSQL that hold them, by the commands alone."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import random

import psycopg
import pytest
from bson.objectid import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.config.documents import load_documents
from syncline.engines.mongo import sampling
from syncline.engines.postgres.documents.rows import DocumentTables
from tests.cases.odd_bson import RAW

MAX_BYTES = 16 * 1024 * 1024


def deep(number: int) -> dict:
    """Give a document that nests five arrays of documents."""
    inner: dict = {"name": f"leaf {number}", "value": number / 3}
    for level in range(5):
        inner = {
            "level": level,
            f"items{level}": [inner, {"level": -level}],
            "at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        }
    return {"_id": ObjectId(), "title": f"deep {number}", "tree": inner}


def drifting(number: int) -> dict:
    """Give a document of 200 fields, of which every tenth has another type now and then."""
    chance = random.Random(number)
    fields = {f"field{place:03}": number * place for place in range(200)}
    for place in range(0, 200, 10):
        fields[f"field{place:03}"] = chance.choice([1, 2**40, 1.5, "text", None, True, {"a": 1}, [1]])
    if number % 7 == 0:
        del fields["field005"]
    return {"_id": f"key {number}", **fields}


COLLECTIONS = {
    "deep": [deep(number) for number in range(5)],
    "drift": [drifting(number) for number in range(40)],
    "long": [
        {"_id": number, "list": [f"element {place}" for place in range(1000)], "tags": []} for number in range(1, 4)
    ],
    "empty.x": [],
}


@pytest.fixture
def filled(mongo_url, mongo_db, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MONGODB_URL", mongo_url.replace("/?", f"/{mongo_db}?"))
    with MongoClient(mongo_url) as client:
        for name, documents in COLLECTIONS.items():
            client[mongo_db].create_collection(name)
            if documents:
                client[mongo_db][name].insert_many(documents)
        yield client[mongo_db]


def called(*words: str):
    return CliRunner().invoke(app, words)


async def kept_exactly(filled, database: str) -> None:
    """Write all documents, read them back and compare."""
    async with await psycopg.AsyncConnection.connect(database) as connection:
        for mapping in load_documents().mappings:
            tables = DocumentTables(mapping)
            stored = [one.raw for one in filled.get_collection(mapping.collection.name, codec_options=RAW).find()]
            rows = [mapping.rows(raw) for raw in stored]
            await tables.write(connection, rows)
            kept = await tables.read(connection, [one[0][0][0] for one in rows])
            assert [mapping.document(kept[one[0][0][0]]) for one in rows] == stored


def test_documents_of_real_shapes_are_declared_and_their_tables_hold_them(filled, database, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    filled["large"].insert_one({"body": "x" * (MAX_BYTES - 200)})
    made = called("init", "--from", "mongodb", "--json")
    assert made.exit_code == 0, made.output
    said = json.loads(made.stdout)
    found = {one["name"]: one for one in said["collections"]}
    assert {name: one["sampled"] for name, one in found.items()} == {"deep": 5, "drift": 40, "long": 3, "large": 1}
    assert said["leftOut"] == [{"collection": "empty.x", "reason": "it has no document"}]
    assert len(found["deep"]["tables"]) == 6
    remarks = {(name, one["path"]): one["text"] for name, one in found.items() for one in reversed(one["remarks"])}
    assert remarks["drift", "field010"].startswith(("drifts in type: ", "null in "))
    assert remarks["drift", "field005"] == "missing in 15 %"
    assert remarks["deep", "tree"] == "nested: its fields are columns"
    assert remarks["large", ""] == "too large for quick changes: the largest document has 16,383 KB"
    assert remarks["long", "list"] == "an array of up to 1,000 elements: a child table"

    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(called("schema", "sql").stdout)
    asyncio.run(kept_exactly(filled, database))
    checked = called("schema", "check", "--json")
    assert {one["check"] for one in json.loads(checked.stdout)["findings"] if one["level"] == "critical"} == set()


def test_regular_documents_have_nothing_in_the_rest(filled):
    said = called("init", "--from", "mongodb", "--stdout", "--collection", "deep", "--collection", "long").stdout
    assert "in the rest\n" not in said.replace("# tags: always an empty array: in the rest\n", "").replace("100 % of the documents have something in the rest\n", "", 1)  # fmt: skip


def test_a_sample_is_bounded(filled):
    said = json.loads(
        called("init", "--from", "mongodb", "--stdout", "--json", "--sample", "7", "--collection", "drift").stdout
    )
    assert [(one["documents"], one["sampled"]) for one in said["collections"]] == [(40, 7)]


def test_a_collection_that_is_not_there_is_said(filled):
    found = called("init", "--from", "mongodb", "--collection", "nothing")
    assert "there is no collection 'nothing'\n  there are: deep, drift, empty.x, long" in found.stderr
    assert found.exit_code == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "which database?\n  set MONGODB_URL"),
        (["--schema", "public"], "--schema means nothing with --from mongodb"),
        (["--url", "postgresql://h/d"], "this is the URL of a PostgreSQL"),
        (["--url", "mongodb://%2Fnowhere%2Fmongodb-1.sock/d"], "MongoDB: "),
        (["--url", "mongodb://127.0.0.1:1/"], "which database?\n  end the URL in /NAME"),
    ],
)
def test_what_cannot_be_looked_at_is_said(words, said, monkeypatch):
    monkeypatch.delenv("MONGODB_URL", raising=False)
    monkeypatch.setattr(sampling, "SECONDS", 0.3)
    found = called("init", "--from", "mongodb", "--stdout", *words)
    assert (found.exit_code, said in found.stderr) == (3, True), found.stderr


def test_odd_documents_are_looked_at_like_all(mongo_url, mongo_db, monkeypatch):
    from tests.cases import odd_bson as odd

    with MongoClient(mongo_url) as client:
        odd.insert_stored(client[mongo_db]["odd"], odd.field("_id", odd.int32(1)), odd.field("a", odd.UNDEFINED), odd.field("b", odd.text(b"\xff")))  # fmt: skip
        client[mongo_db]["odd"].insert_one({"_id": 2, "b": "x"})
        assert isinstance(client[mongo_db].get_collection("odd", codec_options=RAW).find_one(), RawBSONDocument)
    found = called("init", "--from", "mongodb", "--stdout", "--url", mongo_url.replace("/?", f"/{mongo_db}?"))
    assert found.exit_code == 0, found.output
    assert "drifts in type: " in found.stdout
    assert "# a: undefined: of no type of columns: in the rest" in found.stdout
