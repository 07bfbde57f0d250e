"""MongoDB as a target: fenced, idempotent, durable writes."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, TypeVar

import bson
import pymongo
from bson.decimal128 import Decimal128
from bson.min_key import MinKey
from pymongo import AsyncMongoClient, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from syncline.ending import end
from syncline.engines.mongo import control as control_records
from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo import suitability
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.concurrently import concurrently
from syncline.engines.mongo.documents import as_json, documents
from syncline.engines.mongo.indexes import ensure_indexes, holders, missing_indexes
from syncline.engines.mongo.stored import DECODED, RAW, pages, read_one, sent
from syncline.errors import TargetError
from syncline.model.entity import Entity, Index
from syncline.model.strict_bson import AS_STORED, UNDEFINED, Odd, decoded, encoded, leading
from syncline.ports import Absence, Batch, Beat, Conflict, Document, Rejection, Report

T = TypeVar("T")

NEWER_WINS = [{"$replaceWith": {"$cond": [{"$lt": [{"$ifNull": ["$_v", -1]}, "$$new._v"]}, "$$new", "$$ROOT"]}}]
"""Replace where the stored ticket is lower, insert where there is nothing.

The document comes as a constant of the update (``c``), so that values which begin with ``$`` stay values. The form with
``_v`` in the filter runs at half the speed and raises a duplicate key for each stale one.
"""

DURABLE = WriteConcern(w="majority", j=True)
"""With the driver's default a killed server forgot documents that had been acknowledged."""

CODEC = bson.CodecOptions[dict[str, Any]](
    uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO,
    tz_aware=False,
)

REPLIES = CODEC.with_options(unicode_decode_error_handler="replace")
"""For write commands: the server cuts a long message anywhere, also within a character."""

SHOWN = AS_STORED.with_options(unicode_decode_error_handler="replace")
"""For what the server tells of itself, commands of others included."""

CHUNK = 1000
"""Documents per command: larger ones gain nothing and hold the server's locks for longer."""


CLOSE_SECONDS = 0.3
_ANY_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType({})


