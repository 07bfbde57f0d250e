"""Single writes that mark, as programs; results are those of the bare collection."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import ReturnDocument, common
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError
from pymongo.results import DeleteResult, InsertOneResult, UpdateResult

from syncline.capture.documents.field import MARK
from syncline.capture.documents.filters import begun, live
from syncline.capture.documents.obstacles import TRIES, Tombstone, no_room, obstacle, own
from syncline.capture.documents.programs import Call, Program
from syncline.capture.documents.projections import shown
from syncline.capture.documents.updates import inserted, marked_update, replacement, revival, tombstone

_OF_THE_FIRST_TRY = frozenset({"upsert", "hint", "sort", "collation"})


def identified(document: Any) -> Any:
    """Give a new document its ``_id``, as PyMongo does: in the user's own object."""
    common.validate_is_document_type("document", document)
    if isinstance(document, RawBSONDocument):
        document = dict(document)
    if isinstance(document, MutableMapping) and "_id" not in document:
        document["_id"] = ObjectId()
    return document


def insert_one(document: Any, options: Mapping[str, Any]) -> Program[InsertOneResult]:
    """Insert; a tombstone of the same ``_id`` gives way."""
    document = identified(document)
    marked = inserted(document)
    for last in _tries():
        try:
            return (yield Call("insert_one", (marked,), dict(options)))  # type: ignore[no-any-return]
        except DuplicateKeyError as refusal:
            if last:
                raise
            if (yield from revive_inserted(document, refusal, refusal.details or {}, options)):
                return InsertOneResult(document["_id"], acknowledged=True)
    raise AssertionError


def _tries() -> list[bool]:
    return [False] * TRIES + [True]


def revive_inserted(
    document: Any, refusal: Exception, details: Mapping[str, Any], options: Mapping[str, Any]
) -> Program[bool]:
    """Write over the tombstone that is in the way of an insert; False: nothing is any more.

    Raises:
        Exception: ``refusal``, when a document is in the way.

    """
    found = yield from obstacle(refusal, details, options)
    if found is None:
        return False
    kept = {name: value for name, value in options.items() if name != "ordered"}
    done = yield Call("update_one", (_exactly(found), replacement(document)), kept)
    return bool(done.matched_count)


def _exactly(found: Tombstone) -> dict[str, Any]:
    return {"_id": {"$eq": found.id}, MARK: found.mark}


def update(method: str, filter_: Any, changes: Any, options: Mapping[str, Any]) -> Program[UpdateResult]:
    """Update one or many, by operators or a pipeline."""
    common.validate_is_mapping("filter", filter_)
    common.validate_ok_for_update(changes)
    return (yield from _update(method, filter_, marked_update(changes), options, filter_))


def replace_one(filter_: Any, document: Any, options: Mapping[str, Any]) -> Program[UpdateResult]:
    """Replace: a pipeline keeps what the version was."""
    common.validate_is_mapping("filter", filter_)
    common.validate_ok_for_replace(document)
    return (yield from _update("update_one", filter_, replacement(document), options, None))


def _update(
    method: str, filter_: Any, marked: Any, options: Mapping[str, Any], begins: Mapping[str, Any] | None
) -> Program[UpdateResult]:
    for last in _tries():
        try:
            return (yield Call(method, (live(filter_), marked), dict(options)))  # type: ignore[no-any-return]
        except DuplicateKeyError as refusal:
            if last:
                raise
            found = yield from obstacle(
                refusal, refusal.details or {}, options, filter_ if options.get("upsert") else None
            )
            if found is None and method == "update_many" and not options.get("upsert"):
                raise  # some documents may be changed: a second try would change them twice
            if found is not None:
                done = yield from revive_upserted("update_one", found, marked, begins, options)
                if done.matched_count:
                    return upserted(found.id)
    raise AssertionError


def upserted(id_: Any) -> UpdateResult:
    """Give the result of an upsert that inserted."""
    reply = {"n": 1, "upserted": id_, "nModified": 0, "ok": 1.0, "updatedExisting": False}
    return UpdateResult(reply, acknowledged=True)


def revive_upserted(
    method: str, found: Tombstone, marked: Any, filter_: Mapping[str, Any] | None, options: Mapping[str, Any]
) -> Program[Any]:
    """Let an upsert make a document of a tombstone, which gets the fields of the filter first, and stays a tombstone.

    Nothing matches when somebody else was faster.
    """
    begins = begun(filter_)
    if begins or found.has_fields:
        mark = ObjectId()
        yield Call("update_one", (_exactly(found), tombstone(begins, mark=mark)), own(options))
        found = Tombstone(found.id, mark, bool(begins))
    kept = {name: value for name, value in options.items() if name not in _OF_THE_FIRST_TRY}
    return (yield Call(method, (_exactly(found), revival(marked)), kept))


def delete(method: str, filter_: Any, options: Mapping[str, Any]) -> Program[DeleteResult]:
    """Delete one or many: tombstones stay until the other side has deleted too."""
    common.validate_is_mapping("filter", filter_)
    try:
        done = yield Call(method, (live(filter_), tombstone()), dict(options))
    except WriteError as error:
        raise no_room(error) from error
    return DeleteResult({"n": done.matched_count, "ok": 1.0}, acknowledged=True)


def find_one_and_delete(filter_: Any, projection: Any, options: Mapping[str, Any]) -> Program[Any]:
    """Delete one, and give what it was."""
    common.validate_is_mapping("filter", filter_)
    asked = {**options, "projection": shown(projection), "return_document": ReturnDocument.BEFORE}
    try:
        return (yield Call("find_one_and_update", (live(filter_), tombstone()), asked))
    except OperationFailure as error:
        raise no_room(error) from error


def find_one_and_update(filter_: Any, changes: Any, projection: Any, options: Mapping[str, Any]) -> Program[Any]:
    """Update one, and give what it was or is."""
    common.validate_ok_for_update(changes)
    common.validate_is_mapping("filter", filter_)
    return (yield from _find_and_modify(filter_, marked_update(changes), projection, options, filter_))


def find_one_and_replace(filter_: Any, document: Any, projection: Any, options: Mapping[str, Any]) -> Program[Any]:
    """Replace one, and give what it was or is."""
    common.validate_ok_for_replace(document)
    common.validate_is_mapping("filter", filter_)
    return (yield from _find_and_modify(filter_, replacement(document), projection, options, None))


def _find_and_modify(
    filter_: Any, marked: Any, projection: Any, options: Mapping[str, Any], begins: Mapping[str, Any] | None
) -> Program[Any]:
    asked = {**options, "projection": shown(projection)}
    for last in _tries():
        try:
            return (yield Call("find_one_and_update", (live(filter_), marked), asked))
        except DuplicateKeyError as refusal:
            if last:
                raise
            found = yield from obstacle(
                refusal, refusal.details or {}, options, filter_ if options.get("upsert") else None
            )
            if found is not None:
                after = {**asked, "return_document": ReturnDocument.AFTER}
                done = yield from revive_upserted("find_one_and_update", found, marked, begins, after)
                if done is not None:
                    return done if asked.get("return_document") else None
    raise AssertionError
