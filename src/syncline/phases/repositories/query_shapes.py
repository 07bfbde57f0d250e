"""What the queries of a repository go by: `syncline schema check` looks whether an index serves them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.repositories.conditions import (
    Between,
    Condition,
    Equal,
    Missing,
    OneOf,
    StartsWith,
    Where,
    alternatives,
)


def shapes(collection: str, where: Where) -> Iterator[QueryShape]:
    """Give the shape of each alternative that an index can serve, but for those that name a document."""
    for each in alternatives(where):
        shape = QueryShape(collection, _of(each, Equal, OneOf, Missing), _of(each, Between, StartsWith))
        if (shape.equal or shape.ranged) and "_id" not in shape.equal:
            yield shape


def _of(conditions: Mapping[str, Condition], *kinds: type[Condition]) -> tuple[str, ...]:
    return tuple(sorted(path for path, one in conditions.items() if isinstance(one, kinds)))
