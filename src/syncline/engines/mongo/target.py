"""MongoDB as a target: fenced, idempotent, durable writes."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import pymongo
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.read_concern import ReadConcern

from syncline.engines.mongo import control as control_records
from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo import suitability
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.claims import Claim, Claims, claim_of
from syncline.engines.mongo.clients import Client, close_client, make_client
from syncline.engines.mongo.concurrently import concurrently
from syncline.engines.mongo.documents import as_json, documents
from syncline.engines.mongo.indexes import ensure_indexes, holders, missing_indexes
from syncline.engines.mongo.stored import DECODED, RAW, at, boundary, pages, read_one, sent
from syncline.engines.mongo.writes import CODEC, DURABLE, Writes
from syncline.errors import DamagedRecordError
from syncline.model.entity import Entity, Index
from syncline.model.strict_bson import AS_STORED, decoded, encoded
from syncline.ports import Batch, Beat, Document, Fence, Report, Reverse, same_system

T = TypeVar("T")

SHOWN = AS_STORED.with_options(unicode_decode_error_handler="replace")
"""For what the server tells of itself, commands of others included."""

HOP = 500_000
"""Entries of an index that one command passes."""
CHUNK = 1000
"""Documents per command: larger ones gain nothing and hold the server's locks for longer."""


_ANY_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType({})


