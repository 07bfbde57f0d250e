"""The log of operations in a collection of MongoDB's: ``ports.document_writes.IntentLog``. Nothing removes from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from bson import Int64, ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import WriteError

from syncline.engines.mongo.document_writes import refused
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.stored import sent
from syncline.engines.mongo.writes import FORGETTABLE
from syncline.model.strict_bson import AS_STORED, PLAIN, encoded
from syncline.ports.document_writes import Action, Beside, Intent, IntentEnd, OpenIntent
from syncline.ports.documents import Noted

NAME = "syncline_audit"
_LARGEST = 12 * 1024 * 1024
"""Of the values of one operation; larger ones are left out."""
_TOGETHER = 1000
"""So many are entered by a command."""
_SURE = [IntentEnd.DONE.value, IntentEnd.REFUSED.value]
"""Nobody overrules who has done it; he may overrule who has concluded."""
_OPEN = {"outcome": IntentEnd.OPEN.value}


class MongoIntentLog:
    """The log of a database.

    An intent is written without waiting for the journal. The write that follows it waits, and a server's journal, like
    the oplog of a replica set, has both in their order: what is done was written down.
    """

    def __init__(self, database: AsyncDatabase[Any]) -> None:
        self._log: AsyncCollection[Any] = database.get_collection(NAME, codec_options=PLAIN, write_concern=FORGETTABLE)

    async def prepare(self) -> None:
        """Make the indexes by which open intents, and those of a document, are found."""
        with translated():
            await self._log.create_index([("at", 1)], name="open", partialFilterExpression=_OPEN)
            await self._log.create_index([("collection_name", 1), ("document_id", 1)], name="of_document")

    async def begin(self, intents: Sequence[Intent]) -> None:
        """Write them down, with the server's time."""
        with refused():
            if len(intents) == 1:
                one = intents[0]
                await self._upsert([{"q": {"_id": ObjectId(one.mark)}, "u": _begun(one), "upsert": True}])
            else:
                writes = [UpdateOne({"_id": ObjectId(one.mark)}, _begun(one), upsert=True) for one in intents]
                await self._log.bulk_write(writes, ordered=False)

    async def _upsert(self, updates: Sequence[Mapping[str, Any]]) -> None:
        """Send the command itself: the collection's method takes half as long again."""
        command = {"update": NAME, "updates": updates, "ordered": False, "writeConcern": FORGETTABLE.document}
        reply: Any = await self._log.database.command(command, codec_options=PLAIN)
        for error in reply.get("writeErrors", ()):
            raise WriteError(error["errmsg"], error["code"], error)

    def beginning(self, intent: Intent) -> Beside:
        """Give what ``begin`` writes; the server puts its clock's seconds in place of the empty timestamp."""
        clocks = {"at": datetime.now(UTC), "version": Timestamp(0, 0)}
        document = {"_id": ObjectId(intent.mark), **_written(intent), **clocks, "outcome": IntentEnd.OPEN.value}
        return Beside(NAME, document)

    async def end(self, ends: Mapping[str, tuple[IntentEnd, str | None]]) -> None:
        """Set outcomes; what was done stays done."""
        by: dict[tuple[IntentEnd, str | None], list[ObjectId]] = {}
        for mark, told in ends.items():
            by.setdefault(told, []).append(ObjectId(mark))
        for (end, reason), marks in by.items():
            which = {"_id": {"$in": marks}, "outcome": {"$nin": _SURE}}
            change = {"$set": {"outcome": end.value, "reason": reason}, "$currentDate": {"ended_at": True}}
            with translated():
                await self._log.update_many(which, change)

    async def enter(self, collection: str, noted: Sequence[tuple[Any, Noted]], *, done: bool = True) -> None:
        """Upsert them; who has noted an update has done it, whatever others have concluded."""
        with translated():
            for start in range(0, len(noted), _TOGETHER):
                some = noted[start : start + _TOGETHER]
                await self._upsert([_entered(collection, id_, one, done=done) for id_, one in some])

    async def open(self, older: timedelta, limit: int) -> Sequence[OpenIntent]:
        """Find them by their index."""
        before = {"$expr": {"$lt": ["$at", {"$subtract": ["$$NOW", int(older.total_seconds() * 1000)]}]}}
        with translated():
            # A key is compared with those of rows: a UUID as it is stored.
            stored = self._log.with_options(codec_options=AS_STORED)
            found = await stored.find({**_OPEN, **before}).sort("at", 1).limit(limit).to_list()
        return [
            OpenIntent(
                str(one["_id"]),
                one["collection_name"],
                one["document_id"],
                one["version"].time * 1000 if isinstance(one["version"], Timestamp) else one["version"],
                Action(one["action"]),
            )
            for one in found
        ]


def _entered(collection: str, id_: Any, one: Noted, *, done: bool) -> RawBSONDocument:
    begun = ObjectId(one.mark).generation_time  # in whole seconds: not later than it was
    new = {
        "actor": one.actor,
        "action": Action.UPDATE.value,
        "collection_name": collection,
        "document_id": id_,
        "fields": list(one.fields),
        "at": one.at,
        "version": Int64(begun.timestamp() * 1000),
    }
    told = {"outcome": IntentEnd.DONE.value, "reason": None}
    change: dict[str, Any] = {"$setOnInsert": {**new, "outcome": IntentEnd.OPEN.value}}
    if done:
        change = {"$setOnInsert": new, "$set": told, "$currentDate": {"ended_at": True}}
    return sent({"q": {"_id": ObjectId(one.mark)}, "u": change, "upsert": True})


def _written(one: Intent) -> dict[str, Any]:
    kept = (("before", one.before), ("after", one.after))
    values: dict[str, Any] = {name: value for name, value in kept if value is not None}
    if values and len(encoded(values)) > _LARGEST:
        values = {"left_out": "its values are too large"}
    return {
        "actor": one.actor,
        "action": one.action.value,
        "collection_name": one.collection,
        "document_id": one.id,
        "fields": list(one.fields),
        **values,
    }


def _begun(one: Intent) -> list[dict[str, Any]]:
    at = {"at": "$$NOW", "version": {"$toLong": "$$NOW"}, "outcome": IntentEnd.OPEN.value}
    return [{"$replaceWith": {"$mergeObjects": [{"_id": "$_id"}, {"$literal": _written(one)}, at]}}]
