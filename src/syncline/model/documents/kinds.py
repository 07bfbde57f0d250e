"""The types of BSON by the names that people know them by."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from syncline.model.strict_bson import Odd

_KINDS: Mapping[type, str] = {
    type(None): "null",
    bool: "boolean",
    int: "int32",
    Int64: "int64",
    float: "double",
    Decimal128: "decimal",
    str: "string",
    ObjectId: "ObjectId",
    datetime: "date",
    DatetimeMS: "date",
    dict: "document",
    list: "array",
    bytes: "binary",
    Regex: "regular expression",
    Timestamp: "timestamp",
    Code: "code",
    MinKey: "MinKey",
    MaxKey: "MaxKey",
}


def kind_of(value: Any) -> str:
    """Name the type of a value; of a UUID that it is one."""
    if isinstance(value, Odd):
        return value.what
    if isinstance(value, Binary):
        return "UUID" if value.subtype == 4 and len(value) == 16 else f"binary, subtype {value.subtype}"
    return _KINDS.get(type(value), type(value).__name__)


def shown(value: Any) -> str:
    """Name a value in a message, shortly."""
    text = str(value) if isinstance(value, (int, float, Decimal128, ObjectId)) else repr(value)
    if value is None or isinstance(value, Odd):
        return kind_of(value)
    return f"{kind_of(value)} {text if len(text) <= 60 else text[:60] + '…'}"
