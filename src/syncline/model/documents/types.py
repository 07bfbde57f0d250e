"""The types of columns: which values of BSON each takes, and which one its value stands for. Pure.

A column's value stands for one value of BSON (``bson``). Where a document has another one that the column can show all
the same (5.0 where 5 is meant), it is kept in the rest beside it; what the column cannot show stands there alone.
"""

from __future__ import annotations

import json
import math
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.errors import InvalidId
from bson.int64 import Int64
from bson.objectid import ObjectId

from syncline.model.documents.exact_json import INT32_MAX, INT32_MIN, from_json, integer, to_json
from syncline.model.documents.values import Json, identical
from syncline.model.values import INFINITY, INT64_MAX, INT64_MIN, MINUS_INFINITY, Unrepresentable, decimal_value

_INT64_WHOLE = 2.0**63
_INTEGERS = (int, Int64)


@dataclass(frozen=True, slots=True)
class Type:
    """A type of columns."""

    name: str
    sql: str
    bson: str
    """What its values are in documents."""
    show: Callable[[Any], Any]
    """The column's value for a value of BSON; ``None`` if there is none."""
    stand_for: Callable[[Any], Any]
    """The value of BSON for a column's value; ``ValueError`` if there is none."""

    any_value: bool = False
    """It takes every value, and says all of it."""
    native: Mapping[type, Callable[[Any], Any]] = field(default_factory=dict)
    """By Python's type, what ``show`` makes of values that the column says all of: the way that most take."""

    def fit(self, value: Any) -> tuple[Any, bool]:
        """Give the column's value, and whether it says all."""
        native = self.native.get(type(value))
        if native is not None and (shown := native(value)) is not None:
            return shown, True
        return self.compared(value)

    def compared(self, value: Any) -> tuple[Any, bool]:
        """Do what ``fit`` does, whatever the value is."""
        shown = self.show(value)
        return shown, shown is not None and (self.any_value or identical(self.stand_for(shown), value))


def _whole(value: Any) -> int | None:
    """Give a number as an integer, if it is one."""
    if type(value) in _INTEGERS:
        return int(value)
    if isinstance(value, float):
        return int(value) if -_INT64_WHOLE <= value < _INT64_WHOLE and value.is_integer() else None
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        whole = number.is_finite() and number.adjusted() < 20 and number == number.to_integral_value()
        return int(number) if whole else None
    return None


def _between(low: int, high: int) -> Callable[[Any], Any]:
    def show(value: Any) -> Any:
        whole = _whole(value)
        return whole if whole is not None and low <= whole <= high else None

    return show


def _double(value: Any) -> float | None:
    if isinstance(value, float):
        return value if value == value or identical(value, math.nan) else None  # noqa: PLR0124  no other NaN
    if type(value) not in _INTEGERS:
        return None
    number = float(value)
    return number if int(number) == int(value) else None


def _number(shown: float) -> Any:
    """Give what JavaScript's driver makes of a number: an integer of 32 bits, else a double."""
    whole = shown.is_integer() and INT32_MIN <= shown <= INT32_MAX and not (shown == 0 and math.copysign(1, shown) < 0)
    return int(shown) if whole else shown


def _numeric(value: Any) -> Decimal | None:
    if type(value) in _INTEGERS:
        return Decimal(int(value))
    if isinstance(value, float):
        return Decimal(repr(value)) if math.isfinite(value) else None
    if not isinstance(value, Decimal128):
        return None
    number = value.to_decimal()
    if number.is_snan():
        return None
    if number.is_nan():
        return Decimal("NaN")
    return _plain(number)


def _plain(number: Decimal) -> Decimal:
    """Write a number as ``numeric`` keeps it: with an exponent of 0 or below, and one zero."""
    sign, digits, exponent = number.as_tuple()
    if isinstance(exponent, str):
        return number
    if not any(digits):
        return Decimal((0, (0,), min(exponent, 0)))
    return Decimal((sign, (*digits, *(0,) * exponent), 0)) if exponent > 0 else number


