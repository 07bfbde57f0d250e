"""Taking marks away, and tombstones: at once, or when the way back can insert their documents no more.

A write of the way back that was sent before MongoDB was opened may come after it; a tombstone of a higher number keeps
it out, and nothing does where there is none. See ``docs/explanation/phases.md``.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from bson import Int64, ObjectId
from pymongo import DeleteMany, UpdateMany
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError

from syncline.capture.documents.field import DELETED, LIVE, LOG, MARK, NUMBER, TICKET, TOMBSTONE, VERSION
from syncline.capture.documents.validator import is_of_gate
from syncline.engines.mongo import gates
from syncline.engines.mongo.stored import sent
from syncline.engines.mongo.writes import FORGETTABLE
from syncline.model.strict_bson import encoded
from syncline.ports.documents import MarkedDocument

GRACE = timedelta(seconds=30)
"""So long a write of the way back may be under way."""
_LOOK_SECONDS = 1.0
"""Between two looks how long ago a gate was opened."""
_TOGETHER = 200
"""So many marks are cleared by a statement; with more each costs as much."""
BY_ID = "_id_"
"""Which index finds an ``_id`` and a mark: the server would try both, and a mark may be of many documents."""


class Clearing:
    """Clears the marks of a database's documents.

    Args:
        database: the database.
        grace: how long a write of the way back may be under way.

    """

    def __init__(self, database: AsyncDatabase[Any], grace: timedelta) -> None:
        self._database, self._grace = database, grace
        self._settled: dict[str, int] = {}
        """By collection, the highest number of the gate whose opening is that long ago."""
        self._looked: dict[str, float] = {}
        self._numbers: dict[str, int] = {}
        """By collection, the number that its validator wants, where it has refused what says another one, or none."""

    def _collection(self, name: str) -> AsyncCollection[Any]:
        return self._database[name].with_options(write_concern=FORGETTABLE)

    async def clear(self, collection: str, documents: Sequence[MarkedDocument]) -> None:
        """Clear marks that are still those that were read, and remove such tombstones, or leave them without a mark.

        Where a validator refuses documents as they would be, the gate was changed since they were written.
        """
        try:
            await self._clear(collection, documents)
        except BulkWriteError as refusal:
            if not is_of_gate(refusal):
                raise
            self._numbers[collection] = await gates.admitted(self._database, collection)
            await self._clear(collection, documents)

    async def _clear(self, collection: str, documents: Sequence[MarkedDocument]) -> None:
        number = self._numbers.get(collection, 0)
        # One that was read twice has the later mark, or another.
        newest = {encoded({"": one.id}): one for one in sorted(documents, key=lambda one: one.version)}
        gone = _groups([one for one in newest.values() if one.deleted])
        live = _groups([one for one in newest.values() if not one.deleted])
        settled = self._settled.get(collection, 0)
        writes = [_removing(group, settled) for group in gone] + [_clearing(group, number) for group in live]
        if not writes:
            return
        done = await self._collection(collection).bulk_write(writes, ordered=False)
        if done.deleted_count < sum(map(len, gone)):
            await self._collection(collection).bulk_write([_clearing(group, number) for group in gone], ordered=False)
            await self._look(collection)

    async def _look(self, collection: str) -> None:
        """See, now and then, whether tombstones need not stay any more."""
        now = time.monotonic()
        if now >= self._looked.get(collection, 0.0):
            self._looked[collection] = now + _LOOK_SECONDS
            self._settled[collection] = await gates.settled(self._database, collection, self._grace)

    async def remove(self, collection: str, ids: Sequence[Any]) -> int:
        """Remove tombstones that have stayed without a mark; each is compared with the server's clock as it goes."""
        past = {"$lt": [f"${VERSION}", {"$subtract": [{"$toLong": "$$NOW"}, int(self._grace.total_seconds() * 1000)]}]}
        carried = {MARK: {"$exists": False}, TICKET: {"$exists": False}}  # one with a ticket is the way back's
        which = sent({"_id": {"$in": list(ids)}, DELETED: True, **carried, "$expr": past})
        return (await self._collection(collection).delete_many(which, hint=BY_ID)).deleted_count


def _groups(documents: Sequence[MarkedDocument]) -> list[Sequence[MarkedDocument]]:
    """Part documents: those that go by a statement have something noted, or nothing."""
    noted = [one for one in documents if one.noted]
    kinds = [documents] if not noted else [noted, [one for one in documents if not one.noted]]
    return [some[at : at + _TOGETHER] for some in kinds for at in range(0, len(some), _TOGETHER)]


def _removing(tombstones: Sequence[MarkedDocument], settled: int) -> DeleteMany:
    """Remove tombstones, but those that were written under a higher number of the gate."""
    return DeleteMany(sent({**_those(tombstones), DELETED: True, NUMBER: {"$not": {"$gt": settled}}}), hint=BY_ID)


def _clearing(documents: Sequence[MarkedDocument], number: int) -> UpdateMany:
    """Take the marks of documents away, or of tombstones; say a number of the gate where one is wanted."""
    kind = TOMBSTONE if documents[0].deleted else LIVE
    gone = {MARK: "", LOG: ""} if documents[0].noted else {MARK: ""}
    cleared: dict[str, Any] = {"$unset": gone} | ({"$max": {NUMBER: Int64(number)}} if number else {})
    return UpdateMany(sent({**_those(documents), **kind}), cleared, hint=BY_ID)


def _those(documents: Sequence[MarkedDocument]) -> dict[str, Any]:
    """Find many with their marks by one statement: it costs a tenth of as many."""
    unread = {} if documents[0].noted else {LOG: {"$exists": False}}  # who did not look for it must not lose it
    if len(documents) == 1:
        return {**still(documents[0]), **unread}
    ids, marks = [one.id for one in documents], [ObjectId(one.mark) for one in documents]
    # The server looks a constant up in a hash table, and compares pairs one after the other.
    read = {"$arrayElemAt": [{"$literal": marks}, {"$indexOfArray": [{"$literal": ids}, "$_id"]}]}
    return {
        "_id": {"$in": ids},
        **unread,
        "$expr": {"$eq": [f"${MARK}", read]},
    }


def still(document: MarkedDocument) -> dict[str, Any]:
    """Find a document that has the mark that was read."""
    return {"_id": {"$eq": document.id}, MARK: ObjectId(document.mark)}
