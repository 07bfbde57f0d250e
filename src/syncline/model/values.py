"""Values that need care on their way into a document: decimals, instants, JSON. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import orjson
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

INT64_MAX = (1 << 63) - 1
INT64_MIN = -(1 << 63)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - documents hold naive UTC: what BSON decodes to, and the fastest to encode
INFINITY = DatetimeMS(INT64_MAX)
"""``infinity`` of dates and timestamps; no finite instant of PostgreSQL comes near."""
MINUS_INFINITY = DatetimeMS(INT64_MIN)

MAX_COEFFICIENT = 10**34 - 1
MIN_EXPONENT, MAX_EXPONENT = -6176, 6111
_BIAS = 6176
_SIGN = 1 << 63
_LOW = (1 << 64) - 1
NAN = Decimal128("NaN")
POSITIVE_INFINITY = Decimal128("Infinity")
NEGATIVE_INFINITY = Decimal128("-Infinity")

MAX_LEVELS = 180
"""Levels of nesting that MongoDB stores, the document's own included."""

_MIN_MICROS = -62135596800 * 10**6
"""Year 1."""
_MAX_MICROS = 253402300800 * 10**6 - 1
"""The end of year 9999."""


LAST_DAY = datetime(9999, 12, 31)  # noqa: DTZ001
LAST_INSTANT = datetime(9999, 12, 31, 23, 59, 59, 999000)  # noqa: DTZ001
FIRST_INSTANT = datetime(1, 1, 1)  # noqa: DTZ001
_CYCLE_DAYS = 146_097
"""Days in 400 years, after which the calendar repeats itself."""
_DAYS_TO_1970 = 719_162


class Unrepresentable:
    """Stands in a document for a value that BSON cannot hold exactly.

    The BSON encoder refuses it (``bson.errors.InvalidDocument``), so that this document, and no other, is rejected.
    """

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __repr__(self) -> str:
        return f"<unrepresentable: {self.reason}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unrepresentable) and other.reason == self.reason

    def __hash__(self) -> int:
        return hash(self.reason)


def unrepresentable(value: Any, path: str = "") -> list[tuple[str, str]]:
    """List ``(path, reason)`` of what BSON cannot hold in a document: for the message of its rejection."""
    if isinstance(value, Unrepresentable):
        return [(path, value.reason)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for name, item in items for found in unrepresentable(item, f"{path}.{name}" if path else str(name))]


def nesting(value: Any) -> int:
    """Count the levels of documents and arrays; not by recursion, which ends before they do."""
    levels, level = 0, [value]
    while level := [one for one in level if isinstance(one, (dict, list, tuple))]:
        levels += 1
        level = [item for one in level for item in (one.values() if isinstance(one, dict) else one)]
    return levels


def decimal128(negative: bool, coefficient: int, exponent: int) -> Decimal128 | Unrepresentable:
    """Build a Decimal128 exactly, keeping the scale.

    Zeros at the end of a number too long for 34 digits are moved into the exponent: the value stays the same. A digit
    other than zero is never dropped.
    """
    digits = coefficient
    if coefficient > MAX_COEFFICIENT or not MIN_EXPONENT <= exponent <= MAX_EXPONENT:
        digits, exponent = _fit(coefficient, exponent)
        if digits < 0:
            return Unrepresentable("a number of more than 34 digits, or out of Decimal128's range")
    high = (exponent + _BIAS) << 49 | digits >> 64 | (_SIGN if negative else 0)
    return Decimal128((high, digits & _LOW))  # type: ignore[arg-type]  # its two halves


def _fit(coefficient: int, exponent: int) -> tuple[int, int]:
    """Move zeros between the coefficient and the exponent; (-1, 0) when that is not enough."""
    if coefficient == 0:
        return 0, max(MIN_EXPONENT, min(exponent, MAX_EXPONENT))
    digits = Decimal(coefficient).as_tuple().digits  # not str(): it is limited to 4300 digits
    length = len(digits)
    zeros = next(i for i, digit in enumerate(reversed(digits)) if digit)
    needed = max(length - 34, MIN_EXPONENT - exponent, 0)
    if needed > zeros:
        return -1, 0
    coefficient //= 10**needed
    exponent += needed
    if exponent > MAX_EXPONENT:
        pad = exponent - MAX_EXPONENT
        if length - needed + pad > 34:
            return -1, 0
        return coefficient * 10**pad, MAX_EXPONENT
    return coefficient, exponent


def decimal_value(number: Decimal) -> Decimal128 | Unrepresentable:
    """Turn a Decimal into a Decimal128 exactly, or say that it cannot be."""
    sign, digits, exponent = number.as_tuple()
    if isinstance(exponent, str):
        if exponent in "nN":
            return NAN
        return NEGATIVE_INFINITY if sign else POSITIVE_INFINITY
    return decimal128(bool(sign), int(Decimal((0, digits, 0))), exponent)