class MongoTarget:
    """A MongoDB database; implements ``syncline.ports.Target``.

    One client (one pool) per object. Every command carries a time limit that the server enforces too, so that a write
    that has been given up cannot execute much later (the grace of the second delete builds on it).

    Args:
        url: a MongoDB connection string.
        database: name of the database that holds the collections.
        control: collection for lane records and the source's heartbeat.
        timeout: limit of one operation, on both sides of the wire.
        connect_timeout: limit for finding a server that accepts writes.

    """

    deletes_twice = True
    """A write that was given up may still arrive."""

    def __init__(
        self,
        url: str,
        database: str,
        *,
        control: str = "_syncline",
        timeout: timedelta = timedelta(seconds=10),
        connect_timeout: timedelta = timedelta(seconds=5),
    ) -> None:
        try:
            self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
                url,
                appname="syncline",
                retryWrites=False,
                serverSelectionTimeoutMS=int(connect_timeout.total_seconds() * 1000),
                connectTimeoutMS=int(connect_timeout.total_seconds() * 1000),
                uuidRepresentation="standard",
            )
        except PyMongoError as error:
            raise TargetError(f"this is not a usable MongoDB URL: {error}") from error
        self._database = self._client.get_database(database, codec_options=CODEC, write_concern=DURABLE)
        self._control = self._database[control]
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
        """Create the declared indexes; idempotent.

        Raises:
            UnsuitableTargetError: the server is no MongoDB, or a collection cannot be a target.
            TargetError: an index cannot be made.

        """
        await self.require_suitable(entities)

        async def prepare(entity: Entity) -> None:
            await ensure_indexes(self._database[entity.collection], entity)

        with mongo_errors.translated(), pymongo.timeout(None):
            await concurrently(prepare, [entity for entity in entities if entity.indexes])

    async def require_suitable(
        self,
        entities: Sequence[Entity],
        *,
        fields: Mapping[str, Sequence[str]] = _ANY_FIELDS,  # noqa: ARG002  a document may have any
        system: str = "",  # noqa: ARG002  a source is no MongoDB
    ) -> None:
        """Look whether the server and the collections can be a target; see ``syncline.engines.mongo.suitability``."""
        await suitability.require_suitable(self.ask, entities, self._control.name)

    async def remarks(self, entities: Sequence[Entity]) -> list[str]:  # noqa: ARG002
        """Say nothing: documents that are not ours stay as they are, and are told apart."""
        return []

    async def apply(self, batch: Batch) -> Report:
        """Write states; see ``syncline.ports.Target.apply``."""
        collection = self._database[batch.entity.collection]
        report = Report()
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            for chunk in _chunks(batch.inserts):
                present = await self._insert(collection, documents(batch, chunk), report)
                report.present += len(present)
                if present:
                    await self._upsert(collection, present, report)
            for chunk in _chunks(batch.upserts):
                await self._upsert(collection, documents(batch, chunk), report)
            for gone in _chunks(batch.deletes):
                await self._delete(collection, gone, report)
        return report

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's documents as MongoDB's extended JSON."""
        return as_json(batch)

    async def _insert(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> list[Document]:
        """Insert; return the documents whose ``_id`` was there already."""
        try:
            reply = await self._command("insert", collection, "documents", documents)
        except Exception as refusal:
            if not mongo_errors.is_of_contents(refusal):
                raise
            await self._upsert_sifted(collection, documents, refusal, report)
            return []
        present = []
        for error in mongo_errors.of(reply):
            document = documents[error["index"]]
            if mongo_errors.is_duplicate_id(error):
                present.append(document)
            else:
                self._note(report, document["_originalId"], error, document)
        return present

    async def _upsert(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> None:
        updates = [{"q": {"_id": d["_id"]}, "u": NEWER_WINS, "c": {"new": d}, "upsert": True} for d in documents]
        try:
            reply = await self._command("update", collection, "updates", updates)
        except Exception as refusal:
            if not mongo_errors.is_of_contents(refusal):
                raise
            await self._upsert_sifted(collection, documents, refusal, report)
            return
        errors = list(mongo_errors.of(reply))
        if stale := reply["n"] - len(reply.get("upserted", ())) - reply["nModified"]:
            report.stale += stale
            refused = {error["index"] for error in errors}
            await self._left(collection, [one for n, one in enumerate(documents) if n not in refused], report)
        ambiguous = []
        for error in errors:
            document = documents[error["index"]]
            if mongo_errors.is_of_repeated_field(error):
                ambiguous.append(document)
            else:
                self._note(report, document["_originalId"], error, document)
        if ambiguous:
            await self._replace(collection, ambiguous, report)

    async def _left(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> None:
        """Read back what stands in the place of documents of which some were not written."""
        written = [(d["_originalId"], d["_id"], d["_v"]) for d in documents]
        standing = await self._read_back(collection, written, report)
        report.unknown |= {key for key, _, ticket in written if standing.get(key) != ticket}
        report.unknown -= report.outranked.keys()

    async def _replace(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> None:
        """Write over documents that have two fields of one name: the server refuses to update those by a pipeline."""
        updates = [
            {"q": {"_id": d["_id"], "$expr": {"$lt": [{"$ifNull": ["$_v", -1]}, d["_v"]]}}, "u": d} for d in documents
        ]
        reply = await self._command("update", collection, "updates", updates)
        errors = mongo_errors.of(reply)
        for error in errors:
            document = documents[error["index"]]
            self._note(report, document["_originalId"], error, document)
        if reply["n"] < len(documents):
            refused = {error["index"] for error in errors}
            before = len(report.outranked)
            await self._left(collection, [one for n, one in enumerate(documents) if n not in refused], report)
            report.stale += len(report.outranked) - before

    async def _upsert_sifted(
        self,
        collection: AsyncCollection[dict[str, Any]],
        documents: list[Document],
        refusal: Exception,
        report: Report,
    ) -> None:
        """Write what can be written in portions that fit a message; the rest is rejected."""
        if len(documents) == 1:
            (document,) = documents
            report.rejected.append(Rejection(document["_originalId"], *mongo_errors.refused(document, refusal, CODEC)))
            return
        async for portion in mongo_errors.portions(documents, report, CODEC):
            half = (len(portion) + 1) // 2 if len(portion) == len(documents) else len(portion)
            for part in filter(None, (portion[:half], portion[half:])):
                await self._upsert(collection, part, report)

    async def _command(
        self, name: str, collection: AsyncCollection[dict[str, Any]], field: str, operations: Sequence[Any]
    ) -> dict[str, Any]:
        """Send a write command as it is: the driver's bulk interface costs more per operation than encoding it does.

        Raises:
            Exception: it cannot be encoded, or not sent as one message; the driver has many kinds.

        """
        return await self._database.command(
            {name: collection.name, field: operations, "ordered": False, "writeConcern": DURABLE.document},
            codec_options=REPLIES,  # a command takes the driver's defaults, not the database's
        )

    async def _delete(
        self, collection: AsyncCollection[dict[str, Any]], absences: list[Absence], report: Report
    ) -> None:
        # `$lt` would miss documents without `_v`.
        deletes = [{"q": {"_id": gone.id, "_v": {"$not": {"$gte": gone.ticket}}}, "limit": 1} for gone in absences]
        try:
            reply = await self._command("delete", collection, "deletes", deletes)
        except Exception as refusal:
            if not mongo_errors.is_of_contents(refusal):
                raise
            await self._delete_sifted(collection, absences, refusal, report)
            return
        for error in mongo_errors.of(reply):
            self._note(report, absences[error["index"]].key, error)
        if reply["n"] < len(absences):  # nothing there, or something that the ticket does not reach
            before = len(report.outranked)
            standing = await self._read_back(
                collection, [(gone.key, gone.id, gone.ticket - 1) for gone in absences], report
            )
            report.unknown |= standing.keys() - report.outranked.keys()
            report.stale += len(report.outranked) - before

    @staticmethod
    async def _read_back(
        collection: AsyncCollection[dict[str, Any]], written: Sequence[tuple[str, Any, int]], report: Report
    ) -> dict[str, Any]:
        """Find the records (key, _id, ticket) that have a higher ticket; from the primary, where they were written.

        What kept a write out may be gone by now (a repair takes a ticket away): returned is what stands there, by key.
        """
        ids = {order(id_): (key, ticket) for key, id_, ticket in written}
        wanted = {"_id": {"$in": [id_ for _, id_, _ in written]}}
        cursor = collection.with_options(RAW).find(wanted, {"_v": 1}, batch_size=len(written))
        standing = {}
        for found in map(decoded, [bytes(document.raw) for document in await cursor.to_list()]):
            key, ticket = ids[order(found["_id"])]
            standing[key] = leading(found.get("_v"))
            if _outranks(standing[key], ticket):
                report.outranked[key] = standing[key]
        return standing

    async def _delete_sifted(
        self,
        collection: AsyncCollection[dict[str, Any]],
        absences: list[Absence],
        refusal: Exception,
        report: Report,
    ) -> None:
        """Find the ``_id`` that cannot be sent by halving."""
        if len(absences) == 1:
            (gone,) = absences
            report.rejected.append(Rejection(gone.key, *mongo_errors.refused({"_id": gone.id}, refusal, CODEC)))
            return
        half = len(absences) // 2
        await self._delete(collection, absences[:half], report)
        await self._delete(collection, absences[half:], report)

    @staticmethod
    def _note(report: Report, key: str, write_error: Mapping[str, Any], document: Document | None = None) -> None:
        if mongo_errors.is_conflict(write_error):
            value = mongo_errors.unique_value(write_error, document or {})
            report.conflicts.append(Conflict(key, mongo_errors.index_name(write_error), value))
        else:
            report.rejected.append(
                Rejection(key, mongo_errors.rejection_code(write_error), str(write_error.get("errmsg", "")))
            )

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
        self, entity: Entity, *, after: Any = None, size: int = 1000, resume: bool = False
    ) -> AsyncIterator[list[Document]]:
        """Walk ``{_id, _v}`` in the order of the index, whatever types the ``_id``s have."""
        collection = await self.reading(entity)
        async for page in pages(
            collection,
            DECODED,
            first=encoded({"_id": after}) if resume else None,
            passed=resume,
            size=size,
            fields={"_id": 1, "_v": 1},
            seconds=self.timeout_seconds,
        ):
            yield page

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:
        """Remove documents of ours by ``_id``: those that carry our fields."""
        ours = {"_v": {"$type": "number"}, "_originalId": {"$type": "string"}, "_source": {"$type": "string"}}
        deletes = [{"q": sent({"_id": {"$in": list(ids)}, **ours}), "limit": 0}]
        with mongo_errors.translated(), pymongo.timeout(self.timeout_seconds):
            reply = await self._command("delete", self._database[entity.collection], "deletes", deletes)
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
        """Close the pool, in time: the driver wants to tell a server that may hang of the sessions that end."""
        with pymongo.timeout(CLOSE_SECONDS):
            closing = asyncio.ensure_future(self._client.close())
        await asyncio.wait({closing}, timeout=CLOSE_SECONDS)
        await end(closing, seconds=CLOSE_SECONDS, again=CLOSE_SECONDS / 4)
        if closing.done() and not closing.cancelled():
            with mongo_errors.translated():
                closing.result()

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


def _outranks(version: Any, ticket: int) -> bool:
    """Tell whether the fence keeps this ticket out: by a higher number, or by what the order of types puts above."""
    if isinstance(version, (int, float, Decimal128)) and not isinstance(version, bool):
        return order(ticket) < order(version)
    nothing = version is None or (isinstance(version, Odd) and version.tag == UNDEFINED)
    return not nothing and not isinstance(version, MinKey)


def _chunks(items: list[T]) -> Iterable[list[T]]:
    if len(items) <= CHUNK:
        return [items] if items else []
    return [items[start : start + CHUNK] for start in range(0, len(items), CHUNK)]
