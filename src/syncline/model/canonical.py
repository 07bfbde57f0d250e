"""The canonical form: bytes of a value, equal exactly when two values are equal for Syncline.

Specified in ``docs/explanation/canonical-form.md``: ``tag (1 byte), length (4 bytes, big endian), payload``. It is what
verification compares; it does not depend on the driver, the order of fields or the precision of a clock.
"""

from __future__ import annotations

import math
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson.binary import Binary
from bson.code import Code
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from syncline.model.values import EPOCH, INT64_MAX, INT64_MIN, Unrepresentable

IGNORED = ("_syncedAt", "_v")
"""Fields that say when a document was written, not what it is."""

_SIZE = struct.Struct(">I").pack
_DOUBLE = struct.Struct(">d").pack
_SYNCED_AT = b"\x09_syncedAt\x00"
_VERSION = b"\x12_v\x00"
TAIL = len(_SYNCED_AT) + 8 + len(_VERSION) + 8 + 1
"""Length of ``_syncedAt`` (a date), ``_v`` (a 64-bit integer) and the end of a document that a ``Projection`` made."""
_QUIET_NAN = bytes.fromhex("7ff8000000000000")


class Missing:
    """A field that is not there; not the same as null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<missing>"


MISSING = Missing()


def canonical(value: Any) -> bytes:
    """Give the canonical form of one value of a document (or of the document).

    Raises:
        TypeError: the value is of a type that no mapping produces.

    """
    encode = _ENCODERS.get(type(value)) or _by_base(value)
    return encode(value)


def differences(source: Mapping[str, Any], target: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """List ``(path, source value, target value)`` where two documents differ; ``MISSING`` where one has no such field.

    Subdocuments are compared field by field, arrays of one length element by element.
    """
    left = {name: value for name, value in source.items() if name not in IGNORED}
    right = {name: value for name, value in target.items() if name not in IGNORED}
    return list(_differences("", left, right))


def _differences(path: str, source: Any, target: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(source, Mapping) and isinstance(target, Mapping):
        for name in dict.fromkeys((*source, *target)):
            inner = f"{path}.{name}" if path else name
            yield from _differences(inner, source.get(name, MISSING), target.get(name, MISSING))
    elif isinstance(source, list) and isinstance(target, list) and len(source) == len(target):
        for index, pair in enumerate(zip(source, target, strict=True)):
            yield from _differences(f"{path}.{index}", *pair)
    elif not _equal(source, target):
        yield path, source, target


def _equal(source: Any, target: Any) -> bool:
    if source is MISSING or target is MISSING:
        return False
    try:
        return canonical(source) == canonical(target)
    except (TypeError, RecursionError):  # the target may hold anything
        return False


def _tagged(tag: bytes, payload: bytes) -> bytes:
    return tag + _SIZE(len(payload)) + payload


def _integer(value: int) -> bytes:
    return _tagged(b"i", b"%d" % value)


def _double(value: float) -> bytes:
    return _tagged(b"d", _QUIET_NAN if math.isnan(value) else _DOUBLE(value))


def _decimal(value: Decimal) -> bytes:
    """Write ``coefficient E exponent`` without zeros at the end: 1.10 = 1.1, 100 = 1E2; every zero is 0E0."""
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, str):
        return _tagged(b"n", b"NaN" if exponent != "F" else b"-Infinity" if sign else b"Infinity")
    text = "".join(map(str, digits))
    kept = text.rstrip("0").lstrip("0")
    exponent += len(text) - len(text.rstrip("0"))
    return _tagged(b"n", f"{'-' if sign else ''}{kept}E{exponent}".encode() if kept else b"0E0")


def _instant(value: datetime) -> bytes:
    naive = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo is not None else value
    passed = naive - EPOCH
    return _millis(passed.days * 86_400_000 + passed.seconds * 1000 + passed.microseconds // 1000)


def _millis(value: int) -> bytes:
    if value == INT64_MAX:
        return _tagged(b"t", b"infinity")
    if value == INT64_MIN:
        return _tagged(b"t", b"-infinity")
    return _tagged(b"t", b"%d" % value)


def _text(value: str) -> bytes:
    return _tagged(b"s", value.encode("utf-8", "surrogatepass"))


def _binary(value: bytes) -> bytes:
    subtype = value.subtype if isinstance(value, Binary) else 0
    if subtype == 4 and len(value) == 16:
        return _tagged(b"u", bytes(value))
    return _tagged(b"x", bytes(value)) if subtype == 0 else _tagged(b"y", bytes([subtype]) + bytes(value))


def _document(value: Mapping[str, Any]) -> bytes:
    pairs = sorted((name.encode("utf-8", "surrogatepass"), item) for name, item in value.items())
    return _tagged(b"o", b"".join(_tagged(b"k", name) + canonical(item) for name, item in pairs))


def _formless(value: Any) -> bytes:
    raise TypeError(f"{type(value).__name__} has no canonical form")


def _array(value: list[Any] | tuple[Any, ...]) -> bytes:
    return _tagged(b"a", b"".join(map(canonical, value)))


_ENCODERS: Mapping[type, Callable[[Any], bytes]] = {
    type(None): lambda _: _tagged(b"0", b""),
    bool: lambda value: _tagged(b"b", b"\x01" if value else b"\x00"),
    int: _integer,
    Int64: _integer,
    float: _double,
    Decimal: _decimal,
    Decimal128: lambda value: _decimal(value.to_decimal()),
    str: _text,
    bytes: _binary,
    Binary: _binary,
    Code: _formless,  # to Python it is a text
    uuid.UUID: lambda value: _tagged(b"u", value.bytes),
    ObjectId: lambda value: _text(str(value)),
    datetime: _instant,
    DatetimeMS: lambda value: _millis(int(value)),
    dict: _document,
    list: _array,
    tuple: _array,
    Unrepresentable: lambda value: _tagged(b"!", value.reason.encode()),
}
"""ObjectIds have the form of their 24 characters: a relational target can only hold those."""


def _by_base(value: Any) -> Callable[[Any], bytes]:
    for base, encode in _ENCODERS.items():
        if isinstance(value, base):
            return encode
    if isinstance(value, Mapping):
        return _document
    raise TypeError(f"{type(value).__name__} has no canonical form")