def instant(micros: int) -> datetime | DatetimeMS:
    """Turn microseconds since 1970 into a date; outside of the years 1 to 9999, a ``DatetimeMS`` (floored)."""
    if _MIN_MICROS <= micros <= _MAX_MICROS:
        return EPOCH + timedelta(microseconds=micros)
    return DatetimeMS(micros // 1000)


def near_days(value: Any) -> Any:
    """Put the nearest day of the years 1 to 9999 in the place of each far date, within arrays and ranges too."""
    return _far_replaced(value, lambda far: LAST_DAY if int(far) > 0 else FIRST_INSTANT)


def near_instants(value: Any) -> Any:
    """Put the nearest instant of the years 1 to 9999 in the place of each far one, within arrays and ranges too."""
    return _far_replaced(value, lambda far: LAST_INSTANT if int(far) > 0 else FIRST_INSTANT)


def far_texts(value: Any) -> Any:
    """Write each far date as text, within arrays and ranges too."""
    return _far_replaced(value, far_text)


def _far_replaced(value: Any, replace: Callable[[DatetimeMS], Any]) -> Any:
    if isinstance(value, DatetimeMS):
        return replace(value)
    if isinstance(value, list):
        return [_far_replaced(item, replace) for item in value]
    if isinstance(value, dict):
        return {name: _far_replaced(item, replace) for name, item in value.items()}
    return value


def far_text(far: DatetimeMS) -> str:
    """Write an instant that is no ``datetime`` in ISO 8601, with a sign and six digits of the year; ``±infinity``."""
    if far in (INFINITY, MINUS_INFINITY):
        return "infinity" if far == INFINITY else "-infinity"
    days, millis = divmod(int(far), 86_400_000)
    cycles, within = divmod(days + _DAYS_TO_1970, _CYCLE_DAYS)
    date = FIRST_INSTANT + timedelta(days=within, milliseconds=millis)
    return f"{date.year + 400 * cycles:+07}-{date:%m-%dT%H:%M:%S}.{date.microsecond // 1000:03}Z"


def long_from_text(text: str) -> int | Unrepresentable:
    """Read a number that must be an integer of 64 bits."""
    try:
        number = Decimal(text)
        whole = int(number)
    except (InvalidOperation, ValueError, OverflowError):
        return Unrepresentable(f"{text[:40]} is not an integer")
    if whole != number or not INT64_MIN <= whole <= INT64_MAX:
        return Unrepresentable(f"{text[:40]} is not an integer of 64 bits")
    return whole


def double_from_text(text: str) -> float | Unrepresentable:
    """Read the double nearest to a number; a finite number too large for a double is refused."""
    number = float(text)
    if math.isinf(number) and "inf" not in text.lower():
        return Unrepresentable(f"{text[:40]}… is too large for a double")
    return number


def decimal_from_text(text: str) -> Decimal128 | Unrepresentable:
    """Read a decimal number with all its digits."""
    return decimal_value(Decimal(text))


def micros_from_text(text: str) -> int | Unrepresentable:
    """Turn the exact seconds since 1970 into microseconds; ±infinity as PostgreSQL keeps it, the limits of 64 bits."""
    if text.endswith("Infinity"):
        return INT64_MIN if text.startswith("-") else INT64_MAX
    whole = int(Decimal(text).scaleb(6))
    if not INT64_MIN < whole < INT64_MAX:
        return Unrepresentable(f"{text[:40]} seconds are more microseconds than 64 bits hold")
    return whole


_RISKY = re.compile(rb"[0-9.]{16}|[0-9.][eE][+-]?[0-9]{3}|\\u[dD][89a-fA-F]")
"""What could be a number that no double and no int64 holds, or a lone surrogate. May match inside of strings."""


def json_value(text: bytes) -> Any:
    """Parse JSON exactly: a number that its nearest double does not stand for becomes a Decimal128.

    Integers become ints up to 64 bits, then Decimal128; ``Unrepresentable`` takes the place of what fits nowhere.
    """
    value = _parsed(text)
    # As deep as that takes two characters a level; brackets inside of strings only make it look twice.
    if len(text) >= 2 * MAX_LEVELS and text.count(b"[") + text.count(b"{") >= MAX_LEVELS:
        levels = nesting(value) + 1
        if levels > MAX_LEVELS:
            return Unrepresentable(f"JSON {levels - 1} levels deep: MongoDB takes {MAX_LEVELS}, the document included")
    return value


def _parsed(text: bytes) -> Any:
    if _RISKY.search(text) is None:
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:  # deeper nested than it goes
            pass
    try:
        value = json.loads(text, parse_int=_json_int, parse_float=_json_float)
        if rb"\u" in text:
            json.dumps(value, ensure_ascii=False, default=repr).encode()
    except UnicodeEncodeError:
        return Unrepresentable("JSON with half of a surrogate pair")
    except (ValueError, RecursionError) as error:
        return Unrepresentable(f"JSON that cannot be read: {error}")
    return value


def _json_int(text: str) -> int | Decimal128 | Unrepresentable:
    number = int(text) if len(text) <= 20 else None
    if number is not None and INT64_MIN <= number <= INT64_MAX:
        return number
    return decimal_value(Decimal(text))


def _json_float(text: str) -> float | Decimal128 | Unrepresentable:
    number, exact = float(text), Decimal(text)
    if math.isfinite(number) and Decimal(repr(number)) == exact:
        return number
    return decimal_value(exact)
