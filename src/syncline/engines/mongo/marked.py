"""Marked documents in a MongoDB; see ``syncline.capture.documents`` for the field."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from types import MappingProxyType
from typing import Any

import bson
from bson import Int64, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import InsertOne, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError, WriteError

from syncline.capture.documents.field import (
    DELETED,
    DRAWN,
    FIELD,
    FLOOR,
    MARK,
    NUMBER,
    TICKET,
    VERSION,
    drawn,
    under,
    undrawn,
)
from syncline.capture.documents.indexes import MARKS, UNMARKED
from syncline.capture.documents.obstacles import DUPLICATE
from syncline.capture.documents.validator import is_of_gate
from syncline.engines.mongo import gates
from syncline.engines.mongo.clearing import BY_ID, GRACE, Clearing, still
from syncline.engines.mongo.errors import RIGHTS, is_servers_own
from syncline.engines.mongo.gates import Gate
from syncline.engines.mongo.noted import noted_in
from syncline.engines.mongo.stored import DECODED_OR_NOT, RAW, sent
from syncline.engines.mongo.writes import DURABLE
from syncline.errors import PrivilegeError, SourceError, SourceUnavailableError
from syncline.model.strict_bson import AS_STORED, decoded, encoded, id_of, spans
from syncline.ports.documents import MarkedDocument, Noted, Outcome

_NAME = FIELD.encode()
_MARKED: Mapping[str, Any] = MappingProxyType({MARK: {"$exists": True}})
_NO_SUCH_INDEX = 2
_PASSED = 1000
"""So many documents that do not take our field are passed over in a walk; each costs a statement."""
_BEFORE, _AFTER = 10, 2
"""Bytes of a document that has nothing but an array, before its first element and after its last one."""
_BY_MARK: str = MARKS["name"]  # type: ignore[assignment]


class MongoMarkedDocuments:
    """The marked documents of a database; implements ``syncline.ports.documents.MarkedDocuments``.

    Args:
        database: the database.
        grace: how long a write of the way back may be under way.

    """

    def __init__(self, database: AsyncDatabase[Any], *, grace: timedelta = GRACE) -> None:
        self._database, self._clearing = database, Clearing(database, grace)
        self._gates: dict[str, Gate] = {}
        """What MongoDB's gate says, by collection, as the last walk has read it."""

    def _collection(self, name: str) -> AsyncCollection[Any]:
        return self._database[name].with_options(write_concern=DURABLE)

    async def pages(self, collection: str, size: int) -> AsyncIterator[Sequence[MarkedDocument]]:
        """Walk the index of marks, a batch of the server's at a time; many documents may have one mark."""
        gate = await self._gate(collection)
        opened = gate.opened
        with under(gate.carrying):
            refused = await self._adopt(collection, size)
        if opened:
            await self._take_over(collection, gate)
        with translated():
            # What comes between, under an older number, is taken over by the next walk.
            which = {**_MARKED, NUMBER: {"$gte": opened}} if opened else _MARKED
            marked = self._collection(collection).find_raw_batches(which, hint=MARKS["name"], batch_size=size)
            async for batch in marked.sort(MARK, 1):
                found, foreign = _documents(_all_decoded(batch) or cut(batch))
                refused = refused or foreign
                if found:
                    with under(gate.carrying):
                        drawn_ = await self._drawn(collection, found)
                    yield drawn_
        if refused is not None:
            raise refused  # when the others were given: they do not wait for it

    async def first(self, collection: str, size: int) -> Sequence[MarkedDocument]:
        """Read the first page in one command; see ``MarkedDocuments.first``."""
        if (gate := self._gates.get(collection)) is None:
            gate = await self._gate(collection)
        command = {
            "find": collection,
            "filter": {**_MARKED, **({NUMBER: gate.opened} if gate.opened else {})},
            "sort": {MARK: 1},
            "hint": _BY_MARK,
            "limit": size,
            "batchSize": size,
            "singleBatch": True,
            "readConcern": self._database.read_concern.document,
        }
        with translated():
            reply: Any = await self._database.command(command, codec_options=RAW)
        found, _ = _documents(DECODED_OR_NOT.cut(bytes(reply["cursor"].raw)))
        with under(gate.carrying):
            return await self._drawn(collection, found)

    async def _gate(self, collection: str) -> Gate:
        """Read what the gate says; one that opened MongoDB under 0 where a collection never went over."""
        with translated():
            self._gates[collection] = (await gates.read(self._database)).get(collection, gates.NEVER)
        return self._gates[collection]

    async def _take_over(self, collection: str, gate: Gate) -> None:
        """Give the present number, and a new mark, to what is marked and was written under an older one.

        It was sent before MongoDB was closed, and came when it was open again: what brings rows back, late, would take
        its place, as it would any document of an older number.
        """
        older = sent({**_MARKED, "$or": [{NUMBER: {"$lt": gate.opened}}, {NUMBER: {"$exists": False}}]})
        with under(gate.carrying), translated():
            await self._collection(collection).update_many(older, [{"$set": {FIELD: drawn()}}], hint=_BY_MARK)

    async def _drawn(self, collection: str, found: Sequence[MarkedDocument]) -> Sequence[MarkedDocument]:
        """Draw versions from the server's clock, once for each; one mark for all: they are cleared together."""
        low = [one.id for one in found if one.version < FLOOR]
        if not low:
            return found
        which = {"_id": {"$in": low}, **_MARKED}
        below = sent({**which, VERSION: {"$lt": FLOOR}})
        with translated():
            await self._collection(collection).update_many(below, [{"$set": {FIELD: drawn()}}])
        again = self._collection(collection).find_raw_batches(sent(which))
        read = [one async for batch in again for one in _documents(_all_decoded(batch) or cut(batch))[0]]
        return [one for one in (*found, *read) if one.version >= FLOOR]

    async def _adopt(self, collection: str, limit: int) -> SourceError | None:
        """Give our field to documents of writers who do not know of it; say which document does not take it."""
        passed, first = 0, None
        while passed < _PASSED:
            ids = await self._unmarked(collection, limit, passed)
            try:
                await self._give(collection, ids)
                break
            except SourceError as error:
                if error.retryable:
                    raise
                refused = await self._give_singly(collection, ids)
            first = first or next(iter(refused), None)
            passed += len(refused)
            if len(ids) < limit:
                break
        return first

    async def _unmarked(self, collection: str, limit: int, passed: int) -> list[Any]:
        raw = self._collection(collection).with_options(RAW).find({FIELD: None}, {"_id": 1}, hint=UNMARKED["name"])
        with translated():
            return [_id_of(bytes(one.raw)) for one in await raw.skip(passed).limit(limit).to_list()]

    async def _give(self, collection: str, ids: Sequence[Any]) -> None:
        if ids:
            which = sent({"_id": {"$in": list(ids)}, FIELD: None})
            with translated():
                await self._collection(collection).update_many(which, [{"$set": {FIELD: drawn()}}])

    async def _give_singly(self, collection: str, ids: Sequence[Any]) -> list[SourceError]:
        refused = []
        for id_ in ids:
            try:
                await self._give(collection, [id_])
            except SourceError as error:
                if error.retryable:
                    raise
                refused.append(_unmarkable(collection, id_, error))
        return refused

    async def clear(self, collection: str, documents: Sequence[MarkedDocument]) -> None:
        """Compare the mark, in the statement that clears it; a clearing that a server forgets is done again."""
        with translated():
            await self._clearing.clear(collection, documents)

    async def remove_tombstones(self, collection: str, ids: Sequence[Any]) -> int:
        """Remove those that have stayed for the grace, by the server's clock."""
        with translated():
            return await self._clearing.remove(collection, ids)

    async def raise_above(self, collection: str, refused: Sequence[Outcome]) -> None:
        """Draw a version above the other side's, and a mark."""
        if not refused:  # as nearly always: nobody is asked
            return
        number = said((await self._gate(collection)).admitted)
        await self._write(
            collection,
            [
                UpdateOne(
                    sent(still(one.document)),
                    [{"$set": {VERSION: {"$max": [one.version + 1, DRAWN]}, MARK: ObjectId(), **number}}],
                    hint=BY_ID,
                )
                for one in refused
            ],
        )

    async def mark_all(self, collection: str) -> int:
        """Give every document a new mark and a higher version: the other side, or this one, was restored."""
        marked = [{"$set": {VERSION: DRAWN, MARK: ObjectId(), **said((await self._gate(collection)).admitted)}}]
        with translated():
            return (await self._collection(collection).update_many({}, marked)).matched_count

    async def mark_carried(self, collection: str) -> int:
        """Give those a new mark that another PostgreSQL had: they have a version, and no mark any more."""
        carried = {VERSION: {"$exists": True}, MARK: {"$exists": False}}
        marked = [{"$set": {VERSION: DRAWN, MARK: ObjectId(), **said((await self._gate(collection)).admitted)}}]
        with translated():
            return (await self._collection(collection).update_many(carried, marked)).matched_count

    async def absent(self, collection: str, ids: Sequence[Any]) -> Sequence[Any]:
        """Give those of these keys, the same objects, that have neither a document nor a tombstone."""
        where = self._collection(collection).with_options(RAW)
        with translated():
            found = await where.find(sent({"_id": {"$in": list(ids)}}), {"_id": 1}).to_list()
            there = {bytes(one.raw) for one in found}
            if there <= {encoded({"_id": one}) for one in ids}:
                return [one for one in ids if encoded({"_id": one}) not in there]
            # One is equal to another that was asked for: a number of another type, a text under the collation.
            return [one for one in ids if await where.find_one(sent({"_id": {"$eq": one}}), {"_id": 1}) is None]

    async def leave_tombstones(self, collection: str, ids: Sequence[Any]) -> int:
        """Insert tombstones for keys that have no document, and mark those that were carried.

        A document that is there, or comes meanwhile, stays.
        """
        number = (await self._gate(collection)).carrying
        with translated(), under(number):
            again = await self._mark_tombstones(collection, ids, number)
            which = self._collection(collection).with_options(RAW).find(sent({"_id": {"$in": list(ids)}}), {"_id": 1})
            there = {
                bytes(one.raw) for one in await which.to_list()
            }  # to Python True is 1; a key there otherwise is refused
            new = [id_ for id_ in ids if encoded({"_id": id_}) not in there]
            gone = [InsertOne(_tombstone(id_)) for id_ in new]
            try:
                done = (
                    (await self._collection(collection).bulk_write(gone, ordered=False)).inserted_count if gone else 0
                )
            except BulkWriteError as error:
                if any(one["code"] != DUPLICATE for one in error.details["writeErrors"]):
                    raise
                done = int(error.details["nInserted"])
        return again + done

    async def _mark_tombstones(self, collection: str, ids: Sequence[Any], number: int) -> int:
        """Mark carried tombstones anew: rows of their keys have come since. A ticket goes, the number stays as high."""
        ours = drawn(deleted=True) | ({"c": {"$max": [f"${NUMBER}", number]}} if number else {})
        carried = sent({"_id": {"$in": list(ids)}, DELETED: True, MARK: {"$exists": False}})
        marking: list[Mapping[str, Any]] = [{"$set": {FIELD: ours}}, {"$unset": TICKET}]
        return (await self._collection(collection).update_many(carried, marking, hint=BY_ID)).modified_count

    async def _write(self, collection: str, writes: list[Any]) -> None:
        if writes:
            with translated():
                await self._collection(collection).bulk_write(writes, ordered=False)


