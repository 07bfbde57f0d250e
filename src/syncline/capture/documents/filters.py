"""Filters that spare tombstones, and what an upsert takes from its filter."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from re import Pattern
from typing import Any

from bson import DBRef, Regex
from pymongo import common

from syncline.capture.documents.expressions import without_ours
from syncline.capture.documents.field import FIELD, LIVE, refuse_ours

_LOGICAL = frozenset({"$and", "$or", "$nor"})
_REFERENCE = frozenset({"$ref", "$id", "$db"})


def live(filter_: Mapping[str, Any] | None) -> dict[str, Any]:
    """Match only what is no tombstone; beside the other conditions, so that positional operators and $text work."""
    if filter_ is not None:
        common.validate_is_mapping("filter", filter_)
    return {**_foreign(filter_ or {}), **LIVE}


def _foreign(filter_: Any) -> Any:
    """Let a user's conditions see the document without our field."""
    if not isinstance(filter_, Mapping):
        return filter_
    made = {}
    for name, condition in filter_.items():
        refuse_ours(name)
        if name == "$expr":
            made[name] = without_ours(condition)
        elif name in _LOGICAL and isinstance(condition, list | tuple):
            made[name] = [_foreign(each) for each in condition]
        elif name == "$jsonSchema":
            made[name] = _beside_ours(condition)
        else:
            made[name] = condition
    return made


def _beside_ours(schema: Any) -> Any:
    """Have a schema that says what other fields there may be say nothing of ours."""
    if not isinstance(schema, Mapping) or "additionalProperties" not in schema:
        return schema
    return {**schema, "properties": {**(schema.get("properties") or {}), FIELD: {}}}


def asks_text(filter_: Any) -> bool:
    """Tell whether a filter searches text: such a stage must be the first of its pipeline."""
    if not isinstance(filter_, Mapping):
        return False
    inner = (each for name in _LOGICAL for each in filter_.get(name) or ())
    return "$text" in filter_ or any(asks_text(each) for each in inner)


def equalities(filter_: Mapping[str, Any]) -> dict[str, Any]:
    """Give the values, by path, with which the server begins a document that is upserted."""
    found: dict[str, Any] = {}
    for name, condition in filter_.items():
        if name == "$and" or (name == "$or" and len(condition) == 1):
            for each in condition:
                found |= equalities(each)
        elif not name.startswith("$"):
            found.update((name, value) for value in _equal(condition))
    return found


def _equal(condition: Any) -> list[Any]:
    if isinstance(condition, Regex | Pattern):
        return []
    if not isinstance(condition, Mapping) or isinstance(condition, DBRef) or not is_operators(condition):
        return [condition]
    if "$eq" in condition:
        return [condition["$eq"]]
    for operator in ("$all", "$in"):
        values = condition.get(operator)
        if isinstance(values, list | tuple) and len(values) == 1 and not isinstance(values[0], Regex | Pattern):
            return [] if isinstance(values[0], Mapping) and is_operators(values[0]) else [values[0]]
    return []


def asks_for(filter_: Mapping[str, Any], fields: Collection[str]) -> bool:
    """Tell whether a filter is nothing but equalities of just these fields."""
    parts = filter_["$and"] if filter_.keys() == {"$and"} else [filter_]
    equal = equalities(filter_)
    return equal.keys() == set(fields) and sum(map(len, parts)) == len(equal)


def is_operators(value: Mapping[str, Any]) -> bool:
    """Tell whether an object in a filter is a condition, not a value."""
    first = next(iter(value), "")
    return first.startswith("$") and first not in _REFERENCE


def begun(filter_: Mapping[str, Any] | None) -> dict[str, Any]:
    """Make what an upsert begins with, without ``_id``; ``None``: a replacement begins with nothing.

    Only of a filter that the server has taken for an upsert: of others, paths may cross each other.
    """
    return _nested(equalities(filter_)) if filter_ else {}


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        if path == "_id":
            continue
        place = document
        for name in above:
            place = place.setdefault(name, {})
        place[last] = value
    return document
