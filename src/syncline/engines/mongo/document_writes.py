"""An application's writes, each a single one that marks and is durable: ``ports.document_writes.WritableDocuments``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bson import ObjectId
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import (
    BulkWriteError,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    WriteConcernError,
    WriteError,
)
from pymongo.read_concern import ReadConcern

from syncline.capture.documents.field import FIELD, FLOOR, IS_LIVE, LIVE, LOG, MARK, TOMBSTONE, VERSION
from syncline.capture.documents.gate import WriteGate, passing
from syncline.capture.documents.indexes import MARKS
from syncline.capture.documents.obstacles import DUPLICATE, no_room
from syncline.capture.documents.updates import Pipeline, merged, only_if, replacement, tombstone
from syncline.capture.documents.validator import is_refusal_of_gate
from syncline.engines.mongo.clearing import BY_ID
from syncline.engines.mongo.errors import is_servers_own
from syncline.engines.mongo.marked import marked_document, translated
from syncline.engines.mongo.noted import ROOM, entry, noted_in, taken_out
from syncline.engines.mongo.waiting import Held, oldest
from syncline.engines.mongo.writes import DURABLE, FORGETTABLE
from syncline.errors import (
    GateClosedError,
    RefusedDocumentError,
    SourceUnavailableError,
    SynclineError,
    UnmarkableError,
)
from syncline.model.strict_bson import PLAIN, decoded, encoded
from syncline.ports.document_writes import Action, Beside, Existing, Write, Written
from syncline.ports.documents import MarkedDocument, Noted, Standing

_WRITTEN = PLAIN.with_options(document_class=RawBSONDocument)  # what comes back is not decoded: it may be anything
_SMALL = 1024 * 1024
"""So many bytes of what is set: a command is a document, too."""
_NO_SUCH_COMMAND = 59
_TOGETHER = 100
"""So many documents lose what is noted in them by one statement."""


class MongoDocumentWrites:
    """Writes into the collections of a database, with versions from the server's clock.

    Args:
        database: the database.
        gate: whom each write asks, before it and again before it returns; ``None``: nobody.

    """

    def __init__(self, database: AsyncDatabase[Any], gate: WriteGate | None = None) -> None:
        self._database, self._gate = database, gate
        self._writes_both = True
        """Whether the server has ``bulkWrite``, which MongoDB has since 8.0; until it says that it has not."""

    def new_mark(self) -> str:
        """Draw a mark."""
        return str(ObjectId())

    def _collection(self, name: str) -> AsyncCollection[Any]:
        return self._database.get_collection(name, codec_options=_WRITTEN, write_concern=DURABLE)

    async def write(self, collection: str, write: Write) -> MarkedDocument | None:
        """Find and modify; see ``WritableDocuments.write``."""
        with passing(self._gate, collection), refused(), no_duplicate(write) as there:
            which, update = single(write)
            found = await self._found(collection, which, update, upsert=write.action is Action.CREATE)
        return _ours(found, write) if not there.already else None

    async def _found(self, collection: str, which: Any, update: Any, *, upsert: bool = False) -> bytes | None:
        """Find and modify one; give what it is now."""
        command = {
            "findAndModify": collection,
            "query": which,
            "update": update,
            "new": True,
            "upsert": upsert,
            "writeConcern": DURABLE.document,
        }
        # The collection's method takes half as long again.
        reply: Any = await self._database.command(command, codec_options=_WRITTEN)
        _require_concern(reply)
        return bytes(reply["value"].raw) if reply["value"] is not None else None

    async def update_noted(self, collection: str, write: Write, noted: Noted) -> MarkedDocument | None:
        """Find and modify, where there is room; see ``WritableDocuments.update_noted``."""
        with passing(self._gate, collection) as passage, refused():
            found = _ours(await self._found(collection, *_noting(write, noted)), write)
            passage.wrote = found is not None
        return found

    async def forget_noted(self, collection: str, noted: Sequence[tuple[Any, Noted]]) -> None:
        """Compare each with what is there; the marks stay."""
        ours = self._database.get_collection(collection, write_concern=FORGETTABLE)
        for start in range(0, len(noted), _TOGETHER):
            which, update = taken_out(noted[start : start + _TOGETHER])
            with translated():
                await ours.update_many(which, update, hint=BY_ID)

    async def noted(self, collection: str, id_: Any) -> Sequence[Noted] | None:
        """Read what is noted in a document now, though a majority may not have it yet: a write sees that, too."""
        now = self._collection(collection).with_options(read_concern=ReadConcern("local"))
        with translated():
            found = await now.find_one({"_id": {"$eq": id_}}, {LOG: 1})
        if found is None:
            return None
        ours = decoded(found.raw).get(FIELD)
        return noted_in(ours) if isinstance(ours, dict) else ()

    async def write_behind(self, collection: str, write: Write, first: Beside) -> bool | None:
        """Write both in one command; see ``WritableDocuments.write_behind``."""
        if not self._writes_both or not _is_small(write):
            return None
        with passing(self._gate, collection), refused(), no_duplicate(write) as there:
            which, update = single(write)
            insert: dict[str, Any] = {"insert": 0, "document": first.document}
            change = {"update": 1, "filter": which, "updateMods": update, "upsert": write.action is Action.CREATE}
            try:
                reply = await self._both(collection, first.collection, [insert, change])
                if _is_there(reply["cursor"]["firstBatch"][0]):  # a gate was closed when this was sent before
                    reply = await self._both(collection, first.collection, [change])
            except OperationFailure as error:
                if error.code != _NO_SUCH_COMMAND:
                    raise
                self._writes_both = False
                return None
            done = _is_done(reply["cursor"]["firstBatch"])
            _require_concern(reply)
        return False if there.already else done

    async def _both(self, collection: str, other: str, operations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """Write into the other collection (0) and into this one (1), in this order, up to the first failure."""
        command = {
            "bulkWrite": 1,
            "ops": operations,
            "nsInfo": [{"ns": f"{self._database.name}.{name}"} for name in (other, collection)],
            "ordered": True,
            "writeConcern": DURABLE.document,
        }
        return await self._database.client.admin.command(command, codec_options=PLAIN)

    async def write_many(self, collection: str, writes: Sequence[Write]) -> Sequence[Written | SynclineError | None]:
        """Write all in one bulk between two reads: a bulk counts what it matched, and does not name it."""
        with passing(self._gate, collection):
            return await self._written(collection, writes)

    async def _written(self, collection: str, writes: Sequence[Write]) -> Sequence[Written | SynclineError | None]:
        statements = [UpdateOne(*statement(write), upsert=write.action is Action.CREATE) for write in writes]
        ids = [write.id for write in writes]
        failed: dict[int, SynclineError | None] = {}
        with refused():
            live = {"_id": {"$in": ids}, **LIVE}
            before = await self._collection(collection).find(live, {"_id": 1}, hint="_id_").to_list()
            try:
                counted: Mapping[str, Any] = (
                    await self._collection(collection).bulk_write(statements, ordered=False)
                ).bulk_api_result
            except BulkWriteError as error:
                if error.details["writeConcernErrors"]:
                    raise
                counted = error.details
                failed = {one["index"]: _judged(one) for one in error.details["writeErrors"]}
        found = {one.mark: one for one in await self.marked(collection, ids)}
        there = {bytes(one.raw) for one in before}
        return _told(writes, failed, found, there, counted)

    async def marked(self, collection: str, ids: Sequence[Any]) -> Sequence[MarkedDocument]:
        """Read what is marked, with a drawn version."""
        which = {"_id": {"$in": list(ids)}, MARK: {"$exists": True}, VERSION: {"$gte": FLOOR}}
        with refused():
            return [
                marked_document(one.raw)
                for one in await self._collection(collection).find(which, hint="_id_").to_list()
            ]

    async def erase(self, collection: str, id_: Any, *, over: int | None = None) -> bool:
        """Delete at once, where nothing is noted."""
        with passing(self._gate, collection), refused():
            done = await self._collection(collection).delete_one(
                {"_id": {"$eq": id_}, **LIVE, **_at(over), LOG: {"$exists": False}}
            )
        return bool(done.deleted_count)

    async def existing(self, collection: str, id_: Any) -> Existing | None:
        """Read it whole."""
        with refused():
            found = await self._collection(collection).find_one({"_id": {"$eq": id_}, **LIVE})
        if found is None:
            return None
        fields = decoded(found.raw)
        ours = fields.pop(FIELD, None)
        return Existing(int(ours["v"]) if isinstance(ours, dict) and "v" in ours else -1, fields)

    async def standing(self, collection: str, id_: Any) -> Standing | None:
        """Read our field alone."""
        with translated():
            found = await self._collection(collection).find_one({"_id": {"$eq": id_}}, {FIELD: 1})
        if found is None:
            return None
        ours = decoded(found.raw).get(FIELD)
        if not isinstance(ours, dict):
            return Standing(None, adopted=False, deleted=False, version=-1)
        mark = str(ours["mark"]) if "mark" in ours else None
        return Standing(mark, adopted=True, deleted="deleted" in ours, version=int(ours.get("v", -1)))

    async def waiting(self, collection: str, without: Held) -> tuple[int, float]:
        """Count by the index of marks, and ask the server's clock."""
        marked = self._database[collection]
        with translated():
            count = await marked.count_documents({MARK: {"$exists": True}}, hint=MARKS["name"])
            age = await oldest(marked, without) if count else timedelta()
        return max(0, count - len(without)), age.total_seconds()


