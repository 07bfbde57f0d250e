"""Fenced writes into a collection: what is older than the stored document is refused, and read back.

Each command is durable and idempotent; what cannot be sent or stored is found and rejected, the rest goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import bson
from bson.decimal128 import Decimal128
from bson.min_key import MinKey
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.write_concern import WriteConcern

from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.bson_order import order
from syncline.engines.mongo.stored import RAW
from syncline.model.strict_bson import UNDEFINED, Odd, decoded, leading
from syncline.ports import Absence, Conflict, Document, Rejection, Report

NEWER_WINS = [{"$replaceWith": {"$cond": [{"$lt": [{"$ifNull": ["$_v", -1]}, "$$new._v"]}, "$$new", "$$ROOT"]}}]
"""Replace where the stored ticket is lower, insert where there is nothing.

The document comes as a constant of the update (``c``), so that values which begin with ``$`` stay values. The form with
``_v`` in the filter runs at half the speed and raises a duplicate key for each stale one.
"""

DURABLE = WriteConcern(w="majority", j=True)
"""With the driver's default a killed server forgot documents that had been acknowledged."""
FORGETTABLE = WriteConcern(w=1, j=False)
"""For what is done again where a server forgets it."""

CODEC = bson.CodecOptions[dict[str, Any]](
    uuid_representation=bson.binary.UuidRepresentation.STANDARD,
    datetime_conversion=bson.codec_options.DatetimeConversion.DATETIME_AUTO,
    tz_aware=False,
)

REPLIES = CODEC.with_options(unicode_decode_error_handler="replace")
"""For write commands: the server cuts a long message anywhere, also within a character."""


class Writes:
    """The write commands of one database; what became of each record goes into a report."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database

    async def insert(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> list[Document]:
        """Insert; return the documents whose ``_id`` was there already."""
        try:
            reply = await self.command("insert", collection, "documents", documents)
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

    async def upsert(
        self, collection: AsyncCollection[dict[str, Any]], documents: list[Document], report: Report
    ) -> None:
        """Replace what is older, insert where there is nothing."""
        updates = [{"q": {"_id": d["_id"]}, "u": NEWER_WINS, "c": {"new": d}, "upsert": True} for d in documents]
        try:
            reply = await self.command("update", collection, "updates", updates)
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
        reply = await self.command("update", collection, "updates", updates)
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
                await self.upsert(collection, part, report)

    async def command(
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

    async def delete(
        self, collection: AsyncCollection[dict[str, Any]], absences: list[Absence], report: Report
    ) -> None:
        """Delete what is older."""
        # `$lt` would miss documents without `_v`.
        deletes = [{"q": {"_id": gone.id, "_v": {"$not": {"$gte": gone.ticket}}}, "limit": 1} for gone in absences]
        try:
            reply = await self.command("delete", collection, "deletes", deletes)
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
        await self.delete(collection, absences[:half], report)
        await self.delete(collection, absences[half:], report)

    @staticmethod
    def _note(report: Report, key: str, write_error: Mapping[str, Any], document: Document | None = None) -> None:
        if mongo_errors.is_conflict(write_error):
            value = mongo_errors.unique_value(write_error, document or {})
            report.conflicts.append(Conflict(key, mongo_errors.index_name(write_error), value))
        else:
            report.rejected.append(
                Rejection(key, mongo_errors.rejection_code(write_error), str(write_error.get("errmsg", "")))
            )


def _outranks(version: Any, ticket: int) -> bool:
    """Tell whether the fence keeps this ticket out: by a higher number, or by what the order of types puts above."""
    if isinstance(version, (int, float, Decimal128)) and not isinstance(version, bool):
        return order(ticket) < order(version)
    nothing = version is None or (isinstance(version, Odd) and version.tag == UNDEFINED)
    return not nothing and not isinstance(version, MinKey)