def said(number: int) -> dict[str, Any]:
    """Give the number of the gate for ``$set`` in a pipeline, where one is to be said; one that is higher stays."""
    return {NUMBER: {"$max": [f"${NUMBER}", Int64(number)]}} if number else {}


def _tombstone(id_: Any) -> RawBSONDocument:
    return sent({"_id": id_, FIELD: {**undrawn(), "deleted": True}})


def _documents(read: Iterable[dict[str, Any] | bytes]) -> tuple[list[MarkedDocument], SourceError | None]:
    """Take documents apart; say which one has a field of our name that is not ours."""
    found, foreign = [], None
    for one in read:
        try:
            found.append(marked_document(one) if isinstance(one, bytes) else _of_fields(one))
        except SourceError as error:
            foreign = foreign or error
    return found, foreign


def _all_decoded(batch: bytes) -> list[dict[str, Any]] | None:
    """Decode documents that follow each other, where that loses nothing of any, as nearly always."""
    if b"$ref\0" in batch:  # drivers make references of such documents
        return None
    try:
        found: list[dict[str, Any]] = bson.decode_all(batch, AS_STORED)
        exact = bson.encode({"": found}, codec_options=AS_STORED)[_BEFORE:-_AFTER] == _as_array(batch)
    except Exception:  # noqa: BLE001  the driver has several kinds
        return None
    return found if exact else None


