"""A document that the driver cannot decode is one finding of a read, and stops no other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo import MongoClient

from syncline import Secondary
from syncline.errors import DamagedDocumentError, TargetError
from tests.cases import odd_bson as odd

BAD_TEXT = odd.text(b"\xff\xfe")


@pytest.fixture
async def secondary(mongo_url: str, mongo_db: str) -> AsyncIterator[Secondary]:
    """Reads seven people, of whom the fourth is damaged."""
    with MongoClient[dict[str, Any]](mongo_url) as client:
        people = client[mongo_db].people
        people.insert_many([{"_id": number, "name": f"n{number}", "team": number % 2} for number in range(1, 8)])
        odd.replace_stored(people, 4, lambda stored: odd.with_field(stored, "name", BAD_TEXT))
    found = Secondary(mongo_url, mongo_db, timeout=timedelta(seconds=60))
    yield found
    await found.close()


async def test_a_damaged_document_is_named_and_the_others_are_had(secondary: Secondary) -> None:
    with pytest.raises(DamagedDocumentError) as raised:
        await secondary.query("people", sort=[("_id", -1)], limit=5)
    error = raised.value
    assert "1 of 5 documents of people cannot be decoded: _id 4: " in error.message
    assert "syncline repair" in (error.hint or "")
    assert [document["_id"] for document in error.documents] == [7, 6, 5, 3]
    assert [id_ for id_, _ in error.damaged] == [4]


async def test_a_projection_or_a_filter_that_leaves_it_out_reads_the_rest(secondary: Secondary) -> None:
    assert len(await secondary.query("people", projection=["team"])) == 7
    assert len(await secondary.query("people", {"team": 1})) == 4


async def test_an_aggregation_names_what_it_cannot_decode(secondary: Secondary) -> None:
    names = [{"$sort": {"_id": 1}}, {"$group": {"_id": "$team", "names": {"$push": "$name"}}}, {"$sort": {"_id": 1}}]
    with pytest.raises(DamagedDocumentError, match="1 of 2 documents of people cannot be decoded: _id 0: ") as raised:
        await secondary.aggregate("people", names)
    assert raised.value.documents == [{"_id": 1, "names": ["n1", "n3", "n5", "n7"]}]
    bare = [{"$sort": {"_id": 1}}, {"$project": {"_id": 0, "name": 1}}]
    with pytest.raises(DamagedDocumentError, match=r"no _id, the 4\. of the result"):
        await secondary.aggregate("people", bare)


async def test_a_damaged_key_is_named_as_it_is_stored(secondary: Secondary, mongo_url: str, mongo_db: str) -> None:
    with MongoClient[dict[str, Any]](mongo_url) as client:
        odd.insert_stored(client[mongo_db].people, odd.field("_id", BAD_TEXT))
    with pytest.raises(DamagedDocumentError, match="2 of 8 documents"):
        await secondary.query("people")


@pytest.mark.parametrize(
    "where",
    [{"price": Decimal(1)}, {"_id": 1 << 64}, {"_id": object()}, {1: 2}],
    ids=["decimal", "too large", "an object", "a name"],
)
async def test_a_filter_that_cannot_be_sent_is_the_callers(secondary: Secondary, where: Any) -> None:
    with pytest.raises(TargetError, match="this cannot be asked of MongoDB"):
        await secondary.query("people", where)
    with pytest.raises(TargetError, match="this cannot be asked of MongoDB"):
        await secondary.aggregate("people", [{"$match": where}])


async def test_a_damaged_document_is_no_outage(secondary: Secondary) -> None:
    """The next read asks the server again."""
    with pytest.raises(DamagedDocumentError):
        await secondary.query("people")
    assert len(await secondary.query("people", {"_id": 1})) == 1
