"""Reading BSON for what it says: a driver shows a symbol as text, and of two fields of one name only the last.

Where the driver's decoding loses nothing, which encoding it again shows, the driver decodes; the rest is read here,
slowly. Pure.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import bson
from bson.binary import Binary, UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import InvalidBSON
from bson.int64 import Int64

EXACT = frozenset({int, Int64, Binary})
"""Types of ids that the driver decodes as they are stored; of these, equality to Python is equality of keys."""
Codec = CodecOptions[dict[str, Any]]
PLAIN: Codec = CodecOptions(
    uuid_representation=UuidRepresentation.STANDARD, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
AS_STORED = PLAIN.with_options(uuid_representation=UuidRepresentation.UNSPECIFIED)
"""UUIDs as ``Binary``."""

_INT32 = struct.Struct("<i")
_FIXED = {0x01: 8, 0x06: 0, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7F: 0, 0xFF: 0}
"""Sizes by type."""
_SIZED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5, 0x0C: 16, 0x0D: 4, 0x0E: 4, 0x0F: 0}
"""Bytes besides those that the length in front counts."""
_TEXT, DOCUMENT, ARRAY, _BINARY, _REGEX, SYMBOL = 0x02, 0x03, 0x04, 0x05, 0x0B, 0x0E
UNDEFINED = 0x06
_ODD = {UNDEFINED: "undefined", 0x0C: "a pointer", 0x0D: "code", SYMBOL: "a symbol", 0x0F: "code with scope"}


@dataclass(frozen=True, slots=True)
class Odd:
    """A value as it is stored, which no mapping makes and no driver gives back: it equals nothing."""

    what: str
    tag: int
    payload: bytes

    @property
    def text(self) -> str | None:
        """What it spells, if it is a kind of text."""
        if self.tag not in {_TEXT, 0x0D, SYMBOL}:
            return None
        return self.payload[4:-1].decode("utf-8", "backslashreplace")

    def __repr__(self) -> str:
        shown = self.payload[:40].hex() if self.text is None else repr(self.text)
        return f"<{self.what}: {shown}>" if shown else f"<{self.what}>"


@dataclass(frozen=True, slots=True)
class Repeated:
    """The values of a field that is there more than once: they equal nothing."""

    values: tuple[Any, ...]

    def __repr__(self) -> str:
        return f"<{len(self.values)} fields of one name: {', '.join(map(repr, self.values))}>"


def decoded(document: bytes, codec: Codec = PLAIN) -> dict[str, Any]:
    """Decode a document, whoever wrote it, so that nothing of what it says is lost."""
    if b"$ref\0" not in document:  # drivers make references of such documents
        try:
            found = bson.decode(document, codec)
            if bson.encode(found, codec_options=codec) == document:
                return found
        except Exception:  # noqa: BLE001, S110  what the driver cannot decode is read below
            pass
    return _fields(document, codec, whole_id=True)


def encoded(document: Mapping[str, Any]) -> bytes:
    """Encode a document that may hold what ``decoded`` found; its fields stay in their order.

    Raises:
        Exception: it holds something that BSON cannot (the driver has several kinds).

    """
    try:
        if "_id" in document and next(iter(document)) != "_id":  # the driver would put it first
            return bson.encode({"": document}, codec_options=PLAIN)[6:-1]
        return bson.encode(document, codec_options=PLAIN)
    except Exception:
        if not _holds_odd(document):
            raise
    return _document(b"".join(_element(name, value) for name, value in document.items()))


def value_of(tag: int, payload: bytes, codec: Codec = PLAIN) -> Any:
    """Decode one value, which is no document and no array; what the driver would lose is an ``Odd``."""
    return _value(tag, payload, codec)


def leading(value: Any) -> Any:
    """Give what the server's expressions see of a field that ``decoded`` found: of several of one name the first."""
    return value.values[0] if isinstance(value, Repeated) else value


def id_of(document: bytes) -> bytes:
    """Cut a document down to its ``_id``, as a document."""
    for tag, name, payload in elements(document):
        if name == b"_id":
            return _document(bytes([tag]) + b"_id\0" + payload)
    raise InvalidBSON("the document has no _id")


