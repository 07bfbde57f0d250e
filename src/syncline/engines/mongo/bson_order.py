"""MongoDB's order of values, across types."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId

from syncline.model.strict_bson import DOCUMENT, SYMBOL, Odd, decoded

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  MongoDB's dates have no zone
_UUID_SUBTYPE = 4


def order(value: Any) -> tuple[Any, ...]:
    """Turn a value into a key that sorts, equals and hashes as MongoDB compares: numbers by value, text by its bytes.

    Source: MongoDB manual, "Comparison/Sort Order".

    Raises:
        TypeError: a type that no key has.

    """
    match value:
        case Code():  # to Python it is a text
            pass
        case Odd(tag=tag, text=text) if tag == SYMBOL and text is not None:
            return (3, text.encode())
        case Odd(tag=tag, payload=payload) if tag == DOCUMENT:
            return order(decoded(payload))
        case MinKey():
            return (0,)
        case None:
            return (1,)
        case bool():  # before the numbers: Python takes it for one
            return (8, value)
        case int() | float() | Decimal128():
            return (2, *_number(value))
        case str():
            return (3, value.encode("utf-8", "surrogatepass"))
        case Mapping():
            return (4, tuple((order(one)[0], name.encode(), order(one)) for name, one in value.items()))
        case list() | tuple():
            return (5, tuple(order(one) for one in value))
        case uuid.UUID():
            return (6, 16, _UUID_SUBTYPE, value.bytes)
        case bytes():
            return (6, len(value), value.subtype if isinstance(value, Binary) else 0, bytes(value))
        case ObjectId():
            return (7, value.binary)
        case datetime():
            moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
            since = moment - _EPOCH
            return (9, (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000)
        case DatetimeMS():
            return (9, int(value))
        case MaxKey():
            return (99,)
    raise TypeError(f"no place for a {type(value).__name__} in MongoDB's order")


def _number(value: float | Decimal128) -> tuple[int, Decimal]:
    number = value.to_decimal() if isinstance(value, Decimal128) else Decimal(value)
    return (0, Decimal(0)) if number.is_nan() else (1, number)
