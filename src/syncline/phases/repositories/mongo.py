"""Repositories over a collection of MongoDB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from pymongo import ReturnDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import ConnectionFailure, DuplicateKeyError, PyMongoError

from syncline.capture.documents.wrapped import MarkedCollection
from syncline.errors import AlreadyThereError, SourceError, SourceUnavailableError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.exact_json import INT32_MAX, INT32_MIN
from syncline.phases.repositories.abstract import Document, Documents, checked_page
from syncline.phases.repositories.conditions import (
    Between,
    Condition,
    Contains,
    Equal,
    Missing,
    Not,
    OneOf,
    StartsWith,
    Where,
    alternatives,
)
from syncline.phases.repositories.places import Place, Places, as_text
from syncline.phases.repositories.programmed import ProgrammedRepository
from syncline.phases.repositories.steps import Program, arun, run
from syncline.phases.repositories.stored import as_stored, changes_as_stored

_NOTHING: Mapping[str, Any] = {"$nor": [{}]}
_TYPES = {"text": "string", "objectid": "objectId", "boolean": "bool", "numeric": "decimal"}
_OPERATORS = {">=": "$gte", "<=": "$lte", ">": "$gt", "<": "$lt"}
_INTEGER_LIMITS = {
    "integer": (INT32_MIN, INT32_MAX),
    "bigint": (Int64(-(2**63)), Int64(2**63 - 1)),
    "long": (Int64(-(2**63)), Int64(2**63 - 1)),
}


class MongoRepository(ProgrammedRepository):
    """Over a collection; one that ``capture.documents.wrap`` has made marks what is written."""

    def __init__(self, collection: Any, mapping: DocumentMapping) -> None:
        self.collection, self.mapping = collection, mapping
        self._places = Places(mapping)
        bare = collection.bare if isinstance(collection, MarkedCollection) else collection
        self.is_async = isinstance(bare, AsyncCollection)

    @property
    def codec_options(self) -> CodecOptions[Any]:
        """Those of the collection."""
        options: CodecOptions[Any] = self.collection.codec_options
        return options

    def _at_once(self, program: Program[Any]) -> Any:
        with _translated():
            return run(program, self.collection)

    async def _awaited(self, program: Program[Any]) -> Any:
        with _translated():
            return await arun(program, self.collection)

    def count(self, where: Where = None) -> Any:
        self._note(where)
        wanted = filter_of(self._places, where)
        return self._run(_only(lambda collection: collection.count_documents(wanted)))

    def exists(self, where: Where = None) -> Any:
        self._note(where)
        return self._run(self._there(where))

    def _listed(self, where: Where, sort: Sequence[str], limit: int | None, offset: int) -> Program[Documents]:
        checked_page(limit, offset)
        wanted = filter_of(self._places, where)
        order = [(place.path, -1 if descending else 1) for place, descending in self._places.order(sort)]
        if limit == 0:
            return []
        return (  # type: ignore[no-any-return]
            yield lambda collection: collection.find(wanted, sort=order, skip=offset, limit=limit or 0).to_list()
        )

    def _there(self, where: Where) -> Program[bool]:
        wanted = filter_of(self._places, where)
        return (yield lambda collection: collection.find_one(wanted, {"_id": 1})) is not None

    def _created(self, document: Document) -> Program[Document]:
        raw = as_stored(document, self._places, self.collection.codec_options)
        stored: Document = bson.decode(raw, self.collection.codec_options)
        yield lambda collection: collection.insert_one(dict(stored))
        return stored

    def _updated(self, id_: Any, changes: Document) -> Program[Document | None]:
        key = self._places.key.value(id_)
        if key is None:
            return None
        fields = changes_as_stored(changes, self.collection.codec_options)
        if not fields:
            return (yield from self._first({"_id": id_}))
        merge = [{"$replaceWith": {"$mergeObjects": ["$$ROOT", {"$literal": fields}]}}]
        return (  # type: ignore[no-any-return]
            yield lambda collection: collection.find_one_and_update(
                {"_id": key}, merge, return_document=ReturnDocument.AFTER
            )
        )

    def _deleted(self, id_: Any) -> Program[bool]:
        key = self._places.key.value(id_)
        if key is None:
            return False
        done = yield lambda collection: collection.delete_one({"_id": key})
        return bool(done.deleted_count)


def _only(step: Any) -> Program[Any]:
    return (yield step)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DuplicateKeyError as error:
        field = next(iter((error.details or {}).get("keyPattern") or ()), None)
        raise AlreadyThereError(field) from error
    except ConnectionFailure as error:
        raise SourceUnavailableError(f"MongoDB does not answer: {str(error)[:200]}") from error
    except PyMongoError as error:
        raise SourceError(f"MongoDB: {str(error)[:200]}") from error


def filter_of(places: Places, where: Where) -> dict[str, Any]:
    """Write conditions as MongoDB's filter."""
    each = [
        {"$and": [_filter(places.of(path), one) for path, one in conditions.items()]} if conditions else {}
        for conditions in alternatives(where)
    ]
    return each[0] if len(each) == 1 else {"$or": each} if each else dict(_NOTHING)


