"""Values of documents as JSON that says of each what it is: MongoDB's extended form, and a few words of our own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import json_util
from bson.code import Code

from syncline.model.canonical import MISSING
from syncline.model.json_names import Verbatim
from syncline.model.masks import MASKED
from syncline.model.strict_bson import Odd, Repeated
from syncline.model.values import Unrepresentable


def extended(value: Any) -> Any:
    """Turn a value into MongoDB's extended JSON; what a side lacks, or BSON cannot hold, is an object that says so."""
    if value is MISSING:
        return {"$missing": True}
    if value is MASKED:
        return {"$masked": True}
    if isinstance(value, Unrepresentable):
        return {"$unrepresentable": value.reason}
    if isinstance(value, Odd):
        return {"$stored": value.what} | ({"hex": value.payload.hex()} if value.text is None else {"text": value.text})
    if isinstance(value, Repeated):
        return {"$repeated": [extended(item) for item in value.values]}
    if isinstance(value, Mapping):
        return Verbatim({name: extended(item) for name, item in value.items()})
    if isinstance(value, (list, tuple)):
        return [extended(item) for item in value]
    if isinstance(value, Code):
        return {"$code": str(value)} | ({} if value.scope is None else {"$scope": extended(value.scope)})
    if isinstance(value, (str, bool)) or value is None:
        return value
    if isinstance(value, (int, float)):
        return _number(value)
    try:
        return json_util.default(value)
    except TypeError:
        return {"$unknown": type(value).__name__}


def original(value: Any) -> Any:
    """Read what ``extended`` gave, as far as JSON keeps it."""
    if isinstance(value, list):
        return [original(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    match dict(value):
        case {"$missing": True}:
            return MISSING
        case {"$masked": True}:
            return MASKED
        case {"$unrepresentable": str(reason)}:
            return Unrepresentable(reason)
    try:
        return json_util.object_hook({name: original(item) for name, item in value.items()})
    except (TypeError, ValueError):  # a document that only looks like extended JSON
        return value


def _number(value: float) -> Any:
    finite = value == value and value not in {float("inf"), float("-inf")}  # noqa: PLR0124  NaN
    if isinstance(value, int):
        return int(value)
    return value if finite else {"$numberDouble": "NaN" if value != value else f"{value}".replace("inf", "Infinity")}  # noqa: PLR0124
