"""MongoDB as verification sees it: documents as they are stored, confirmed reads, and the release of a false ticket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar

import bson
import pymongo
from bson.int64 import Int64

from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.stored import AS_BSON, IDS, RAW, Form, pages, read_one, sent
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import CODEC, DURABLE
from syncline.model.entity import Entity
from syncline.model.strict_bson import AS_STORED, Odd, decoded, encoded, id_of, leading
from syncline.ports import Beat, Document, Documents, Plan, Stored, TargetDigests

T = TypeVar("T")


def _still(seen: Mapping[str, Any]) -> Mapping[str, Any]:
    """Select a document while it has the ticket that was seen, whatever that is."""
    if "_v" not in seen:
        return sent({"_id": {"$eq": seen["_id"]}, "_v": {"$exists": False}})
    ticket = {"$eq": ["$_v", {"$literal": leading(seen["_v"])}]}
    return sent({"_id": {"$eq": seen["_id"]}, "$expr": ticket})


def _empty(first: tuple[Any] | None, end: tuple[Any] | None) -> bool:
    """Tell whether there is nothing between two bounds; the server takes that for a mistake."""
    return first is not None and end is not None and order(first[0]) >= order(end[0])


def _bound(place: tuple[Any] | None) -> bytes | None:
    return None if place is None else encoded({"_id": place[0]})


class MongoInspection:
    """What only verification and repair ask of a ``MongoTarget``; implements ``syncline.ports.Inspection``."""

    has_tickets = True
    digests: TargetDigests | None = None

    def __init__(self, target: MongoTarget) -> None:
        self._target = target

    @property
    def documents(self) -> Documents:
        """Reads of many documents."""
        return self

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
        fields = {"_id": 1} if keys_only else None
        odd = [id_ for id_ in ids if isinstance(id_, Odd)]
        plain = [id_ for id_ in ids if not isinstance(id_, Odd)] if odd else list(ids)
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = (await self._target.reading(entity)).with_options(RAW)
            # The size of the first batch: by default it has 101 documents.
            found = collection.find({"_id": {"$in": plain}}, fields, batch_size=len(ids))
            documents = [bytes(document.raw) for document in await found.to_list()]
            alone = [await read_one(collection, id_) for id_ in odd]
        return documents + [document for document in alone if document is not None]

    async def confirmed(self, plan: Plan, ids: Sequence[Any]) -> list[Stored]:
        """Read documents from a primary that was one still when they had been read.

        A linearizable read confirms by a majority write that its server is the primary; asked after the others, it
        confirms that they came from the primary too.
        """
        found = await self.read_encoded(plan.entity, ids)
        if ids:
            await self._target.read(plan.entity, [ids[0]])
        documents = map(self.decode, found)
        return [Stored(one["_id"], encoded, one) for one, encoded in zip(documents, found, strict=True)]

    async def read_between(
        self, entity: Entity, first: tuple[Any] | None, end: tuple[Any] | None, *, size: int
    ) -> AsyncIterator[list[bytes]]:
        """Read the documents from one ``_id`` up to another in the order of the index, whatever their types."""
        if not _empty(first, end):
            async for found in self._pages(entity, AS_BSON, first=_bound(first), end=_bound(end), size=size):
                yield found

    async def ids_between(
        self, entity: Entity, first: tuple[Any] | None, end: tuple[Any] | None, *, size: int
    ) -> AsyncIterator[list[Any]]:
        """Read the ``_id``s of such a range, by the index alone."""
        if not _empty(first, end):
            bounds = {"first": _bound(first), "end": _bound(end)}
            async for found in self._pages(entity, IDS, size=size, fields={"_id": 1}, **bounds):
                yield found

    async def walk_ids(
        self, entity: Entity, *, size: int = 2000, after: tuple[Any] | None = None
    ) -> AsyncIterator[list[Any]]:
        """Walk every ``_id`` of the collection, whatever its type, or those after one."""
        bounds = {"first": _bound(after), "passed": after is not None}
        async for found in self._pages(entity, IDS, size=size, fields={"_id": 1}, **bounds):
            yield found

    async def sample_ids(self, entity: Entity, size: int) -> list[Any]:
        """Choose ids at random."""
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            pipeline = [{"$sample": {"size": size}}, {"$project": {"_id": 1}}]
            cursor = await collection.with_options(RAW).aggregate(pipeline)
            return [decoded(bytes(found.raw), AS_STORED)["_id"] async for found in cursor]

    async def _pages(self, entity: Entity, form: Form[T], **options: Any) -> AsyncIterator[list[T]]:
        collection = await self._target.reading(entity)
        async for found in pages(collection, form, seconds=self._target.timeout_seconds, **options):
            yield found

    async def release(self, entity: Entity, seen: Sequence[Mapping[str, Any]]) -> list[bool]:
        """Set the ticket of each document to zero if it still is the one seen: the fence lets the next state pass.

        Args:
            entity: whose documents they are.
            seen: the documents as they were looked at: their ``_id``, and their ``_v`` if they have one.

        Returns:
            for each, whether it was.

        """
        updates = [{"q": _still(one), "u": {"$set": {"_v": Int64(0)}}} for one in seen]
        ids = [encoded({"_id": one["_id"]}) for one in seen]
        with mongo_errors.translated(), pymongo.timeout(self._target.timeout_seconds):
            collection = await self._target.reading(entity)
            command = {"update": collection.name, "updates": updates, "ordered": False}
            reply = await collection.database.command(
                {**command, "writeConcern": DURABLE.document}, codec_options=CODEC
            )
            if reply["n"] == len(seen):
                return [True] * len(seen)
        there = await self.read_encoded(entity, [one["_id"] for one in seen])
        released = {id_of(document) for document in there if leading(decoded(document).get("_v")) == 0}
        return [id_ in released for id_ in ids]

    def decode(self, document: bytes) -> Document:
        """Decode a document, whoever wrote it, so that nothing of what it says is lost."""
        return decoded(document)

    def encode(self, document: Document) -> bytes:
        """Encode a document exactly as it is written to the server.

        Raises:
            Exception: it holds something that BSON cannot (the driver has several kinds).

        """
        return bson.encode(document, codec_options=CODEC)
