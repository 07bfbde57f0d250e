"""The private MongoDB server: it behaves as MongoDB where we depend on it, and does not die of its clients."""

import asyncio
import datetime as dt
import socket
import threading
import time
from uuid import UUID

import bson
import pytest
from pymongo import AsyncMongoClient, InsertOne, MongoClient, ReplaceOne, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError, ConnectionFailure, DuplicateKeyError, OperationFailure

from syncline.embedded.elf import lower_glibc
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.mongo_fetch import library_path
from tests.engines import small_mongo

DURABLE = WriteConcern("majority", j=True)


def connect(url, **options):
    return MongoClient(url, serverSelectionTimeoutMS=3000, tz_aware=True, uuidRepresentation="standard", **options)


@pytest.fixture
def client(mongo_url):
    with connect(mongo_url) as client:
        yield client


@pytest.fixture
def things(client, mongo_db):
    return client[mongo_db].get_collection("things", write_concern=DURABLE)


@pytest.mark.parametrize("end", [PrivateMongo.stop, PrivateMongo.kill])
def test_acknowledged_documents_survive(private_mongo, end):
    url = private_mongo.url
    with connect(url) as client:
        client.shop.get_collection("things", write_concern=DURABLE).insert_many([{"_id": i} for i in range(1000)])
        client.shop.get_collection("things", write_concern=DURABLE).create_index("x", unique=True, sparse=True)
        end(private_mongo)
        assert not private_mongo.running
        private_mongo.start()
        assert client.shop.things.count_documents({}) == 1000
        assert "x_1" in client.shop.things.index_information()


@pytest.mark.parametrize("_round", range(4))
def test_nothing_acknowledged_is_lost_in_a_kill_under_load(private_mongo, _round):
    acknowledged = []

    def write():
        with connect(private_mongo.url) as client:
            things = client.shop.get_collection("things", write_concern=DURABLE)
            for number in range(1_000_000):
                try:
                    things.insert_one({"_id": number})
                except ConnectionFailure:
                    return
                acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    while len(acknowledged) < 100:
        time.sleep(0.01)
    private_mongo.kill()
    writer.join()
    private_mongo.start()
    with connect(private_mongo.url) as client:
        found = {document["_id"] for document in client.shop.things.find()}
    assert found.issuperset(acknowledged)


def test_a_frozen_server_answers_when_it_thaws(private_mongo):
    with connect(private_mongo.url) as client:
        client.admin.command("ping")
        private_mongo.freeze()
        thawing = threading.Timer(0.3, private_mongo.thaw)
        thawing.start()
        started = time.monotonic()
        client.admin.command("ping")
        assert time.monotonic() - started > 0.2
        thawing.join()


def test_types_come_back_as_they_went(things):
    document = {
        "_id": bson.ObjectId(),
        "decimal": bson.Decimal128("12345678901234567890.123456789"),
        "long": bson.Int64(2**53 + 1),
        "instant": dt.datetime(2024, 2, 29, 12, 30, 0, 123000, tzinfo=dt.UTC),
        "uuid": UUID("12345678-1234-5678-1234-567812345678"),
        "binary": b"\x00\xff",
        "nested": {"list": [1, 2.5, None, True, {"ü": "ß"}]},
    }
    things.insert_one(document)
    assert things.find_one() == document


def test_a_newer_ticket_wins_in_any_order(things):
    def write(ticket):
        newer = {"$lt": [{"$ifNull": ["$_v", -1]}, ticket]}
        state = {"$literal": {"_id": 1, "_v": ticket}}
        return UpdateOne({"_id": 1}, [{"$replaceWith": {"$cond": [newer, state, "$$ROOT"]}}], upsert=True)

    things.bulk_write([write(2), write(3), write(1)], ordered=False)
    assert things.find_one() == {"_id": 1, "_v": 3}


def test_a_stale_insert_is_a_duplicate_key_with_its_place_in_the_batch(things):
    things.insert_one({"_id": 1})
    with pytest.raises(BulkWriteError) as caught:
        things.bulk_write([InsertOne({"_id": 0}), InsertOne({"_id": 1}), InsertOne({"_id": 2})], ordered=False)
    (error,) = caught.value.details["writeErrors"]
    assert (error["index"], error["code"]) == (1, 11000)
    assert things.count_documents({}) == 3