def _as_array(batch: bytes) -> bytes:
    """Give documents that follow each other as the elements of an array have them: all are encoded by one call."""
    return b"".join([part for place, one in enumerate(cut(batch)) for part in (b"\x03%d\0" % place, one)])


def _of_fields(fields: dict[str, Any]) -> MarkedDocument:
    ours, id_ = fields.pop(FIELD, None), fields["_id"]
    if type(ours) is not dict or type(ours.get("mark")) is not ObjectId or not isinstance(ours.get("v"), int):
        raise of_somebody_else(id_)
    noted = noted_in(ours) if "log" in ours else ()
    return MarkedDocument(id_, str(ours["mark"]), int(ours["v"]), "deleted" in ours, fields=fields, noted=noted)


def cut(batch: bytes) -> Iterator[bytes]:
    """Cut documents apart that follow each other."""
    at = 0
    while at < len(batch):
        size = int.from_bytes(batch[at : at + 4], "little")
        yield batch[at : at + size]
        at += size


def marked_document(raw: bytes) -> MarkedDocument:
    """Take a stored document apart: ours, and the user's fields, or bytes where the driver would lose something."""
    if (found := _all_decoded(raw)) is not None:
        return _of_fields(found[0])
    body, ours = apart(raw)
    id_ = _id_of(body)
    mark, version, deleted, noted = _ours(id_, ours)
    return MarkedDocument(id_, str(mark), version, deleted, body, noted=noted)


