"""MongoDB as verification sees it: documents as they are stored, confirmed reads, and the release of a false ticket."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import bson
import pymongo
from bson.binary import UuidRepresentation
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from syncline.model.entity import Entity
from syncline.ports import Beat, Document
from syncline.targets import mongo_errors
from syncline.targets.bson_order import order
from syncline.targets.mongo import CODEC, DURABLE, MongoTarget, same_id

LENIENT = CODEC.with_options(unicode_decode_error_handler="replace")
"""Anybody may have written what is looked at here."""
RAW = bson.CodecOptions(document_class=RawBSONDocument)
IDS = LENIENT.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
"""Ids are compared as they are stored."""
_BATCH = b"\x04firstBatch\0"
_ID = b"\x12id\0"
_INT32, _INT64 = struct.Struct("<i").unpack_from, struct.Struct("<q").unpack_from


def batch_of(cursor: bytes) -> tuple[list[bytes], int]:
    """Cut the documents out of the ``cursor`` of a reply to ``find``; give also its id (0: it has no more)."""
    batch = cursor.index(_BATCH) + len(_BATCH)
    end = batch + _INT32(cursor, batch)[0] - 1
    found, at = [], batch + 4
    while at < end:
        at = cursor.index(b"\0", at) + 1  # an element of an array: a type, its number as text, a NUL, the value
        size = _INT32(cursor, at)[0]
        found.append(cursor[at : at + size])
        at += size
    return found, _INT64(cursor, cursor.index(_ID, end) + len(_ID))[0]


def _still(seen: Mapping[str, Any]) -> dict[str, Any]:
    """Select a document while it has the ticket that was seen, whatever that is."""
    ticket = {"$expr": {"$eq": ["$_v", {"$literal": seen["_v"]}]}} if "_v" in seen else {"_v": {"$exists": False}}
    return {"_id": {"$eq": seen["_id"]}, **ticket}


def _empty(first: tuple[Any] | None, end: tuple[Any] | None) -> bool:
    """Tell whether there is nothing between two bounds; the server takes that for a mistake."""
    return first is not None and end is not None and order(first[0]) >= order(end[0])


def _id_of(document: bytes) -> Any:
    return bson.decode(document, codec_options=IDS)["_id"]


class MongoInspection:
    """What only verification and repair ask of a ``MongoTarget``; implements ``verify.inspection.Inspection``."""

    def __init__(self, target: MongoTarget) -> None:
        self._target = target

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""
        return await self._target.lane_epochs()

    async def owner(self) -> Beat | None:
        """Tell whose copy this is; ``None``: nobody has claimed it yet."""
        return await self._target.read_beat()

    async def read_encoded(self, entity: Entity, ids: Sequence[Any], *, keys_only: bool = False) -> list[bytes]:
        """Read documents by ``_id`` as BSON, in any order."""
        if not ids:
            return []
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            projection = {"_id": 1} if keys_only else None
            # The size of the first batch: by default it has 101 documents.
            found = collection.with_options(RAW).find({"_id": {"$in": list(ids)}}, projection, batch_size=len(ids))
            return [bytes(document.raw) for document in await found.to_list()]

    async def read_confirmed(self, entity: Entity, ids: Sequence[Any]) -> list[bytes]:
        """Read documents as BSON from a primary that was one still when they had been read.

        A linearizable read confirms by a majority write that its server is the primary; asked after the others, it
        confirms that they came from the primary too.
        """
        found = await self.read_encoded(entity, ids)
        if ids:
            await self._target.read(entity, [ids[0]])
        return found

    async def read_between(
        self, entity: Entity, first: tuple[Any] | None, end: tuple[Any] | None, *, size: int
    ) -> AsyncIterator[list[bytes]]:
        """Read the documents from one ``_id`` up to another in the order of the index, whatever their types."""
        if _empty(first, end):
            return
        after = None
        while True:
            reply = await self._find(entity, RAW, after or first, end, limit=size)
            found, rest = batch_of(bytes(reply.raw))
            more = await self._close(entity, rest) or len(found) == size
            if after and found and same_id(_id_of(found[0]), after[0]):
                del found[0]
            after = (_id_of(found[-1]),) if found else after
            if found:
                yield found
            if not more:
                return

    async def ids_between(
        self, entity: Entity, first: tuple[Any] | None, end: tuple[Any] | None, *, size: int
    ) -> AsyncIterator[list[Any]]:
        """Read the ``_id``s of such a range, by the index alone."""
        if _empty(first, end):
            return
        after = None
        while True:
            reply = await self._find(entity, IDS, after or first, end, limit=size, projection={"_id": 1})
            found = [document["_id"] for document in reply["firstBatch"]]
            more = await self._close(entity, reply["id"]) or len(found) == size
            if after and found and same_id(found[0], after[0]):
                del found[0]
            after = (found[-1],) if found else after
            if found:
                yield found
            if not more:
                return

    async def walk_ids(
        self, entity: Entity, *, size: int = 2000, after: tuple[Any] | None = None
    ) -> AsyncIterator[list[Any]]:
        """Walk every ``_id`` of the collection, whatever its type, or those after one."""
        last, resume = (None, False) if after is None else (after[0], True)
        async for page in self._target.walk(entity, size=size, tickets=False, after=last, resume=resume):
            yield [document["_id"] for document in page]

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose ids at random."""
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            cursor = await collection.aggregate([{"$sample": {"size": size}}, {"$project": {"_id": 1}}])
            return [document["_id"] async for document in cursor]

    async def _find(
        self,
        entity: Entity,
        codec: bson.CodecOptions[Any],
        first: tuple[Any] | None,
        end: tuple[Any] | None,
        *,
        limit: int,
        projection: Mapping[str, Any] | None = None,
    ) -> Any:
        """Ask for one reply; give its ``cursor``.

        Bounds of the index itself cut no type off, as a filter on ``_id`` would. The command is sent as it is: the
        driver's cursors make an object of every document, which costs more than comparing it does.
        """
        collection = await self._target.reading(entity)
        command: dict[str, Any] = {"find": collection.name, "hint": {"_id": 1}, "limit": limit, "batchSize": limit}
        if projection:
            command["projection"] = projection
        if first is not None:
            command["min"] = {"_id": first[0]}
        if end is not None:
            command["max"] = {"_id": end[0]}
        if collection.read_concern.document:
            command["readConcern"] = collection.read_concern.document
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            reply: Any = await collection.database.command(command, codec_options=codec)
        return reply["cursor"]

    async def _close(self, entity: Entity, cursor: int) -> bool:
        """Close a cursor that has more, and tell whether it had: a reply has 16 MB at most."""
        if cursor:
            with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
                collection = await self._target.reading(entity)
                await collection.database.command({"killCursors": collection.name, "cursors": [Int64(cursor)]})
        return bool(cursor)

    async def release(self, entity: Entity, seen: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Set the ticket of each document to zero if it still is the one seen: the fence lets the next state pass.

        Args:
            entity: whose documents they are.
            seen: the documents as they were looked at: their ``_id``, and their ``_v`` if they have one.

        Returns:
            for each, whether it was.

        """
        updates = [{"q": _still(one), "u": {"$set": {"_v": Int64(0)}}} for one in seen]
        ids = [one["_id"] for one in seen]
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            command = {"update": collection.name, "updates": updates, "ordered": False}
            reply = await collection.database.command(
                {**command, "writeConcern": DURABLE.document}, codec_options=CODEC
            )
            if reply["n"] == len(seen):
                return [True] * len(seen)
            released = collection.find({"_id": {"$in": ids}, "_v": 0}, {"_id": 1})
            done = {bson.encode({"": one["_id"]}, codec_options=CODEC) for one in await released.to_list()}
        return [bson.encode({"": id_}, codec_options=CODEC) in done for id_ in ids]

    def decode(self, document: bytes) -> Document:
        """Decode a document, whoever wrote it."""
        return bson.decode(document, codec_options=LENIENT)

    def encode(self, document: Document) -> bytes:
        """Encode a document exactly as it is written to the server.

        Raises:
            Exception: it holds something that BSON cannot (the driver has several kinds).

        """
        return bson.encode(document, codec_options=CODEC)
