"""What somebody else has changed in our control collection is said by name, and nothing is taken over for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bson import Int64, ObjectId
from pymongo import MongoClient

from syncline.engines.mongo import control
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import DamagedRecordError
from syncline.model.mark import MAX_EPOCH
from syncline.model.notice import Notice
from syncline.ports import Beat
from tests.cases import odd_bson as odd
from tests.integration.doctor_case import Clinic
from tests.integration.doctor_case import clinic as made_clinic
from tests.relay import Relay, relayed, until

Change = Callable[[bytes], bytes]
BAD_TEXT = odd.text(b"\xff\xfe")


def without(name: str) -> Change:
    return lambda stored: odd.document(
        *(odd.field(n, (t, v)) for t, n, v in odd.elements(stored) if n != name.encode())
    )


def other(name: str, *values: odd.Value) -> Change:
    return lambda stored: odd.with_field(stored, name, *values)


OF_SOURCE: dict[str, tuple[Change, str]] = {
    "no system": (without("system"), "it has no system"),
    "no installation": (without("installation"), "it has no installation"),
    "no count": (without("count"), "it has no count"),
    "the count is a text": (other("count", odd.text("12")), "count is '12'"),
    "the count is a fraction": (other("count", odd.double(1.5)), "count is 1.5"),
    "the count is negative": (other("count", odd.int64(-1)), "count is -1"),
    "the count is at the limit": (other("count", odd.int64((1 << 63) - 1)), "count is 9223372036854775807"),
    "the system is a number": (other("system", odd.int32(1)), "system is 1, not a text"),
    "the system is no UTF-8": (other("system", BAD_TEXT), "system is <"),
    "the system is there twice": (other("system", odd.text("a"), odd.text("b")), "system is <2 fields of one name"),
    "the installation is empty": (other("installation", odd.text("")), "installation is ''"),
    "the nonce is a document": (other("nonce", odd.sub()), "nonce is {}"),
    "the worker is no UTF-8": (other("worker", BAD_TEXT), "worker is <"),
}
OF_LANE: dict[str, tuple[Change, str]] = {
    "no epoch": (without("epoch"), "it has no epoch"),
    "the epoch is a text": (other("epoch", odd.text("7")), "epoch is '7'"),
    "the epoch is above the highest": (other("epoch", odd.int64(MAX_EPOCH + 1)), f"epoch is {MAX_EPOCH + 1}"),
    "the epoch is there twice": (other("epoch", odd.int32(1), odd.int32(2)), "epoch is <2 fields of one name: 1, 2>"),
    "no lane": (without("lane"), "it has no lane"),
    "another lane": (other("lane", odd.int32(4)), "lane is 4, not the lane that its _id names"),
    "the lane is no UTF-8": (other("lane", BAD_TEXT), "lane is <"),
}
SOURCE = odd.document(
    odd.field("_id", odd.text("source")),
    odd.field("installation", odd.text("i")),
    odd.field("system", odd.text("s")),
    odd.field("count", odd.int64(5)),
)
LANE = odd.document(
    odd.field("_id", odd.text("lane/3")), odd.field("epoch", odd.int64(7)), odd.field("lane", odd.int32(3))
)


# -- what a record says


@pytest.mark.parametrize(("change", "says"), OF_SOURCE.values(), ids=OF_SOURCE)
def test_a_damaged_heartbeat_is_named(change: Change, says: str) -> None:
    with pytest.raises(DamagedRecordError) as raised:
        control.beat_of(change(SOURCE), "db._syncline")
    assert 'in the target, db._syncline: the record "source" is damaged' in raised.value.message
    assert says in raised.value.message
    assert 'db.getCollection("_syncline").deleteMany({_id: {$in: ["source"]}})' in (raised.value.hint or "")


@pytest.mark.parametrize(("change", "says"), OF_LANE.values(), ids=OF_LANE)
def test_a_damaged_lane_is_named(change: Change, says: str) -> None:
    with pytest.raises(DamagedRecordError) as raised:
        control.lane_epochs([LANE, change(LANE)], "db._syncline")
    assert 'the record "lane/3" is damaged' in raised.value.message
    assert says in raised.value.message


def test_a_document_that_passes_for_a_lane_is_named() -> None:
    """Another document with `lane: 3`: which of the two is it?"""
    one = ObjectId()
    stray = odd.with_field(LANE, "_id", (0x07, one.binary))
    with pytest.raises(DamagedRecordError, match="it has a lane, but is no record of ours") as raised:
        control.lane_epochs([LANE, stray], "db._syncline")
    assert repr(one) in (raised.value.hint or "")


def test_many_are_one_error() -> None:
    lanes = [odd.with_field(without("epoch")(LANE), "_id", odd.text(f"lane/{n}")) for n in range(5)]
    with pytest.raises(DamagedRecordError, match="and 2 more"):
        control.lane_epochs(lanes, "db._syncline")


def test_numbers_that_a_shell_has_written_are_numbers() -> None:
    assert control.lane_epochs([other("epoch", odd.double(7.0))(LANE)], "c") == {3: 7}
    assert control.beat_of(other("count", odd.double(5.0))(SOURCE), "c") == Beat("i", "s", 5)
    assert control.beat_of(other("older", odd.int32(1))(SOURCE), "c") == Beat("i", "s", 5)
    assert control.beat_of(None, "c") is None


# -- the target


@pytest.fixture
async def target(mongo_url: str, mongo_db: str) -> Any:
    made = MongoTarget(mongo_url, mongo_db)
    yield made
    await made.close()


@pytest.fixture
def ours(mongo_url: str, mongo_db: str) -> Iterator[Any]:
    """The control collection, as somebody else may change it."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        yield client[mongo_db]["_syncline"]


