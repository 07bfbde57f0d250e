"""Values of columns as the texts that PostgreSQL's input functions read and its output functions write. Pure.

No driver has to know a type, and none turns a value into another one on the way.
"""

from __future__ import annotations

import json
import math
import struct
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from bson.datetime_ms import DatetimeMS
from psycopg import sql

from syncline.model.documents.types import Type
from syncline.model.documents.values import Json
from syncline.model.values import EPOCH, INFINITY, MINUS_INFINITY

_FIRST, _LAST = -62_135_596_800_000, 253_402_300_799_999
_DOUBLE = struct.Struct(">d")
_NONE: sql.SQL = sql.SQL("{}::text")
_MILLIS = sql.SQL("(extract(epoch FROM {}) * 1000)::text")
_BITS = sql.SQL("encode(float8send({}), 'hex')")
SELECTED: Mapping[str, sql.SQL] = {
    "timestamptz": _MILLIS,
    "date": _MILLIS,
    "bytea": sql.SQL("encode({}, 'hex')"),
    "double": _BITS,
    "number": _BITS,
}
"""How a column is selected as text, by its type; others by ``::text``."""


def selected(type_: Type, column: sql.Composable) -> sql.Composed:
    """Select a column as the text that ``from_text`` reads, whatever the session's settings are."""
    return SELECTED.get(type_.name, _NONE).format(column)


def to_text(value: Any) -> str | None:
    """Write a column's value."""
    if value is None or isinstance(value, str):
        return value
    write = _WRITERS.get(type(value))
    return str(value) if write is None else write(value)


def texts_of(column: Sequence[Any]) -> Sequence[str | None]:
    """Write a column's values; a date without a zone is read as UTC, which our sessions pin."""
    kinds = {*map(type, column)}
    mixed = len(kinds) > 1 and type(None) in kinds
    if len(kinds) != 1 + mixed:
        return [*map(to_text, column)]
    write = _COLUMNS.get((kinds - {type(None)}).pop() if mixed else kinds.pop(), _each)
    if not mixed:
        return write(column)
    texts = iter(write([one for one in column if one is not None]))
    return [None if one is None else next(texts) for one in column]


def array(texts: Sequence[str | None]) -> str:
    """Write texts as the array that PostgreSQL reads: the driver takes a step of Python for each."""
    if not texts:
        return "{}"
    if None in texts:
        return f"{{{','.join(['NULL' if one is None else _quoted(one) for one in texts])}}}"
    return f"{{{_quoted(_BETWEEN.join(texts)).replace(_BETWEEN, _NEXT)}}}"  # type: ignore[arg-type]  # none is None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def from_text(type_: Type, text: str | None) -> Any:
    """Read a column's value."""
    if text is None:
        return None
    read = _READERS.get(type_.name)
    return text if read is None else read(text)


def _double(value: float) -> str:
    return (
        repr(value)
        if math.isfinite(value)
        else "NaN"
        if math.isnan(value)
        else "Infinity"
        if value > 0
        else "-Infinity"
    )


def _bits(text: str) -> float:
    (value,) = _DOUBLE.unpack(bytes.fromhex(text))
    return float(value)


def _far(value: DatetimeMS) -> str:
    if value in (INFINITY, MINUS_INFINITY):
        return "infinity" if value == INFINITY else "-infinity"
    raise ValueError(f"no column takes the date {int(value)}")


def _instant(text: str) -> Any:
    if text.endswith("Infinity"):
        return MINUS_INFINITY if text.startswith("-") else INFINITY
    return math.floor(Decimal(text))


def _timestamp(text: str) -> Any:
    millis = _instant(text)
    if not isinstance(millis, int):
        return millis
    return _aware(millis) if _FIRST <= millis <= _LAST else DatetimeMS(millis)


def _date(text: str) -> Any:
    millis = _instant(text)
    if not isinstance(millis, int):
        return millis
    return (EPOCH + timedelta(milliseconds=millis)).date() if _FIRST <= millis <= _LAST else DatetimeMS(millis)


def _aware(millis: int) -> datetime:
    return (EPOCH + timedelta(milliseconds=millis)).replace(tzinfo=UTC)


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    bool: lambda value: "true" if value else "false",
    float: _double,
    datetime: lambda value: value.isoformat() if value.tzinfo else f"{value.isoformat()}+00:00",
    date: date.isoformat,
    DatetimeMS: _far,
    bytes: lambda value: f"\\x{value.hex()}",
    Json: lambda value: json.dumps(value.value, ensure_ascii=False),
}
_BETWEEN, _NEXT = "\0", '","'
"""No text of PostgreSQL has the first one."""


def _as_it_is(column: Sequence[Any]) -> Sequence[str | None]:
    return column


def _each(column: Sequence[Any]) -> Sequence[str | None]:
    return [*map(to_text, column)]


_COLUMNS: Mapping[type, Callable[[Sequence[Any]], Sequence[str | None]]] = {
    str: _as_it_is,
    type(None): _as_it_is,
    int: lambda column: [*map(str, column)],
    bool: lambda column: ["true" if one else "false" for one in column],
    datetime: lambda column: [*map(datetime.isoformat, column)],
}
"""Of columns whose values are of one type."""
_READERS: Mapping[str, Callable[[str], Any]] = {
    "boolean": lambda text: text == "true",
    "integer": int,
    "bigint": int,
    "long": int,
    "double": _bits,
    "number": _bits,
    "numeric": Decimal,
    "timestamptz": _timestamp,
    "date": _date,
    "uuid": uuid.UUID,
    "bytea": bytes.fromhex,
    "jsonb": lambda text: Json(json.loads(text)),
}