def _decimal(shown: Decimal) -> Decimal128:
    value = decimal_value(shown)
    if isinstance(value, Unrepresentable):
        raise ValueError(value.reason)  # noqa: TRY004
    return value


def _text(value: Any) -> str | None:
    if type(value) is ObjectId:
        return str(value)
    return value if type(value) is str and "\0" not in value else None


def _object_id(shown: str) -> ObjectId:
    try:
        return ObjectId(shown)
    except InvalidId as error:
        raise ValueError(f"{shown[:40]!r} is no ObjectId") from error


def _instant(value: Any) -> Any:
    if type(value) is datetime:
        return value.replace(tzinfo=UTC)
    return _far(value)


def _far(value: Any) -> Any:
    if not isinstance(value, DatetimeMS):
        return None
    return INFINITY if int(value) > 0 else MINUS_INFINITY


def _date(value: Any) -> Any:
    return value.date() if type(value) is datetime else _far(value)


def _bson_date(shown: Any) -> Any:
    if isinstance(shown, datetime):
        naive = shown.astimezone(UTC).replace(tzinfo=None)
        return naive.replace(microsecond=naive.microsecond // 1000 * 1000)
    return datetime.combine(shown, time()) if isinstance(shown, date) else shown


def _uuid(value: Any) -> uuid.UUID | None:
    whole = isinstance(value, Binary) and value.subtype == 4 and len(value) == 16
    return uuid.UUID(bytes=bytes(value)) if whole else None


def _of(kind: type) -> Callable[[Any], Any]:
    return lambda value: value if type(value) is kind else None


_OBJECT_ID = re.compile(r"[0-9a-f]{24}")


def _any_id(value: Any) -> str:
    """Say any ``_id`` as text: an ObjectId by its characters, all others as JSON, which never looks so."""
    if type(value) is ObjectId:
        return str(value)
    return json.dumps(to_json(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _of_any_id(shown: str) -> Any:
    return ObjectId(shown) if _OBJECT_ID.fullmatch(shown) else from_json(json.loads(shown))


def _same(shown: Any) -> Any:
    return shown


def _finite(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124  a NaN is looked at


def _utc(value: datetime) -> datetime:
    return value.replace(tzinfo=UTC)


_BIG = _between(INT64_MIN, INT64_MAX)
TYPES: Mapping[str, Type] = {
    one.name: one
    for one in (
        Type(
            "objectid",
            "text",
            "ObjectId",
            lambda value: str(value) if type(value) is ObjectId else None,
            _object_id,
            native={ObjectId: str},
        ),
        Type("text", "text", "string", _text, _same, native={str: _text}),
        Type("boolean", "boolean", "boolean", _of(bool), _same, native={bool: _same}),
        Type("integer", "integer", "int32", _between(INT32_MIN, INT32_MAX), _same, native={int: _same}),
        Type("bigint", "bigint", "int32 where it fits, else int64", _BIG, integer, native={int: _same}),
        Type("long", "bigint", "int64", _BIG, Int64, native={Int64: int}),
        Type("double", "double precision", "double", _double, float, native={float: _finite}),
        Type("number", "double precision", "int32 where it is one, else double", _double, _number),
        Type("numeric", "numeric", "Decimal128", _numeric, _decimal),
        Type("timestamptz", "timestamptz(3)", "date", _instant, _bson_date, native={datetime: _utc}),
        Type("date", "date", "date at midnight in UTC", _date, _bson_date),
        Type("uuid", "uuid", "binary, subtype 4", _uuid, lambda shown: Binary(shown.bytes, 4)),
        Type("bytea", "bytea", "binary, subtype 0", _of(bytes), _same, native={bytes: _same}),
        Type("jsonb", "jsonb", "any", lambda value: Json(to_json(value)), lambda shown: from_json(shown.value), True),
    )
}
"""By the name in the configuration."""
_ANY = Type("any", "text", "any", _any_id, _of_any_id, any_value=True)
ID_TYPES: Mapping[str, Type] = {
    **{name: TYPES[name] for name in ("objectid", "text", "integer", "bigint", "long", "uuid")},
    "any": _ANY,
}
"""What may be a key."""
