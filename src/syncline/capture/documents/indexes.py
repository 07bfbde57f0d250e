"""Unique indexes that admit tombstones, which have no fields but ours."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from syncline.capture.documents.field import FIELD, MARK
from syncline.errors import UnmarkableError

MARKS = {"name": "syncline_marks", "keys": [(MARK, 1)], "partialFilterExpression": {MARK: {"$exists": True}}}
"""Where the relay finds marks."""
UNMARKED = {"name": "syncline_unmarked", "keys": [(FIELD, 1)], "partialFilterExpression": {FIELD: None}}
"""Where it finds documents that have none of our fields; empty, unless somebody writes who does not know of them."""
_PRESENT = frozenset({"$gt", "$gte", "$lt", "$lte", "$type"})


def admits_tombstones(fields: Collection[str], options: Mapping[str, Any]) -> bool:
    """Tell whether two tombstones fit into an index: it has none of what has no such field."""
    if not options.get("unique") or options.get("sparse") or "_id" in fields:
        return True
    partial = options.get("partialFilterExpression") or {}
    return any(_excludes_missing(condition) for name, condition in partial.items() if not name.startswith("$"))


def _excludes_missing(condition: Any) -> bool:
    if condition is None:
        return False
    if isinstance(condition, Mapping) and condition and next(iter(condition)).startswith("$"):
        present = condition.get("$exists") is True or condition.get("$eq") is not None
        return present or not _PRESENT.isdisjoint(condition)
    return True


def require_admitting(keys: Any, options: Mapping[str, Any]) -> None:
    """Refuse a unique index into which a second tombstone does not fit, and one by which MongoDB deletes by itself.

    Raises:
        UnmarkableError: it is one.

    """
    fields = names_of(keys)
    if expires(options):
        raise UnmarkableError(
            f"by an index on {', '.join(fields)} that expires MongoDB deletes documents itself, and marks nothing",
            hint="delete them by delete_many; or make it on `.bare`, and let a sweep find the rows that stay",
        )
    if not admits_tombstones(fields, options):
        raise UnmarkableError(
            f"a unique index on {', '.join(fields)} takes one deleted document only: tombstones have no such field",
            hint=f'add partialFilterExpression={{"{fields[0]}": {{"$exists": True}}}}',
        )


def expires(options: Mapping[str, Any]) -> bool:
    """Tell whether the server deletes documents by an index."""
    return options.get("expireAfterSeconds") is not None


def names_of(keys: Any) -> list[str]:
    """Give the fields of an index, however PyMongo lets them be said."""
    if isinstance(keys, str):
        return [keys]
    if isinstance(keys, Mapping):
        return list(keys)
    return [key if isinstance(key, str) else key[0] for key in keys]