class MongoTarget:
    """A MongoDB database; implements ``syncline.ports.Target``.

    Every command carries a time limit that the server enforces too, so that a write
    that has been given up cannot execute much later (the grace of the second delete builds on it).

    Args:
        url: a MongoDB connection string.
        database: name of the database that holds the collections.
        control: collection for lane records and the source's heartbeat.
        link: whose writes these are.
        client: connected to the URL, and closed by whoever has made it; else the target has one of its own.
        timeout: limit of one operation, on both sides of the wire.
        connect_timeout: limit for finding a server that accepts writes.

    """

    fence = Fence.RECORD
    deletes_twice = True
    """A write that was given up may still arrive."""
    admission = ""
    reverse: Reverse | None = None
    """No link goes back from here."""

    def __init__(
        self,
        url: str,
        database: str,
        *,
        control: str = "_syncline",
        link: str = "syncline",
        client: Client | None = None,
        timeout: timedelta = timedelta(seconds=10),
        connect_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        self._lent = client is not None
        self._client = make_client(url, connect_timeout) if client is None else client
        self._database = self._client.get_database(database, codec_options=CODEC, write_concern=DURABLE)
        self._control = self._database[control]
        self._writes = Writes(self._database)
        self._claims, self._link = Claims(self._database, control), link
        self._claim: Claim | None = None
        """What is to be noted as this link's; ``None``: nothing is known of its source."""
        self._command_seconds = timeout.total_seconds()
        self._finding_seconds = min(connect_timeout, timeout).total_seconds()
        self._replica_set: bool | None = None

    @property
    def timeout_seconds(self) -> float:
        """The limit of an operation: while no server is known that accepts writes, the one for finding it.

        (The driver's own limit for that does not hold within ``pymongo.timeout``.)
        """
        known = self._client.topology_description.has_writable_server()
        return self._command_seconds if known else self._finding_seconds

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Create the declared indexes, and note whose the collections are; idempotent.

        Raises:
            UnsuitableTargetError: the server is no MongoDB, or a collection cannot be a target.
            TargetError: an index cannot be made.

        """
        await self.require_suitable(entities)
        if self._claim is not None and await self._is_its(self._claim.system):
            with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
                await self._claims.take(self._claim)

        async def prepare(entity: Entity) -> None:
            await ensure_indexes(self._database[entity.collection], entity)

        with mongo_errors.translated(), pymongo.timeout(None):
            await concurrently(prepare, [entity for entity in entities if entity.indexes])

    async def _is_its(self, system: str) -> bool:
        """Tell whether this is the source's target; the heartbeat says what is wrong with another, or its record."""
        try:
            beat = await self.read_beat()
        except DamagedRecordError:
            return False
        return beat is None or same_system(beat.system, system)

    async def require_suitable(
        self,
        entities: Sequence[Entity],
        *,
        fields: Mapping[str, Sequence[str]] = _ANY_FIELDS,  # noqa: ARG002  a document may have any
        system: str = "",
    ) -> None:
        """Look whether the server and the collections can be a target; see ``syncline.engines.mongo.suitability``."""
        await suitability.require_suitable(self.ask, entities, self._control.name)
        if system:
            with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
                await self._claims.require_free(claim_of(self._link, system, entities))

    def claim_for(self, system: str, entities: Sequence[Entity]) -> None:
        """Say which source's collections these are to be: ``prepare`` looks, and notes."""
        self._claim = claim_of(self._link, system, entities)

    async def release(self) -> None:
        """Forget which collections were this link's: others may write them."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            await self._claims.release()

    async def remarks(self, entities: Sequence[Entity]) -> list[str]:  # noqa: ARG002
        """Say nothing: documents that are not ours stay as they are, and are told apart."""
        return []

    async def ask_gate(self) -> bool:
        """Say that there is no gate."""
        return True

    async def apply(self, batch: Batch) -> Report:
        """Write states; see ``syncline.ports.Target.apply``."""
        collection = self._database[batch.entity.collection]
        report = Report()
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            for chunk in _chunks(batch.inserts):
                present = await self._writes.insert(collection, documents(batch, chunk), report)
                report.present += len(present)
                if present:
                    await self._writes.upsert(collection, present, report)
            for chunk in _chunks(batch.upserts):
                await self._writes.upsert(collection, documents(batch, chunk), report)
            for gone in _chunks(batch.deletes):
                await self._writes.delete(collection, gone, report)
        return report

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's documents as MongoDB's extended JSON."""
        return as_json(batch)

    async def holders(self, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Find, for each unique value, the record that has it now."""
        collection = self._database[entity.collection]
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            return await holders(collection, values)

    async def lane_epochs(self) -> dict[int, int]:
        """Read what each lane announced here."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            control = await self._consistent(self._control)
            if self._replica_set:
                # After a failover a majority read may miss what was acknowledged before; once the new primary has
                # confirmed a linearizable read it has everything. (An old epoch looks like a restored target.)
                await self._control_record(control_records.SOURCE)
            records = await control.with_options(RAW).find(control_records.LANES).to_list()
        return control_records.lane_epochs([bytes(one.raw) for one in records], self._control.full_name)

    async def announce(self, epochs: Mapping[int, int]) -> set[int]:
        """Raise lane records; an epoch belongs to one acquisition, so who reads it back has raised it."""
        raises = [
            UpdateOne({"_id": f"lane/{lane}"}, {"$max": {"epoch": epoch}, "$set": {"lane": lane}}, upsert=True)
            for lane, epoch in epochs.items()
        ]
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            if raises:
                await self._control.bulk_write(raises, ordered=False)
        stored = await self.lane_epochs()
        return {lane for lane, epoch in epochs.items() if stored.get(lane) == epoch}

    async def beat(self, beat: Beat, *, over: str | None = None) -> Beat | None:
        """Advance the heartbeat record; another system's stays unless it is ``over``."""
        record = {"_id": control_records.SOURCE, **dataclasses.asdict(beat)}
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            before: Any = await self._control.with_options(RAW).find_one_and_update(
                {"_id": control_records.SOURCE},
                control_records.replacement(beat, record, over=over),
                upsert=True,
                return_document=pymongo.ReturnDocument.BEFORE,
            )
        return control_records.beat_of(None if before is None else bytes(before.raw), self._control.full_name)

    async def read_beat(self) -> Beat | None:
        """Read the heartbeat record without touching it."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            record = await self._control_record(control_records.SOURCE)
        return control_records.beat_of(record, self._control.full_name)

    async def _control_record(self, id_: str) -> bytes | None:
        return await read_one(await self._consistent(self._control, single=True), id_)

    async def require_sound_records(self) -> None:
        """Look at our own records.

        Raises:
            DamagedRecordError: somebody else has changed one of them.

        """
        await self.read_beat()
        await self.lane_epochs()

    async def read(self, entity: Entity, ids: Sequence[Any]) -> list[Document]:
        """Read by ``_id``; a single record linearizably where the server has replicas."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            collection = await self._consistent(self._database[entity.collection], single=len(ids) == 1)
            if len(ids) == 1:
                found = await read_one(collection, ids[0])
                return [] if found is None else [decoded(found)]
            cursor = collection.with_options(RAW).find({"_id": {"$in": list(ids)}})
            return [decoded(bytes(document.raw)) for document in await cursor.to_list()]

    async def walk(
        self, entity: Entity, *, after: Any = None, size: int = 1000, resume: bool = False, until: Any = ...
    ) -> AsyncIterator[list[Document]]:
        """Walk ``{_id, _v}`` in the order of the index, whatever types the ``_id``s have."""
        collection, end = await self.reading(entity), None if until is ... else encoded({"_id": until})
        if resume and end is not None and order(after) >= order(until):
            return  # such bounds are refused
        options: dict[str, Any] = {"fields": {"_id": 1, "_v": 1}, "seconds": self.timeout_seconds}
        first = encoded({"_id": after}) if resume else None
        async for page in pages(collection, DECODED, first=first, passed=resume, end=end, size=size, **options):
            yield page
        if end is not None and (last := await at(collection, DECODED, end, **options)):
            yield last

    async def cut(self, entity: Entity, parts: int, *, least: int) -> list[Any]:
        """Cut a collection, at so many entries of its index behind each other."""
        collection = await self.reading(entity)
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            size = max(least, -(-await collection.estimated_document_count() // parts))
        cuts: list[bytes] = []
        first: bytes | None = None
        while len(cuts) < parts - 1:
            for passed in range(0, size, HOP):  # each command has its time
                hop = min(HOP, size - passed)
                first = await boundary(collection, first=first, end=None, size=hop, seconds=self.timeout_seconds)
                if first is None:
                    return [decoded(one)["_id"] for one in cuts]
            assert first is not None  # noqa: S101  there is at least one hop
            cuts.append(first)
        return [decoded(one)["_id"] for one in cuts]

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:
        """Remove documents of ours by ``_id``: those that carry our fields."""
        ours = {"_v": {"$type": "number"}, "_originalId": {"$type": "string"}, "_source": {"$type": "string"}}
        deletes = [{"q": sent({"_id": {"$in": list(ids)}, **ours}), "limit": 0}]
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            reply = await self._writes.command("delete", self._database[entity.collection], "deletes", deletes)
            mongo_errors.of(reply)
        return int(reply["n"])

    async def probe(self) -> None:
        """Write something small and durable: is it the server or the batch that fails?"""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            await self._control.replace_one({"_id": "probe"}, {"nonce": uuid.uuid4().hex}, upsert=True)

    async def count(self, entity: Entity) -> int:
        """Count the documents of a collection, from its metadata."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            return await self._database[entity.collection].estimated_document_count()

    async def missing_indexes(self, entity: Entity) -> list[Index]:
        """List declared indexes that the collection does not have."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            return await missing_indexes(self._database[entity.collection], entity)

    async def ping(self) -> Mapping[str, Any]:
        """Reach the primary; return ``version``, ``replica_set`` and ``storage``."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            info = await self._client.admin.command("buildInfo")
            hello = await self._client.admin.command("hello")
        return {
            "version": info["version"],
            "replica_set": hello.get("setName"),
            "max_document_bytes": hello["maxBsonObjectSize"],
        }

    async def ask(self, command: Mapping[str, Any], *, admin: bool = False) -> Mapping[str, Any]:
        """Run a command and return the reply as it is; for who examines the server."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            return await (self._client.admin if admin else self._database).command(dict(command), codec_options=SHOWN)

    async def close(self) -> None:
        """Close the client, unless it is lent."""
        if not self._lent:
            await close_client(self._client)

    async def reading(self, entity: Entity) -> AsyncCollection[dict[str, Any]]:
        """Give an entity's collection, to be read at the strongest concern that this server has for many records."""
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            return await self._consistent(self._database[entity.collection])

    async def _consistent(
        self, collection: AsyncCollection[dict[str, Any]] | Any, *, single: bool = False
    ) -> AsyncCollection[Any]:
        """Choose the strongest read concern that this server has for this kind of read."""
        if self._replica_set is None:
            self._replica_set = bool((await self._client.admin.command("hello")).get("setName"))
        if not self._replica_set:
            return collection
        return collection.with_options(read_concern=ReadConcern("linearizable" if single else "majority"))


def _chunks(items: list[T]) -> Iterable[list[T]]:
    if len(items) <= CHUNK:
        return [items] if items else []
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
