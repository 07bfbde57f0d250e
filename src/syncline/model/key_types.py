"""One key column: whether its type may be a key, the one text each of its values has, and the ``_id`` of that text."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128

from syncline.model.entity import Column
from syncline.model.network import cidr_text, inet_text
from syncline.model.strict_bson import SYMBOL, Odd
from syncline.model.types import Kind
from syncline.model.values import NAN, decimal_from_text

MAX_DIGITS = 34
_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "citext": "two values that differ only in case are equal there, their texts are not",
        "float4": "equal floats can print differently (0 and -0)",
        "float8": "equal floats can print differently (0 and -0)",
        "interval": "equal intervals can print differently ('1 day' and '24 hours')",
        "timetz": "equal times can print differently in different zones",
        "money": "its text depends on the server's locale",
        "composite": "a composite has no text that equality follows",
        "range": "the text of a range is not the text of its bounds' equality",
        "multirange": "the text of a multirange is not the text of its bounds' equality",
        "json": "json has no equality",
        "jsonb": "equal jsonb can print differently (1.0 and 1.00)",
    }
)


@dataclass(frozen=True, slots=True)
class KeyType:
    """How values of one key column are written."""

    sql: str
    """The type that column texts are cast to, as the catalog names it; without a length, so that nothing is cut off."""
    kind: Kind
    """What the column is in ``_id``."""
    valid: Callable[[str], bool]
    """Whether this is the one text that PostgreSQL prints for some value."""
    to_id: Callable[[str], Any]
    from_id: Callable[[Any], str | None]
    tidy: Callable[[str], str | None]
    """What an operator may have meant by it."""
    example: str


def refusal(column: Column) -> str | None:
    """Say why the column cannot be (part of) a key; ``None`` when it can."""
    if column.array:
        return "arrays cannot be keys"
    if column.base in _REASONS:
        return _REASONS[column.base]
    if not column.deterministic:
        return "under a non-deterministic collation values can be equal that have different texts"
    if column.base == "numeric":
        return _numeric_refusal(column)
    if column.base not in _FACTORIES:
        return f"{column.base} is not among the key types ({', '.join(_FACTORIES)})"
    return None


def _numeric_refusal(column: Column) -> str | None:
    if column.scale is None:
        return "a numeric without a declared scale prints equal values differently (1.0 and 1.00)"
    precision = re.search(r"\((\d+)", column.type)
    if precision is not None and int(precision[1]) > MAX_DIGITS:
        return f"more than {MAX_DIGITS} digits do not fit into an _id"
    return None


def key_type(column: Column) -> KeyType:
    """Give the key form of a column that ``refusal`` lets pass."""
    return _FACTORIES[column.base](column)


def number_text(type_: KeyType, value: Any) -> str | None:
    """Write a number of any type, or a symbol, as this type of key prints it; ``None``: no such key is equal to it."""
    if isinstance(value, Odd) and value.tag == SYMBOL and type_.kind is Kind.TEXT:
        return value.text
    if type_.kind not in (Kind.LONG, Kind.DECIMAL) or isinstance(value, bool):
        return None
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if not isinstance(value, (int, float, Decimal)) or not Decimal(value).is_finite():
        return None
    number = Decimal(value)
    if type_.kind is Kind.LONG:
        return str(int(number)) if number == number.to_integral_value() else None
    return type_.tidy(f"{number:f}")


def _matcher(pattern: str) -> Callable[[str], bool]:
    match = re.compile(pattern, re.DOTALL).fullmatch
    return lambda text: match(text) is not None


def _strip(text: str) -> str | None:
    return text.strip()


def _id_text(value: Any) -> str | None:
    return value if type(value) is str else None  # code is a kind of text to Python


def _no_nul(text: str) -> bool:
    return "\0" not in text


def _integer(sql: str, bits: int) -> Callable[[Column], KeyType]:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def valid(text: str) -> bool:
        try:
            number = int(text)
        except ValueError:
            return False
        return low <= number <= high and str(number) == text  # as PostgreSQL writes it, and in no other way

    def from_id(value: Any) -> str | None:
        return str(int(value)) if isinstance(value, int) and not isinstance(value, bool) else None

    kind = KeyType(sql, Kind.LONG, valid, int, from_id, _tidy_integer, "5")
    return lambda _: kind


def _tidy_integer(text: str) -> str | None:
    try:
        return str(int(text))
    except ValueError:
        return None


def _text(column: Column) -> KeyType:
    if column.base == "bpchar":
        return KeyType(
            "bpchar",
            Kind.TEXT,
            lambda t: _no_nul(t) and not t.endswith(" "),
            str,
            _id_text,
            lambda t: t.rstrip(" "),
            "abc",
        )
    return KeyType("text", Kind.TEXT, _no_nul, str, _id_text, lambda t: t, "abc")


def _enum(column: Column) -> KeyType:
    return KeyType(column.type, Kind.TEXT, _no_nul, str, _id_text, _strip, "label")


def _uuid(_: Column) -> KeyType:
    def from_id(value: Any) -> str | None:
        if isinstance(value, uuid.UUID):
            return str(value)
        ours = isinstance(value, Binary) and value.subtype == 4 and len(value) == 16
        return str(uuid.UUID(bytes=bytes(value))) if ours else None

    return KeyType(
        "uuid",
        Kind.UUID,
        _matcher("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
        lambda text: Binary(bytes.fromhex(text.replace("-", "")), 4),
        from_id,
        _tidy_uuid,
        "0190b6f0-0000-7000-8000-000000000000",
    )


def _tidy_uuid(text: str) -> str | None:
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        return None


def _boolean(_: Column) -> KeyType:
    def from_id(value: Any) -> str | None:
        return str(value).lower() if isinstance(value, bool) else None

    words = {"t": "true", "true": "true", "1": "true", "f": "false", "false": "false", "0": "false"}
    tidy = lambda text: words.get(text.strip().lower())  # noqa: E731
    return KeyType("bool", Kind.BOOLEAN, _matcher("true|false"), lambda t: t == "true", from_id, tidy, "true")


def _bytes(_: Column) -> KeyType:
    def from_id(value: Any) -> str | None:
        plain = isinstance(value, bytes) and (not isinstance(value, Binary) or value.subtype == 0)
        return rf"\x{value.hex()}" if plain else None

    def tidy(text: str) -> str | None:
        return "\\x" + text.strip().lower().removeprefix("\\x").removeprefix("0x")

    return KeyType(
        "bytea", Kind.BINARY, _matcher(r"\\x([0-9a-f]{2})*"), lambda t: bytes.fromhex(t[2:]), from_id, tidy, r"\xc0ffee"
    )


def _numeric(column: Column) -> KeyType:
    scale = column.scale or 0
    fraction = rf"\.[0-9]{{{scale}}}" if scale > 0 else ""
    shape = _matcher(rf"-?(0|[1-9][0-9]*){fraction}|NaN")

    def valid(text: str) -> bool:
        return shape(text) and not (text.startswith("-") and not text.strip("-0.")) and len(text) <= MAX_DIGITS + 3

    def from_id(value: Any) -> str | None:
        if not isinstance(value, Decimal128):
            return None
        return "NaN" if value == NAN else f"{value.to_decimal():f}"

    def tidy(text: str) -> str | None:
        try:
            number = Decimal(text.strip())
            padded = number.quantize(Decimal(1).scaleb(-scale)) if scale > 0 else number
        except InvalidOperation:
            return None
        return f"{padded:f}" if padded == number else None

    return KeyType("numeric", Kind.DECIMAL, valid, decimal_from_text, from_id, tidy, f"{5:.{max(scale, 0)}f}")


_YEAR = "([0-9]{4}|[1-9][0-9]{4,6})"
_DAY = rf"{_YEAR}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{0,5}[1-9])?"


def _printed(sql: str, pattern: str, example: str) -> Callable[[Column], KeyType]:
    """Give types whose values stay text in ``_id``, so that no microsecond is lost."""
    kind = KeyType(sql, Kind.TEXT, _matcher(pattern), str, _id_text, _strip, example)
    return lambda _: kind


def _network(sql: str, tidy: Callable[[str], str | None]) -> Callable[[Column], KeyType]:
    kind = KeyType(sql, Kind.TEXT, lambda text: tidy(text) == text, str, _id_text, tidy, "10.0.0.1/32")
    return lambda _: kind


_FACTORIES: Mapping[str, Callable[[Column], KeyType]] = MappingProxyType(
    {
        "int2": _integer("int2", 16),
        "int4": _integer("int4", 32),
        "int8": _integer("int8", 64),
        "uuid": _uuid,
        "text": _text,
        "varchar": _text,
        "bpchar": _text,
        "bool": _boolean,
        "date": _printed("date", rf"{_DAY}( BC)?|-?infinity", "2026-01-31"),
        "timestamp": _printed("timestamp", rf"{_DAY} {_CLOCK}( BC)?|-?infinity", "2026-01-31 12:00:00"),
        "timestamptz": _printed("timestamptz", rf"{_DAY} {_CLOCK}\+00( BC)?|-?infinity", "2026-01-31 12:00:00+00"),
        "time": _printed("time", rf"{_CLOCK}|24:00:00", "12:00:00"),
        "bytea": _bytes,
        "enum": _enum,
        "inet": _network("inet", inet_text),
        "cidr": _network("cidr", cidr_text),
        "macaddr": _printed("macaddr", "([0-9a-f]{2}:){5}[0-9a-f]{2}", "08:00:2b:01:02:03"),
        "numeric": _numeric,
    }
)
