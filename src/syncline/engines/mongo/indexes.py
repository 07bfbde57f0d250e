"""Declared indexes of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from syncline.engines.mongo.stored import RAW
from syncline.errors import TargetError
from syncline.model.entity import Entity, Index
from syncline.model.strict_bson import decoded

_CONFLICTS = {85, 86}
"""IndexOptionsConflict, IndexKeySpecsConflict."""
_NO_INDEX = {2, 9, 14, 67, 72, 197}
"""BadValue, FailedToParse, TypeMismatch, CannotCreateIndex, InvalidOptions, InvalidIndexSpecificationOption."""
LOOKUPS = 200
"""Values of one command; a pipeline may have a thousand stages."""


def model_of(index: Index) -> IndexModel:
    """Turn a declaration into the driver's form.

    Raises:
        TargetError: the driver takes no such options.

    """
    options = dict(index.options)
    if index.unique:
        options["unique"] = True
    if index.name:
        options["name"] = index.name
    try:
        return IndexModel(list(index.keys), **options)
    except (TypeError, ValueError) as error:
        raise TargetError(
            f"an index over {', '.join(name for name, _ in index.keys)} cannot be declared like this: {error}",
            hint="correct `options` of that [[entities.NAME.indexes]]",
        ) from error


async def ensure_indexes(collection: AsyncCollection[dict[str, Any]], entity: Entity) -> None:
    """Create what is declared and missing.

    Raises:
        TargetError: an index of that name or key exists with other options, the data violates a unique index, or there
            can be none as it is declared.

    """
    if not entity.indexes:
        return
    try:
        await collection.create_indexes([model_of(index) for index in entity.indexes])
    except OperationFailure as error:
        if error.code in _CONFLICTS:
            raise TargetError(
                f"entity {entity.name}: collection {entity.collection} has an index that differs from its declaration: "
                f"{error._message}",  # noqa: SLF001
                hint="drop that index in MongoDB, or declare it as it is",
            ) from error
        if error.code in _NO_INDEX:
            raise TargetError(
                f"entity {entity.name}: an index cannot be declared like this: {error._message}",  # noqa: SLF001
                hint=f"correct [[entities.{entity.name}.indexes]], then `syncline install`",
            ) from error
        if error.code == 11000:
            raise TargetError(
                f"entity {entity.name}: a unique index cannot be built, there are duplicates: {error._message}",  # noqa: SLF001
            ) from error
        raise


async def missing_indexes(collection: AsyncCollection[dict[str, Any]], entity: Entity) -> list[Index]:
    """List declared indexes that the collection does not have."""
    present = [
        (tuple(info["key"]), frozenset(info.get("weights", ())))
        for info in (await collection.index_information()).values()
    ]
    return [index for index in entity.indexes if stored_keys(index) not in present]


StoredKeys = tuple[tuple[tuple[str, Any], ...], frozenset[str]]


def stored_keys(index: Index) -> StoredKeys:
    """Give a declaration's keys as the server lists them: all text fields are one pair of keys, and have weights."""
    keys: list[tuple[str, Any]] = []
    for field, direction in index.keys:
        if direction != "text":
            keys.append((field, direction))
        elif ("_fts", "text") not in keys:
            keys += [("_fts", "text"), ("_ftsx", 1)]
    return tuple(keys), frozenset(field for field, direction in index.keys if direction == "text")


async def unique_indexes(collection: AsyncCollection[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Read the collection's unique indexes."""
    return [info for info in (await collection.index_information()).values() if info.get("unique")]


async def holders(
    collection: AsyncCollection[dict[str, Any]], values: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any] | None]:
    """Find the documents that have unique values, as their index compares: with its collation, among what it covers.

    One command looks up many values of one index. Which document has which value only the server can say (under a
    collation, in an array), so each value is a pipeline of its own.
    """
    unique = await unique_indexes(collection)
    places: dict[frozenset[str], list[int]] = {}
    for place, value in enumerate(values):
        if value:
            places.setdefault(frozenset(value), []).append(place)
    found: list[dict[str, Any] | None] = [None] * len(values)
    for paths, same_index in places.items():
        index = next((one for one in unique if {name for name, _ in one["key"]} == paths), {})
        for start in range(0, len(same_index), LOOKUPS):
            first, *rest = [_lookup(index, values[place], place) for place in same_index[start : start + LOOKUPS]]
            unions = [{"$unionWith": {"coll": collection.name, "pipeline": one}} for one in rest]
            pipeline = [*first, *unions]
            cursor = await collection.with_options(RAW).aggregate(pipeline, collation=index.get("collation"))
            async for one in cursor:
                found[one["place"]] = decoded(bytes(one["holder"].raw))
    return found


def _lookup(index: Mapping[str, Any], value: Mapping[str, Any], place: int) -> list[dict[str, Any]]:
    """Look up one value; ``place`` comes back with what is found."""
    same: list[Mapping[str, Any]] = [{path: {"$eq": one}} for path, one in value.items()]  # it may look like a query
    if covered := index.get("partialFilterExpression"):
        same.append(covered)
    known = {"place": {"$literal": place}, "holder": "$$ROOT"}
    return [{"$match": {"$and": same}}, {"$limit": 1}, {"$replaceWith": known}]
