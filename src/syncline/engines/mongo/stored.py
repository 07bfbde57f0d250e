"""Documents as they are stored: read as BSON in the order of their ``_id``, whoever wrote them, whatever they hold.

The commands are sent as they are: the driver's cursors make an object of every document, which costs more than
comparing it does, and fail for a whole batch where one document cannot be decoded.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import bson
import pymongo
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection

from syncline.engines.mongo import errors as mongo_errors
from syncline.model.strict_bson import AS_STORED, EXACT, PLAIN, Codec, decoded, encoded, id_of, spans
from syncline.ports import Document

T = TypeVar("T")
RAW = bson.CodecOptions(document_class=RawBSONDocument)
_HIGHEST = bson.encode({"_id": MaxKey()})
_INT32, _INT64 = struct.Struct("<i").unpack_from, struct.Struct("<q").unpack_from


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """How a page's documents are wanted."""

    cut: Callable[[bytes], list[T]]
    """Takes them out of the ``cursor`` of a reply."""
    id_of: Callable[[T], bytes]
    """Gives the ``_id`` of one, encoded."""


async def pages(
    collection: AsyncCollection[Any],
    form: Form[T],
    *,
    first: bytes | None = None,
    end: bytes | None = None,
    passed: bool = False,
    size: int,
    fields: Mapping[str, Any] | None = None,
    seconds: float,
) -> AsyncIterator[list[T]]:
    """Read a collection from one ``_id`` (included unless it is ``passed``) up to another, whatever their types.

    Bounds of the index itself cut no type off, as a filter on ``_id`` would.

    Args:
        collection: at the read concern that is wanted.
        form: how the documents are wanted.
        first: an encoded ``{_id: …}``; ``None``: from the beginning.
        end: likewise; not included.
        passed: ``first`` has been read.
        size: documents of a page, about.
        fields: what is projected.
        seconds: limit of one command.

    """
    after = first if passed else None
    while (after or first) != _HIGHEST:  # which the server refuses as a lower bound, and leaves out behind any other
        limit = size + (after is not None)
        command = _find(collection, limit, fields, first=after or first, end=end)
        found, cursor = await _reply(collection, command, form, seconds)
        count = len(found)
        if after is not None and found and form.id_of(found[0]) == after:
            del found[0]
        filled = not found and bool(cursor)  # a reply has 16 MB at most: the last page's last document may do that
        if cursor:
            kill = {"killCursors": collection.name, "cursors": [Int64(cursor)]}
            with mongo_errors.translated(), pymongo.timeout(seconds):
                await collection.database.command(kill)
        if found:
            after = form.id_of(found[-1])
            yield found
        if filled:  # a getMore takes no time limit
            ids, _ = await _reply(collection, _find(collection, 2, {"_id": 1}, first=after, end=end), form, seconds)
            first, after = next((id_ for one in ids if (id_ := form.id_of(one)) != after), None), None
            if first is None:
                break
        elif not cursor and count < limit:
            break
    if end is None and (after or first) not in {None, _HIGHEST}:
        found, _ = await _reply(collection, _find(collection, 1, fields, equal=_HIGHEST), form, seconds)
        if found:
            yield found


async def at(
    collection: AsyncCollection[Any],
    form: Form[T],
    id_: bytes,
    *,
    fields: Mapping[str, Any] | None = None,
    seconds: float,
) -> list[T]:
    """Read the document of an encoded ``_id``; of none there is none."""
    command = _find(collection, 1, fields, equal=encoded({"_id": {"$eq": decoded(id_, AS_STORED)["_id"]}}))
    found, _ = await _reply(collection, command, form, seconds)
    return found


async def boundary(
    collection: AsyncCollection[Any], *, first: bytes | None, end: bytes | None, size: int, seconds: float
) -> bytes | None:
    """Give the encoded ``_id`` of the document with so many before it from ``first`` on; ``None``: there is none."""
    if first == _HIGHEST:
        return None
    command = _find(collection, 1, {"_id": 1}, first=first, end=end) | {"skip": size}
    found, _ = await _reply(collection, command, AS_BSON, seconds)
    return id_of(found[0]) if found else None


async def read_one(collection: AsyncCollection[Any], id_: Any) -> bytes | None:
    """Read the document of any ``_id``, also of one that the driver cannot write."""
    command = {"find": collection.name, "filter": sent({"_id": {"$eq": id_}}), "limit": 1, "singleBatch": True}
    reply: Any = await collection.database.command(_concerned(command, collection), codec_options=RAW)
    found = _raw(bytes(reply["cursor"].raw))
    return found[0] if found else None


