"""For how long what is marked waits, those left out that the other side has rejected."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Any

from bson import ObjectId
from pymongo.asynchronous.collection import AsyncCollection

from syncline.capture.documents.field import FIELD, MARK
from syncline.capture.documents.indexes import MARKS
from syncline.engines.mongo.marked import cut
from syncline.model.documents.ids import shown_key
from syncline.model.strict_bson import AS_STORED, decoded, id_of

Held = AbstractSet[tuple[str, str]]
"""Marks, each with what is shown of the ``_id``: a mark may be of many documents."""
_MARKED = {MARK: {"$exists": True, "$type": "objectId"}}
"""What somebody else has written there says nothing of a time."""
_OTHERS = 100
"""So many besides are looked at: an array of theirs is found by what it holds."""


async def oldest(collection: AsyncCollection[Any], held: Held) -> timedelta:
    """Tell the age of the oldest mark by the server's clock; a new document's is as old as its ObjectId says."""
    walk: list[dict[str, Any]] = [
        {"$match": _MARKED},
        {"$sort": {MARK: 1}},
        {"$limit": len(held) + _OTHERS},
        {"$project": {MARK: 1, "now": "$$NOW"}},
    ]
    async for batch in await collection.aggregate_raw_batches(walk, hint=MARKS["name"]):
        for one in cut(batch):
            found = decoded(one, AS_STORED)
            ours, id_ = found[FIELD], decoded(id_of(one), AS_STORED)["_id"]
            mark = ours.get("mark") if isinstance(ours, dict) else None
            if isinstance(mark, ObjectId) and (str(mark), shown_key(id_)) not in held:
                age: timedelta = found["now"] - mark.generation_time.replace(tzinfo=None)
                return max(age, timedelta())
    return timedelta()
