"""Declared indexes of a collection."""

from __future__ import annotations

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