def sent(document: Mapping[str, Any]) -> RawBSONDocument:
    """Give a document a form that the driver can send, also when it holds what it cannot write."""
    return RawBSONDocument(encoded(document))


def _parts_of(cursor: bytes) -> tuple[int, int, int]:
    """Find where the batch in the ``cursor`` of a reply begins and ends, and its id (0: it has no more)."""
    parts = {name: (start, stop) for _, name, start, stop in spans(cursor)}
    batch = parts[b"firstBatch" if b"firstBatch" in parts else b"nextBatch"]
    return *batch, _INT64(cursor, parts[b"id"][0])[0]


def _raw(cursor: bytes) -> list[bytes]:
    """Cut the documents out, not decoded."""
    start, stop, _ = _parts_of(cursor)
    found, at, end = [], start + 4, stop - 1
    while at < end:
        at = cursor.index(b"\0", at) + 1  # an element of an array: a type, its number as text, a NUL, the value
        size = _INT32(cursor, at)[0]
        found.append(cursor[at : at + size])
        at += size
    return found


def _documents(cursor: bytes) -> list[Document]:
    """Decode all at once where that loses nothing, as nearly always."""
    try:
        reply = bson.decode(cursor, PLAIN)
        if _is_exact(reply, cursor, PLAIN):
            return _batch(reply)
    except Exception:  # noqa: BLE001, S110  then one after the other
        pass
    return [decoded(document) for document in _raw(cursor)]


def _ids(cursor: bytes) -> list[Any]:
    """Decode ids alone; UUIDs as ``Binary``."""
    try:
        reply = bson.decode(cursor, AS_STORED)
        ids = [document["_id"] for document in _batch(reply)]
        if EXACT.issuperset(map(type, ids)) or _is_exact(reply, cursor, AS_STORED):
            return ids
    except Exception:  # noqa: BLE001, S110  as above
        pass
    return [decoded(document, AS_STORED)["_id"] for document in _raw(cursor)]


def _decoded_or_not(cursor: bytes) -> list[dict[str, Any] | bytes]:
    try:
        reply = bson.decode(cursor, AS_STORED)
        if _is_exact(reply, cursor, AS_STORED):
            return _batch(reply)
    except Exception:  # noqa: BLE001, S110  as above
        pass
    return [*map(_alone, _raw(cursor))]


def _alone(document: bytes) -> dict[str, Any] | bytes:
    try:
        found = bson.decode(document, AS_STORED)
        return found if _is_exact(found, document, AS_STORED) else document
    except Exception:  # noqa: BLE001  as above
        return document


def _is_exact(reply: Mapping[str, Any], cursor: bytes, codec: Codec) -> bool:
    return b"$ref\0" not in cursor and bson.encode(reply, codec_options=codec) == cursor


def _batch(reply: Mapping[str, Any]) -> list[Any]:
    batch: list[Any] = reply["firstBatch"] if "firstBatch" in reply else reply["nextBatch"]
    return batch


AS_BSON = Form(_raw, id_of)
DECODED: Form[Document] = Form(_documents, lambda document: encoded({"_id": document["_id"]}))
DECODED_OR_NOT: Form[dict[str, Any] | bytes] = Form(
    _decoded_or_not, lambda one: id_of(one) if isinstance(one, bytes) else encoded({"_id": one["_id"]})
)
"""As the driver decodes them, UUIDs as ``Binary``; as bytes, where that would lose something."""
IDS: Form[Any] = Form(_ids, lambda id_: encoded({"_id": id_}))


def _find(
    collection: AsyncCollection[Any],
    limit: int,
    fields: Mapping[str, Any] | None,
    *,
    first: bytes | None = None,
    end: bytes | None = None,
    equal: bytes | None = None,
) -> dict[str, Any]:
    command: dict[str, Any] = {"find": collection.name, "hint": {"_id": 1}, "limit": limit, "batchSize": limit}
    command |= {"projection": fields} if fields else {}
    bounds = {"min": first, "max": end, "filter": equal}
    command |= {name: RawBSONDocument(bound) for name, bound in bounds.items() if bound is not None}
    return _concerned(command, collection)


def _concerned(command: dict[str, Any], collection: AsyncCollection[Any]) -> dict[str, Any]:
    if collection.read_concern.document:
        command["readConcern"] = collection.read_concern.document
    return command


async def _reply(
    collection: AsyncCollection[Any], command: Mapping[str, Any], form: Form[T], seconds: float
) -> tuple[list[T], int]:
    with mongo_errors.translated(), pymongo.timeout(seconds):
        reply: Any = await collection.database.command(dict(command), codec_options=RAW)
    cursor = bytes(reply["cursor"].raw)
    return form.cut(cursor), _parts_of(cursor)[2]
