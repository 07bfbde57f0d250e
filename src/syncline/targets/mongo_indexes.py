"""Declared indexes of a collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pymongo import IndexModel
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from syncline.errors import TargetError
from syncline.model.entity import Entity, Index

_CONFLICTS = {85, 86}
"""IndexOptionsConflict, IndexKeySpecsConflict."""


def model_of(index: Index) -> IndexModel:
    """Turn a declaration into the driver's form."""
    options = dict(index.options)
    if index.unique:
        options["unique"] = True
    if index.name:
        options["name"] = index.name
    return IndexModel(list(index.keys), **options)


async def ensure_indexes(collection: AsyncCollection[dict[str, Any]], entity: Entity) -> None:
    """Create what is declared and missing.

    Raises:
        TargetError: an index of that name or key exists with other options, or the data violates a unique index.

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
        if error.code == 11000:
            raise TargetError(
                f"entity {entity.name}: a unique index cannot be built, there are duplicates: {error._message}",  # noqa: SLF001
            ) from error
        raise


async def missing_indexes(collection: AsyncCollection[dict[str, Any]], entity: Entity) -> list[Index]:
    """List declared indexes that the collection does not have."""
    present = [tuple(info["key"]) for info in (await collection.index_information()).values()]
    return [index for index in entity.indexes if tuple(index.keys) not in present]


async def unique_indexes(collection: AsyncCollection[dict[str, Any]]) -> list[Mapping[str, Any]]:
    """Read the collection's unique indexes."""
    return [info for info in (await collection.index_information()).values() if info.get("unique")]


async def holder(
    collection: AsyncCollection[dict[str, Any]], unique: Sequence[Mapping[str, Any]], value: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Find the document that has a unique value, as its index compares: with its collation, among what it covers."""
    index: Mapping[str, Any] = next((one for one in unique if {name for name, _ in one["key"]} == set(value)), {})
    same: list[Mapping[str, Any]] = [
        {path: {"$eq": one}} for path, one in value.items()
    ]  # a value may look like a query
    if covered := index.get("partialFilterExpression"):
        same.append(covered)
    return await collection.find_one({"$and": same}, collation=index.get("collation"))