def _at(version: int | None) -> Mapping[str, Any]:
    """Give the condition that a document has this version; below 0 it has none."""
    if version is None:
        return {}
    return {VERSION: version} if version >= 0 else {FIELD: {"$exists": False}}


def statement(write: Write) -> tuple[Mapping[str, Any], Pipeline]:
    by_id: dict[str, Any] = {"_id": {"$eq": write.id}}
    mark = ObjectId(write.mark)
    if write.action is not Action.CREATE:
        by_id |= _at(write.over)
    fields = {name: value for name, value in write.fields.items() if name != "_id"}
    if write.action is Action.CREATE:  # a tombstone gives way; a document makes the insert fail
        return {**by_id, **TOMBSTONE}, replacement(fields, mark=mark)
    if write.action is Action.UPDATE:
        return {**by_id, **LIVE}, merged(fields, mark=mark)
    return {**by_id, **LIVE}, tombstone(mark=mark)


def single(write: Write) -> tuple[Mapping[str, Any], Pipeline]:
    """Say likewise what one write does, in what a server does quickest: a document that is not live stays as it is."""
    which, update = statement(write)
    if write.action is Action.CREATE or write.over is not None:
        return which, update
    return {"_id": which["_id"]}, only_if(IS_LIVE, update)


def _noting(write: Write, noted: Noted) -> tuple[Mapping[str, Any], Pipeline]:
    fields = {name: value for name, value in write.fields.items() if name != "_id"}
    update = merged(fields, mark=ObjectId(write.mark), noted=entry(noted))
    return {"_id": {"$eq": write.id}}, only_if({"$and": [IS_LIVE, ROOM]}, update)


