"""Whether the target has the order of the source's keys, and which texts are keys at all."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.errors import KeyFormatError
from syncline.ports import Plan

ORDERED = frozenset({"int2", "int4", "int8", "uuid"})
"""Key types that PostgreSQL and MongoDB sort alike, alone and as parts of a composite key."""


def ordered(plan: Plan) -> bool:
    """Tell whether a range of keys is the same range of ``_id``s in the target, whatever lies between them."""
    projection = plan.projection
    return all(column.base in ORDERED for column in projection.key) and not projection.shape.has_children


def possible(plan: Plan, keys: Sequence[str]) -> list[str]:
    """Leave out what is no key of the entity: a mark by hand may have named anything."""

    def fits(key: str) -> bool:
        try:
            plan.projection.codec.parse(key)
        except KeyFormatError:
            return False
        return True

    return [key for key in keys if fits(key)]
