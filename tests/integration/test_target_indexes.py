"""Declared indexes: made, and known again whatever their kind."""

from __future__ import annotations

import pytest
from pymongo import MongoClient

from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetError
from syncline.model.entity import Index
from tests.relay import entity

KINDS = [
    (("a", 1),),
    (("a", -1), ("_id", 1)),
    (("a", "hashed"),),
    (("a", "2dsphere"),),
    (("a", "text"),),
    (("a", "text"), ("b", "text")),
    (("c", 1), ("a", "text"), ("d", -1)),
]


@pytest.mark.parametrize("keys", KINDS)
async def test_an_index_that_was_made_is_not_missing(
    mongo_url: str, mongo_db: str, keys: tuple[tuple[str, int]]
) -> None:
    target = MongoTarget(mongo_url, mongo_db)
    item = entity("item", indexes=(Index(keys),))
    assert await target.missing_indexes(item) == list(item.indexes)
    await target.prepare([item])
    await target.prepare([item])
    assert await target.missing_indexes(item) == []
    await target.close()


async def test_a_text_index_over_other_fields_is_another_one(mongo_url: str, mongo_db: str) -> None:
    with MongoClient(mongo_url) as client:
        client[mongo_db].item.create_index([("b", "text")])
    target = MongoTarget(mongo_url, mongo_db)
    item = entity("item", indexes=(Index((("a", "text"),)),))
    assert await target.missing_indexes(item) == list(item.indexes)
    await target.close()


@pytest.mark.parametrize(
    "options", [{"uniqe": True}, {"collation": "de"}, {"partialFilterExpression": {"a": {"$nonsense": 1}}}, {"keys": 1}]
)
async def test_an_index_that_there_cannot_be_is_said_and_not_tried_for_ever(
    mongo_url: str, mongo_db: str, options: dict[str, object]
) -> None:
    target = MongoTarget(mongo_url, mongo_db)
    with pytest.raises(TargetError, match="cannot be declared like this") as caught:
        await target.prepare([entity("item", indexes=(Index((("a", 1),), options=options),))])
    assert not caught.value.retryable
    assert "entities" in (caught.value.hint or "")
    await target.close()