def _ours(found: bytes | None, write: Write) -> MarkedDocument | None:
    """Take apart what was found, if this write has written it: its mark is nowhere else."""
    if found is None or ObjectId(write.mark).binary not in found:
        return None
    return marked_document(found)


def _told(
    writes: Sequence[Write],
    failed: Mapping[int, SynclineError | None],
    found: Mapping[str, MarkedDocument],
    there: AbstractSet[bytes],
    counted: Mapping[str, Any],
) -> list[Written | SynclineError | None]:
    """Tell what was written: what has its mark, and what was there before and has been written over since, or carried.

    Where somebody else's write came between, the counts show that there is something wrong, not with which document.
    """
    told: list[Written | SynclineError | None] = []
    for place, write in enumerate(writes):
        known = write.mark in found or write.action is Action.CREATE or encoded({"_id": write.id}) in there
        told.append(failed[place] if place in failed else Written(found.get(write.mark)) if known else None)
    written = sum(isinstance(one, Written) for one in told)
    if written == counted["nMatched"] + counted["nUpserted"]:
        return told
    return [
        _UNKNOWN if write.action is not Action.CREATE and write.mark not in found and place not in failed else one
        for place, (write, one) in enumerate(zip(writes, told, strict=True))
    ]


_UNKNOWN = RefusedDocumentError(
    "somebody else created or deleted the document in the same moment: it is not known whether this was written",
    hint="look at the document, and do it again if it was not",
)