def _holds_odd(value: Any) -> bool:
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, (list, tuple)) else ()
    return isinstance(value, (Odd, Repeated)) or any(map(_holds_odd, items))


def _element(name: str, value: Any) -> bytes:
    head = name.encode() + b"\0"
    match value:
        case Odd():
            return bytes([value.tag]) + head + value.payload
        case Repeated():
            return b"".join(_element(name, one) for one in value.values)
        case Mapping():
            return bytes([DOCUMENT]) + head + encoded(value)
        case list() | tuple():
            return bytes([ARRAY]) + head + encoded({str(place): one for place, one in enumerate(value)})
    return bson.encode({name: value}, codec_options=PLAIN)[4:-1]


def _document(fields: bytes) -> bytes:
    return _INT32.pack(len(fields) + 5) + fields + b"\0"


def _fields(document: bytes, codec: Codec, *, whole_id: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tag, encoded_name, payload in elements(document):
        name = encoded_name.decode("utf-8", "backslashreplace")
        value = _value(tag, payload, codec) if _is_text(encoded_name) else Odd("a field with such a name", tag, payload)
        if whole_id and name == "_id":
            value = _whole(tag, payload, value)
        if name in found:
            first = found[name]
            value = Repeated((*(first.values if isinstance(first, Repeated) else (first,)), value))
        found[name] = value
    return found


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def elements(document: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Give type, name and encoded value of each field (of each element, for an array)."""
    for tag, name, start, stop in spans(document):
        yield tag, name, document[start:stop]


def spans(document: bytes) -> Iterator[tuple[int, bytes, int, int]]:
    """Give type and name of each field, and where its encoded value begins and ends."""
    at, end = 4, len(document) - 1
    while at < end:
        tag = document[at]
        start = document.index(b"\0", at + 1) + 1
        stop = start + _size(tag, document, start)
        yield tag, document[at + 1 : start - 1], start, stop
        at = stop


def _size(tag: int, document: bytes, at: int) -> int:
    if tag in _FIXED:
        return _FIXED[tag]
    if tag in _SIZED:
        return cast("int", _INT32.unpack_from(document, at)[0]) + _SIZED[tag]
    if tag == _REGEX:
        return document.index(b"\0", document.index(b"\0", at) + 1) + 1 - at
    raise InvalidBSON(f"there is no type {tag}")


def _value(tag: int, payload: bytes, codec: Codec) -> Any:
    if tag in _ODD:
        return Odd(_ODD[tag], tag, payload)
    if tag == DOCUMENT:
        return _fields(payload, codec)
    if tag == ARRAY:
        return _array(payload, codec)
    for one in (codec, AS_STORED):
        try:
            value = bson.decode(_document(bytes([tag, 0]) + payload), one)[""]
            if _encodes_as(value, tag, payload):
                return value
        except Exception:  # noqa: BLE001, S110  the driver has several kinds; what none decodes is damaged
            pass
    return Odd("text that is no UTF-8" if tag == _TEXT else f"a damaged value (type {tag})", tag, payload)


def _array(payload: bytes, codec: Codec) -> Any:
    found = list(elements(payload))
    if any(name != b"%d" % place for place, (_, name, _) in enumerate(found)):
        return Odd("an array with other places", ARRAY, payload)
    values = []
    for tag, _, inner in found:
        values.append(_value(tag, inner, codec))  # in a comprehension each level is one frame more
    return values


def _whole(tag: int, payload: bytes, value: Any) -> Any:
    """Keep an ``_id`` that holds something odd as the bytes that it is: it must be asked for exactly."""
    if isinstance(value, Odd):
        return value
    try:
        exact = _encodes_as(value, tag, payload)
    except Exception:  # noqa: BLE001  something odd within
        exact = False
    return value if exact else Odd("a key that holds what no key has", tag, payload)


def _encodes_as(value: Any, tag: int, payload: bytes) -> bool:
    return bson.encode({"": value}, codec_options=PLAIN) == _document(bytes([tag, 0]) + payload)