def apart(raw: bytes) -> tuple[bytes, bytes]:
    """Give a document without our field, and that field's value; empty: it has none."""
    fields, ours = bytearray(), b""
    for _, name, start, stop in spans(raw):
        if name == _NAME:
            ours = raw[start:stop]
        else:
            fields += raw[start - len(name) - 2 : stop]
    return (len(fields) + 5).to_bytes(4, "little") + fields + b"\0", ours


def _id_of(document: bytes) -> Any:
    return decoded(id_of(document), AS_STORED)["_id"]


def _unmarkable(collection: str, id_: Any, error: SourceError) -> SourceError:
    return SourceError(
        f"{collection}: the document {id_!r} cannot be marked: {error.message}",
        hint=f"let the collection's validator allow {FIELD} (`syncline doctor`), or make it smaller",
    )


def of_somebody_else(id_: Any) -> SourceError:
    """Say that our field is not ours."""
    return SourceError(
        f"the field {FIELD} of the document {id_!r} is not as Syncline wrote it",
        hint=f"somebody else has: $unset {FIELD} there, then it is marked as a new one; `syncline doctor` names one",
    )


def _ours(id_: Any, raw: bytes) -> tuple[ObjectId, int, bool, tuple[Noted, ...]]:
    try:
        field = decoded(raw)
        mark, version = field["mark"], field["v"]
    except Exception:  # noqa: BLE001  it is no document, or lacks what ours has
        mark = version = None
    if not isinstance(mark, ObjectId) or not isinstance(version, int):
        raise of_somebody_else(id_)
    return mark, int(version), "deleted" in field, noted_in(field)


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours: of a source.

    Raises:
        SourceUnavailableError: the database does not answer, or refuses.
        PrivilegeError: the user may not do this.
        SourceError: it lacks the indexes of marks, or does not take a document as it would be.

    """
    try:
        yield
    except OperationFailure as error:
        if error.code == _NO_SUCH_INDEX and "hint" in str(error):
            raise SourceError(
                "a collection lacks the indexes by which its marks are found",
                hint="`syncline install` makes them; so does wrap(collection).prepare_marks()",
            ) from error
        said = f"MongoDB refused: {error._message} (code {error.code})"  # noqa: SLF001
        if error.code in RIGHTS:
            raise PrivilegeError(
                said, hint="check user and password in MongoDB's URL; the user needs readWrite"
            ) from error
        if is_of_gate(error):
            raise SourceUnavailableError(f"MongoDB's gate was changed meanwhile: {said}") from error
        if _is_of_documents(error):
            raise SourceError(
                said, hint=f"see the collection's validator and the document's size: {FIELD} is put into each document"
            ) from error
        raise SourceUnavailableError(said) from error
    except PyMongoError as error:
        raise SourceUnavailableError(f"MongoDB: {str(error).split(', Timeout:')[0]}") from error


def _is_of_documents(error: OperationFailure) -> bool:
    """Tell whether documents are the reason, and not the server."""
    details = error.details or {}
    if isinstance(error, BulkWriteError):
        errors = details.get("writeErrors", ())
        return bool(errors) and not details.get("writeConcernErrors") and not any(map(is_servers_own, errors))
    return isinstance(error, WriteError) and not is_servers_own({"errmsg": str(error), **details, "code": error.code})