def _filter(place: Place, condition: Condition) -> dict[str, Any]:
    match condition:
        case Missing():
            return _missing(place)
        case Equal():
            return _equal(place, [condition.value])
        case OneOf():
            found = _equal(place, [value for value in condition.values if value is not None])
            return {"$or": [found, _missing(place)]} if None in condition.values else found
        case Between():
            return _between(place, condition)
        case Contains():
            return _matches(place, condition.text, _pattern(condition))
        case StartsWith():
            return _matches(place, condition.text, f"^{re.escape(condition.text)}")
        case Not():
            return {"$nor": [_filter(place, condition.condition)]}
    raise TypeError(f"{condition!r} is no condition")


def _missing(place: Place) -> dict[str, Any]:
    """Match what is missing or null; an array with a null in it is neither."""
    return {place.path: {"$eq": None, "$not": {"$type": "array"}}}


def _equal(place: Place, given: Sequence[Any]) -> dict[str, Any]:
    values = [value for value in map(place.value, given) if value is not None]
    if not values:
        return dict(_NOTHING)
    if place.is_array:
        return {place.path: {"$elemMatch": {"$in": values}}}
    if place.is_key:
        return {"_id": {"$eq": values[0]} if len(values) == 1 else {"$in": values}}
    if place.type.name == "date":
        return {"$or": [{place.path: {"$gte": day, "$lt": day + timedelta(days=1)}} for day in values]}
    chosen = {"$eq": values[0]} if len(values) == 1 else {"$in": values}
    return {place.path: {**_typed(place), **chosen}}


def _typed(place: Place) -> dict[str, Any]:
    """Leave out values of other types that are equal to MongoDB, and arrays that have such an element."""
    types: dict[str, Any] = {"$type": _TYPES[place.type.name]} if place.type.name in _TYPES else {}
    if place.column.field.values:
        types["$in"] = list(place.column.field.values)
    return {**types, "$not": {"$type": "array"}}


def _between(place: Place, condition: Between) -> dict[str, Any]:
    place.require_order()
    limits = {comparison: place.limit(value) for comparison, value in condition.limits().items()}
    if place.type.name == "date":  # its column has days
        day = timedelta(days=1)
        later = {"<=": "<", ">": ">="}
        limits = {later.get(one, one): value + day if one in later else value for one, value in limits.items()}
    asked = {_OPERATORS[comparison]: value for comparison, value in limits.items()}
    if place.type.name in _INTEGER_LIMITS:
        low, high = _INTEGER_LIMITS[place.type.name]
        asked = {**({} if {"$gt", "$gte"} & asked.keys() else {"$gte": low}), **asked}
        asked = {**({} if {"$lt", "$lte"} & asked.keys() else {"$lte": high}), **asked}
    return {place.path: {**asked, **({} if place.is_key else _typed(place))}}


def _matches(place: Place, text: str, pattern: str) -> dict[str, Any]:
    place.require_text(text)
    if place.type.fit(as_text(text))[0] is None:
        return dict(_NOTHING)
    return {place.path: {"$regex": pattern, **_typed(place)}}


def _pattern(condition: Contains) -> str:
    if not condition.ignore_case:
        return re.escape(condition.text)
    return "".join(
        f"[{one.lower()}{one.upper()}]" if one.isascii() and one.isalpha() else re.escape(one) for one in condition.text
    )