def test_a_unique_index_names_the_value(things):
    things.create_index("email", unique=True)
    things.insert_one({"email": "a@example.org"})
    with pytest.raises(DuplicateKeyError) as caught:
        things.insert_one({"email": "a@example.org"})
    assert caught.value.details["keyValue"] == {"email": "a@example.org"}


def test_a_document_may_have_16_megabytes(things):
    content = b"x" * (16 * 1024 * 1024 - 100)
    things.insert_one({"_id": 1, "content": content})
    assert things.find_one({"_id": 1})["content"] == content


def test_a_batch_may_have_more_than_a_message(things):
    content = b"x" * (15 * 1024 * 1024)
    things.bulk_write([ReplaceOne({"_id": i}, {"content": content}, upsert=True) for i in range(4)], ordered=False)
    assert things.count_documents({}) == 4


def test_a_cursor_goes_on_over_many_batches(things):
    things.insert_many([{"_id": i} for i in range(5000)])
    assert [document["_id"] for document in things.find(sort=[("_id", 1)], batch_size=100)] == list(range(5000))


@pytest.mark.parametrize(
    "command",
    ["noSuchCommand", "startSession", "killSessions", "refreshSessions", "killAllSessions", "killAllSessionsByPattern"],
)
def test_a_command_that_it_does_not_have_is_an_error_and_no_more(client, command):
    with pytest.raises(OperationFailure) as caught:
        client.admin.command(command, [])
    assert caught.value.code == 59
    client.admin.command("ping")


def test_a_transaction_is_refused_as_by_a_standalone_server(client, things):
    with client.start_session() as session, pytest.raises(OperationFailure) as caught, session.start_transaction():
        things.insert_one({}, session=session)
    assert caught.value.code == 20


def test_clients_that_vanish_or_talk_nonsense_do_no_harm(mongo, client):
    for noise in (
        b"",
        b"\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff" * 64,
        b"\x40\x00\x00\x00" + bytes(8) + b"\xdd\x07\x00\x00",
    ):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(mongo._socket))
            connection.sendall(noise)
    client.admin.command("ping")


def test_a_client_that_vanishes_while_it_is_answered_does_no_harm(mongo, client, things):
    things.insert_many([{"x": "y" * 1000} for _ in range(5000)])
    find = bson.encode({"find": "things", "batchSize": 5000, "$db": things.database.name})
    for _ in range(5):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(mongo._socket))
            length = 16 + 5 + len(find)
            header = b"".join(number.to_bytes(4, "little") for number in (length, 1, 0, 2013, 0))
            connection.sendall(header + b"\0" + find)
    assert things.count_documents({}) == 5000


def test_connections_that_were_closed_leave_no_threads(mongo):
    def threads():
        return sum(line.startswith("Threads:") and int(line.split()[1]) for line in status.read_text().splitlines())

    status = mongo.log_path.__class__(f"/proc/{mongo._process.pid}/status")
    before = threads()
    for _ in range(20):
        with connect(mongo.url) as client:
            client.admin.command("ping")
    deadline = time.monotonic() + 60
    while threads() > before + 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threads() <= before + 5


async def test_many_at_once_from_an_async_client(mongo_url, mongo_db):
    async with AsyncMongoClient(mongo_url) as client:
        things = client[mongo_db].things
        await asyncio.gather(*(things.insert_one({"_id": i}) for i in range(200)))
        assert await things.count_documents({}) == 200


def test_tcp_on_the_loopback_interface_too(tmp_path):
    with small_mongo(tmp_path / "mongo", tcp_port=0) as server, connect(server.tcp_url) as client:
        assert client.admin.command("ping")["ok"] == 1


def test_the_library_as_it_runs_here_needs_no_further_patch(mongo):
    if mongo.kind != "engine":
        pytest.skip("a mongod on PATH is used instead of the engine")
    library = library_path().read_bytes()
    if "older-glibc" not in str(library_path()):
        library, _ = lower_glibc(library)
    assert lower_glibc(library) == (library, [])
