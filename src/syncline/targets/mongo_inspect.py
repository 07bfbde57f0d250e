"""MongoDB as verification sees it: documents as they are stored, confirmed reads, and the release of a false ticket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import bson
import pymongo
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

from syncline.model.entity import Entity
from syncline.ports import Document
from syncline.targets import mongo_errors
from syncline.targets.mongo import CODEC, MongoTarget

LENIENT = CODEC.with_options(unicode_decode_error_handler="replace")
"""Anybody may have written what is looked at here."""
RAW = bson.CodecOptions(document_class=RawBSONDocument)


class MongoInspection:
    """What only verification and repair ask of a ``MongoTarget``; implements ``verify.inspection.Inspection``."""

    def __init__(self, target: MongoTarget) -> None:
        self._target = target

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""
        return await self._target.lane_epochs()

    async def installation(self) -> str | None:
        """Tell whose copy this is; ``None``: nobody has claimed it yet."""
        beat = await self._target.read_beat()
        return None if beat is None else beat.installation

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

    async def walk_ids(self, entity: Entity, *, size: int = 2000) -> AsyncIterator[list[Any]]:
        """Walk every ``_id`` of the collection, whatever its type."""
        async for page in self._target.walk(entity, size=size, tickets=False):
            yield [document["_id"] for document in page]

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose ids at random."""
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            cursor = await collection.aggregate([{"$sample": {"size": size}}, {"$project": {"_id": 1}}])
            return [document["_id"] async for document in cursor]

    async def release(self, entity: Entity, seen: Mapping[str, Any]) -> bool:
        """Set the ticket of a document to zero if it still is the one seen: the fence lets the next state pass.

        Args:
            entity: whose document it is.
            seen: the document as it was looked at: its ``_id``, and its ``_v`` if it has one.

        """
        same: dict[str, Any] = {"$expr": {"$eq": ["$_v", {"$literal": seen["_v"]}]}} if "_v" in seen else {}
        ticket = same or {"_v": {"$exists": False}}
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            seen_still = {"_id": {"$eq": seen["_id"]}, **ticket}
            result = await collection.update_one(seen_still, {"$set": {"_v": Int64(0)}})
            return bool(result.matched_count)

    def decode(self, document: bytes) -> Document:
        """Decode a document, whoever wrote it."""
        return bson.decode(document, codec_options=LENIENT)

    def encode(self, document: Document) -> bytes:
        """Encode a document exactly as it is written to the server.

        Raises:
            Exception: it holds something that BSON cannot (the driver has several kinds).

        """
        return bson.encode(document, codec_options=CODEC)