@pytest.mark.parametrize("what", OF_SOURCE)
async def test_a_damaged_heartbeat_is_not_taken_over(target: MongoTarget, ours: Any, what: str) -> None:
    """Also not between the look at it and the renewal."""
    await target.beat(Beat("i", "s", 5))
    odd.replace_stored(ours, "source", OF_SOURCE[what][0])
    before = ours.with_options(odd.RAW).find_one({"_id": "source"}).raw
    with pytest.raises(DamagedRecordError):
        await target.read_beat()
    with pytest.raises(DamagedRecordError):
        await target.beat(Beat("i", "s", 6), over="s")
    if "system" in what or what.startswith("no "):  # else it says that it is our own
        assert ours.with_options(odd.RAW).find_one({"_id": "source"}).raw == before


async def test_a_damaged_lane_is_not_announced(target: MongoTarget, ours: Any) -> None:
    await target.announce({3: 7, 4: 7})
    odd.replace_stored(ours, "lane/3", other("epoch", odd.text("9")))
    with pytest.raises(DamagedRecordError, match='"lane/3"'):
        await target.announce({3: 8})
    with pytest.raises(DamagedRecordError, match='"lane/3"'):
        await target.lane_epochs()


@pytest.mark.parametrize("count", ["many", Int64((1 << 63) - 1), None, [1]], ids=repr)
async def test_a_probe_tells_of_the_server_whatever_its_record_says(target: MongoTarget, ours: Any, count: Any) -> None:
    ours.insert_one({"_id": "probe", "count": count})
    await target.probe()


# -- the worker


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str) -> Any:
    """A pair that a worker has served."""
    async with relayed(database, (mongo_url, mongo_db), ddl="CREATE TABLE item (id bigint PRIMARY KEY)") as found:
        found.sql("INSERT INTO item VALUES (1)")
        async with found.worker():
            await found.equal()
            await found.renewed()
        yield found


def open_notices(relay: Relay) -> list[str]:
    return [name for (name,) in relay.sql("SELECT name FROM syncline.notice WHERE resolved_at IS NULL")]


@pytest.mark.parametrize(
    ("id_", "change"),
    [("source", without("system")), ("source", other("count", odd.text("x"))), ("lane/3", other("epoch", BAD_TEXT))],
    ids=["source: no system", "source: the count is a text", "lane: no UTF-8"],
)
async def test_a_worker_does_not_start_until_the_record_is_mended(
    relay: Relay, ours: Any, id_: str, change: Change
) -> None:
    odd.replace_stored(ours, id_, change)
    before = ours.with_options(odd.RAW).find_one({"_id": id_}).raw
    relay.sql("INSERT INTO item VALUES (2)")
    with pytest.raises(DamagedRecordError, match=f'the record "{id_}" is damaged'):
        async with relay.worker():
            await until(lambda: False)
    assert ours.with_options(odd.RAW).find_one({"_id": id_}).raw == before
    assert Notice.TARGET_RECORD_DAMAGED in open_notices(relay)
    assert relay.document(2) is None
    ours.delete_one({"_id": id_})  # as the message says
    async with relay.worker():
        await relay.equal(tasks=True)
        await until(lambda: Notice.TARGET_RECORD_DAMAGED not in open_notices(relay))
        assert "Restored" in relay.notices()


async def test_a_running_worker_ends_and_says_why(relay: Relay, ours: Any) -> None:
    async def damaged_meanwhile() -> None:
        async with relay.worker():
            odd.replace_stored(ours, "source", without("system"))
            await until(lambda: Notice.TARGET_RECORD_DAMAGED in open_notices(relay))

    with pytest.raises(DamagedRecordError, match='the record "source" is damaged: it has no system'):
        await damaged_meanwhile()


# -- the commands


@pytest.fixture
def clinic(database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Clinic]:
    with made_clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("id_", "fields"),
    [
        ("source", {"installation": 1, "system": "s", "count": 1}),
        ("lane/3", {"lane": 3, "epoch": "x"}),
    ],
    ids=["source", "lane"],
)
def test_every_command_names_the_record_and_what_to_do(clinic: Clinic, id_: str, fields: dict[str, Any]) -> None:
    clinic.documents["_syncline"].insert_one({"_id": id_, **fields})
    finding = clinic.found("owner", "critical", f'the record "{id_}" is damaged')
    assert f'deleteMany({{_id: {{$in: ["{id_}"]}}}})' in finding["fix"]
    asked = [["install", "--yes"], ["worker"], ["verify", "album"], ["repair", "album"]]
    if id_ == "source":
        asked.append(["adopt", "--yes"])
    for command in asked:
        output = " ".join(clinic.run(*command, ok=3).split())
        assert f'the record "{id_}" is damaged' in output, command
        assert "put it back as it was, or remove it" in output, command
    assert clinic.documents["_syncline"].find_one({"_id": id_}) == {"_id": id_, **fields}
    assert f'the record "{id_}" is damaged' in " ".join(clinic.run("status", ok=2).split())