@dataclass(slots=True)
class There:
    """Whether what was to be created is there already."""

    already: bool = False


@contextmanager
def no_duplicate(write: Write) -> Iterator[There]:
    """Tell a key that is there already from another index that takes no second document."""
    there = There()
    try:
        yield there
    except DuplicateKeyError as error:
        if write.action is not Action.CREATE or not _is_by_id(error.details):
            raise (no_room(error) if write.action is Action.DELETE else error) from error
        there.already = True


def _require_concern(reply: Mapping[str, Any]) -> None:
    """Raise what the driver raises of a write that a majority, or the journal, does not have in time."""
    if (failed := reply.get("writeConcernError")) is not None:
        raise WriteConcernError(failed["errmsg"], failed["code"], dict(failed))


def _is_small(write: Write) -> bool:
    """Tell whether it can be one command with another write; what cannot be encoded is refused by itself."""
    try:
        return len(encoded(write.fields)) <= _SMALL
    except Exception:  # noqa: BLE001  the driver has several kinds
        return False


def _is_there(result: Mapping[str, Any]) -> bool:
    return not result["ok"] and result["code"] == DUPLICATE and _is_by_id(result)


def _is_done(results: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether the last operation has written; raise what the driver would of one that was refused."""
    for one in results:
        if not one["ok"]:
            kind = DuplicateKeyError if one["code"] == DUPLICATE else WriteError
            raise kind(one["errmsg"], one["code"], one)
    return bool(results[-1].get("upserted") or results[-1]["nModified"])


def _is_by_id(details: Mapping[str, Any] | None) -> bool:
    return list((details or {}).get("keyPattern") or ()) == ["_id"]


def _judged(error: Mapping[str, Any]) -> SynclineError | None:
    """Say why one of many was not written; None: there is a document of this key."""
    if error["code"] == DUPLICATE and _is_by_id(error):
        return None
    if is_refusal_of_gate(error):
        return GateClosedError("the collection is changing sides; nothing of this is written", hint="send it again")
    if is_servers_own(error):
        return SourceUnavailableError(f"MongoDB: {error['errmsg']}: it is not known whether this was written")
    return RefusedDocumentError(f"MongoDB: {error['errmsg']}")


@contextmanager
def refused() -> Iterator[None]:
    """Tell a document that MongoDB does not take from a MongoDB that does not answer."""
    try:
        with translated(), _of_documents():
            yield
    except (BSONError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise RefusedDocumentError(f"BSON has no such value: {error}") from error


@contextmanager
def _of_documents() -> Iterator[None]:
    try:
        yield
    except UnmarkableError:
        raise
    except (OperationFailure, DocumentTooLarge) as error:
        if isinstance(error, OperationFailure) and _may_be_written(error):
            raise
        raise RefusedDocumentError(f"MongoDB: {str(error).split(', full error')[0]}") from error


def _may_be_written(error: OperationFailure) -> bool:
    """Tell whether the server is the reason, and not a document: it is written, too, if only others lack it."""
    details = error.details or {}
    if isinstance(error, WriteConcernError) or details.get("writeConcernErrors"):
        return True
    return is_servers_own({"errmsg": str(error), **details, "code": error.code})
