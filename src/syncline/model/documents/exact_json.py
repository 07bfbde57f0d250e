"""Any value of BSON as JSON that ``jsonb`` keeps, readable where that loses nothing, and the exact value from it.

MongoDB's extended JSON, with what it lacks: a document whose fields are not in the order of ``jsonb`` says it
(``$order``), a name that begins with ``$`` has one more, and what JSON cannot say is there as it is stored (``$bson``).
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.objectid import ObjectId
from bson.regex import Regex
from bson.timestamp import Timestamp

from syncline.model.strict_bson import ARRAY, AS_STORED, DOCUMENT, Odd, elements, encoded, value_of
from syncline.model.values import INT64_MAX, INT64_MIN

ORDER = "$order"
NOTES = frozenset({ORDER, "$missing"})
"""What stands beside fields in a document; any other name with one ``$`` says that it is no document."""

INT32_MAX, INT32_MIN = (1 << 31) - 1, -(1 << 31)
_NAN = struct.pack("<d", math.nan)


def to_json(value: Any) -> Any:
    """Write a value."""
    write = _WRITERS.get(type(value), _stored)
    return write(value)


def from_json(found: Any) -> Any:
    """Read what ``to_json`` wrote, or what somebody put there: then as plain JSON says it.

    Raises:
        ValueError: it is no such value.

    """
    try:
        return _read(found)
    except ValueError:
        raise
    except Exception as error:  # what a value of BSON lacks, or is not, in as many ways as there are types
        raise ValueError(f"no value of BSON: {error!r}") from error


def _read(found: Any) -> Any:
    if isinstance(found, dict):
        return _object(found)
    if isinstance(found, list):
        return [_read(item) for item in found]
    if isinstance(found, int) and not isinstance(found, bool):
        return integer(found)
    return found


def integer(number: int) -> int | Int64:
    """Give an integer its width: 32 bits where it fits, as drivers do."""
    return number if INT32_MIN <= number <= INT32_MAX else Int64(number)


def is_document(found: Any) -> bool:
    """Tell a document, or what is left of one, from other values that are objects in JSON."""
    return isinstance(found, dict) and all(name in NOTES or plain_name(name) is not None for name in found)


def json_name(name: str) -> str:
    """Write the name of a field."""
    return f"${name}" if name.startswith("$") else name


def plain_name(name: str) -> str | None:
    """Read the name of a field; ``None``: it is not a name."""
    if not name.startswith("$"):
        return name
    return name[1:] if name.startswith("$$") else None


def stored_order(names: Iterable[str]) -> list[str]:
    """Sort names of fields as ``jsonb`` does: shorter ones first."""
    return sorted(names, key=lambda name: (len(data := json_name(name).encode()), data))


def _object(found: Mapping[str, Any]) -> Any:
    if is_document(found):
        fields = {plain_name(name) or "": _read(item) for name, item in found.items() if name not in NOTES}
        return ordered(fields, found.get(ORDER))
    for name, read in _READERS.items():
        if name in found:
            return read(found)
    raise ValueError(f"no value of BSON: {sorted(found)}")


def ordered(fields: Mapping[str, Any], order: Any) -> dict[str, Any]:
    """Put fields into an order; those that it does not know come last, as ``jsonb`` has them."""
    first = [name for name in order or () if name in fields]
    known = set(first)
    return {name: fields[name] for name in (*first, *stored_order(set(fields) - known))}


def _document(value: Mapping[str, Any]) -> Any:
    written = {json_name(name): to_json(item) for name, item in value.items()}
    names = list(value)
    if names != stored_order(names):
        written[ORDER] = names
    return written


def _long(value: Int64) -> Any:
    number = int(value)
    return {"$numberLong": str(number)} if INT32_MIN <= number <= INT32_MAX else number


def _double(value: float) -> Any:
    if math.isnan(value):
        return {"$numberDouble": "NaN"} if struct.pack("<d", value) == _NAN else _stored(value)
    if math.isinf(value):
        return {"$numberDouble": "Infinity" if value > 0 else "-Infinity"}
    text = repr(value)
    plain = "e" not in text and not text.endswith(".0")
    return value if plain else {"$numberDouble": text}


def _text(value: str) -> Any:
    return _stored(value) if "\0" in value else value


def _date(value: datetime) -> Any:
    return {"$date": f"{value.isoformat(timespec='milliseconds')}Z"}


def _decimal(value: Decimal128) -> Any:
    text = str(value)
    return {"$numberDecimal": text} if Decimal128(text).bid == value.bid else _stored(value)


def _binary(value: bytes) -> Any:
    subtype = value.subtype if isinstance(value, Binary) else 0
    if subtype == 4 and len(value) == 16:
        digits = value.hex()
        return {"$uuid": "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))}
    return {"$binary": {"base64": base64.b64encode(value).decode(), "subType": f"{subtype:02x}"}}


def _regex(value: Regex[Any]) -> Any:
    pattern, options, _ = encoded({"": value})[6:-1].split(b"\0")
    try:
        return {"$regularExpression": {"pattern": pattern.decode(), "options": options.decode()}}
    except UnicodeDecodeError:
        return _stored(value)


def _stored(value: Any) -> Any:
    if isinstance(value, Odd):
        tag, payload = value.tag, value.payload
    else:
        whole = encoded({"": value})
        tag, payload = whole[4], whole[6:-1]
    return {"$bson": {"type": tag, "base64": base64.b64encode(payload).decode()}}


_WRITERS: Mapping[type, Callable[[Any], Any]] = {
    type(None): lambda _: None,
    bool: lambda value: value,
    int: lambda value: value,
    Int64: _long,
    float: _double,
    str: _text,
    dict: _document,
    list: lambda value: [to_json(item) for item in value],
    datetime: _date,
    DatetimeMS: lambda value: {"$date": {"$numberLong": str(int(value))}},
    Decimal128: _decimal,
    ObjectId: lambda value: {"$oid": str(value)},
    bytes: _binary,
    Binary: _binary,
    Regex: _regex,
    Timestamp: lambda value: {"$timestamp": {"t": value.time, "i": value.inc}},
    MinKey: lambda _: {"$minKey": 1},
    MaxKey: lambda _: {"$maxKey": 1},
}
"""Other values (code, symbols, pointers, undefined, what is damaged) are written as they are stored."""


def _read_date(found: Mapping[str, Any]) -> Any:
    given = found["$date"]
    if isinstance(given, Mapping):
        millis = int(given["$numberLong"])
        if not INT64_MIN <= millis <= INT64_MAX:
            raise ValueError("a date of more than 64 bits")
        return DatetimeMS(millis)
    instant = datetime.fromisoformat(given)
    return instant.astimezone(UTC).replace(tzinfo=None) if instant.tzinfo else instant


def _read_binary(found: Mapping[str, Any]) -> bytes:
    data, subtype = base64.b64decode(found["$binary"]["base64"]), int(found["$binary"]["subType"], 16)
    return Binary(data, subtype) if subtype else data


def _read_stored(found: Mapping[str, Any]) -> Any:
    """Read a value as a document that holds it is read: a column may show it, too, and is compared with it."""
    tag, payload = found["$bson"]["type"], base64.b64decode(found["$bson"]["base64"])
    alone = (len(payload) + 7).to_bytes(4, "little") + bytes([tag, 0]) + payload + b"\0"
    if [*elements(alone)] != [(tag, b"", payload)]:
        raise ValueError(f"no value of the type {tag}")
    return Odd("as it is stored", tag, payload) if tag in {DOCUMENT, ARRAY} else value_of(tag, payload, AS_STORED)


_READERS: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "$oid": lambda found: ObjectId(found["$oid"]),
    "$date": _read_date,
    "$numberLong": lambda found: Int64(found["$numberLong"]),
    "$numberInt": lambda found: int(found["$numberInt"]),
    "$numberDouble": lambda found: float(found["$numberDouble"]),
    "$numberDecimal": lambda found: Decimal128(found["$numberDecimal"]),
    "$uuid": lambda found: Binary(bytes.fromhex(found["$uuid"].replace("-", "")), 4),
    "$binary": _read_binary,
    "$regularExpression": lambda found: Regex(
        found["$regularExpression"]["pattern"], found["$regularExpression"]["options"]
    ),
    "$timestamp": lambda found: Timestamp(found["$timestamp"]["t"], found["$timestamp"]["i"]),
    "$minKey": lambda _: MinKey(),
    "$maxKey": lambda _: MaxKey(),
    "$bson": _read_stored,
}
