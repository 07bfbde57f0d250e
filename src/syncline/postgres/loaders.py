"""psycopg loaders: from PostgreSQL's binary format to what BSON holds.

Integers, doubles, booleans, text, bytea and timestamps stay with psycopg's C loaders. Those know neither ``infinity``
nor years beyond 9999: ``fetch_rows`` then loads the same result once more with loaders that do.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, cast

import psycopg
from bson.binary import UUID_SUBTYPE, Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from psycopg import AsyncCursor, Connection, DataError
from psycopg.abc import Buffer
from psycopg.adapt import AdaptersMap, Loader, Transformer
from psycopg.pq import Format
from psycopg.types.multirange import BaseMultirangeLoader, MultirangeBinaryLoader
from psycopg.types.range import BaseRangeLoader, Range, RangeBinaryLoader

from syncline.model.values import (
    INFINITY,
    MINUS_INFINITY,
    NAN,
    NEGATIVE_INFINITY,
    POSITIVE_INFINITY,
    Unrepresentable,
    decimal128,
    instant,
    json_value,
)

Row = tuple[Any, ...]
INVALID_OID = 0
"""Where psycopg looks for the loader of a type it does not know."""

_HEAD = cast("Callable[[Buffer], tuple[int, int, int, int]]", struct.Struct("!hhHH").unpack_from)
_DIGITS = tuple(cast("Callable[[Buffer, int], Row]", struct.Struct(f"!{n}h").unpack_from) for n in range(9))
_POWERS = tuple(10**n for n in range(64))
_NEGATIVE = 0x4000
_SPECIAL = {0xC000: NAN, 0xD000: POSITIVE_INFINITY, 0xF000: NEGATIVE_INFINITY}
_BIAS_ONE = 6176 << 49


def load_numeric(data: Buffer) -> Decimal128 | Unrepresentable:
    """Read a numeric's wire format: the count of base-10000 digits, the first one's weight, sign, scale, the digits.

    The displayed scale is kept: 1.10 has coefficient 110 and exponent -2.
    """
    count, weight, sign, scale = _HEAD(data)
    if sign >= 0xC000:
        return _SPECIAL[sign]
    coefficient = 0
    if count < 9:
        for digit in _DIGITS[count](data, 8):
            coefficient = coefficient * 10000 + digit
    else:
        coefficient = _many_digits(data, count)
    # The last digit stands for 10000 ** (weight - count + 1); the coefficient shall count units of 10 ** -scale.
    shift = scale + 4 * (weight - count + 1)
    if shift > 0:
        coefficient *= _power(shift)
    elif shift < 0:
        coefficient //= _power(-shift)  # zeros only: PostgreSQL keeps no digits beyond the scale
    if coefficient >> 63 or sign or scale > 6176:
        return decimal128(sign == _NEGATIVE, coefficient, -scale)
    return Decimal128((_BIAS_ONE - (scale << 49), coefficient))  # type: ignore[arg-type]  # its two halves


def _power(exponent: int) -> int:
    return _POWERS[exponent] if exponent < 64 else int(10**exponent)


def _many_digits(data: Buffer, count: int) -> int:
    """Halve and conquer: a numeric may have 37,000 of them."""

    def value(start: int, end: int) -> int:
        if end - start <= 64:
            number = 0
            for digit in digits[start:end]:
                number = number * 10000 + digit
            return number
        middle = (start + end) // 2
        return value(start, middle) * _power(4 * (end - middle)) + value(middle, end)

    digits = struct.unpack_from(f"!{count}h", data, 8)
    return value(0, count)


class NumericLoader(Loader):
    """numeric → Decimal128."""

    format = Format.BINARY
    load = staticmethod(load_numeric)


class UnknownLoader(Loader):
    """A type that nobody registered, by way of a computed field: refused, since its bytes mean nothing to readers."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Unrepresentable:  # noqa: ARG002
        return Unrepresentable('a computed value of a type without a form in documents: give it type = "text"')


class UuidLoader(Loader):
    """uuid → Binary, subtype 4."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Binary:
        return Binary(bytes(data), UUID_SUBTYPE)


class JsonLoader(Loader):
    """json → native values, numbers exact."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        return json_value(bytes(data))


class JsonbLoader(Loader):
    """jsonb → native values, numbers exact. Its wire format is a version byte and the text."""

    format = Format.BINARY

    def load(self, data: Buffer) -> Any:
        return json_value(bytes(data)[1:])


_INT4 = cast("Callable[[Buffer], tuple[int]]", struct.Struct("!i").unpack_from)
_INT8 = cast("Callable[[Buffer], tuple[int]]", struct.Struct("!q").unpack_from)
_EPOCH_2000 = datetime(2000, 1, 1)  # noqa: DTZ001 - naive UTC, as everywhere in documents
_UNIX_TO_2000 = 946_684_800_000_000
_DAY_TO_2000 = 10_957
_INFINITE_DAYS = {2**31 - 1: INFINITY, -(2**31): MINUS_INFINITY}
_INFINITE_MICROS = {2**63 - 1: INFINITY, -(2**63): MINUS_INFINITY}


class DateLoader(Loader):
    """date → BSON date at midnight UTC; ±infinity and any year."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime | DatetimeMS:
        (days,) = _INT4(data)
        if -700_000 < days < 2_900_000:
            return _EPOCH_2000 + timedelta(days)
        return _INFINITE_DAYS.get(days) or instant((days + _DAY_TO_2000) * 86_400_000_000)


class InstantLoader(Loader):
    """timestamp and timestamptz → BSON date, naive UTC; ±infinity and any year."""

    format = Format.BINARY

    def load(self, data: Buffer) -> datetime | DatetimeMS:
        (micros,) = _INT8(data)
        if -60_000_000_000_000_000 < micros < 250_000_000_000_000_000:
            return _EPOCH_2000 + timedelta(0, 0, micros)
        return _INFINITE_MICROS.get(micros) or instant(micros + _UNIX_TO_2000)


def range_value(found: Range[Any]) -> dict[str, Any]:
    """Turn a range into ``{lower, upper, bounds}`` or ``{empty: true}``; a missing bound is null."""
    if found.isempty:
        return {"empty": True}
    return {"lower": found.lower, "upper": found.upper, "bounds": found.bounds}


def _range_loader(subtype: int) -> type[BaseRangeLoader[Any]]:
    class Loaded(RangeBinaryLoader[Any]):
        subtype_oid = subtype

        def load(self, data: Buffer) -> Any:
            return range_value(super().load(data))

    return Loaded


def _multirange_loader(subtype: int) -> type[BaseMultirangeLoader[Any]]:
    class Loaded(MultirangeBinaryLoader[Any]):
        subtype_oid = subtype

        def load(self, data: Buffer) -> Any:
            return [range_value(found) for found in super().load(data)]

    return Loaded


_SUBTYPES = {"int4": "int4", "int8": "int8", "num": "numeric", "date": "date", "ts": "timestamp", "tstz": "timestamptz"}


def register_loaders(adapters: AdaptersMap) -> None:
    """Register the loaders on a connection's ``adapters``. Cursors must ask for binary results (``binary=True``)."""
    adapters.register_loader(INVALID_OID, UnknownLoader)
    adapters.register_loader("numeric", NumericLoader)
    adapters.register_loader("uuid", UuidLoader)
    adapters.register_loader("json", JsonLoader)
    adapters.register_loader("jsonb", JsonbLoader)
    adapters.register_loader("date", DateLoader)
    adapters.register_loader("timestamptz", InstantLoader)
    for name, subtype in _SUBTYPES.items():
        oid = psycopg.adapters.types[subtype].oid
        adapters.register_loader(f"{name}range", _range_loader(oid))
        adapters.register_loader(f"{name}multirange", _multirange_loader(oid))


async def fetch_rows(cursor: AsyncCursor[Any]) -> list[Row]:
    """Fetch all rows of a client-side binary cursor, timestamps out of Python's range included.

    A value that no loader can read becomes ``Unrepresentable``: it is its record's trouble, not the statement's.
    """
    try:
        return await cursor.fetchall()
    except Exception as error:
        if isinstance(error, psycopg.Error) and not isinstance(error, DataError):
            raise
        return reload_rows(cursor.connection, cursor.pgresult)


def reload_rows(connection: Connection[Any] | psycopg.AsyncConnection[Any], result: Any) -> list[Row]:
    """Load a result that is already here again, with loaders for every instant that PostgreSQL knows."""
    transformer = Transformer(_Patient(connection))
    transformer.set_pgresult(result)
    return [_reload_row(transformer, result, number) for number in range(result.ntuples)]


def _reload_row(transformer: Any, result: Any, number: int) -> Row:
    try:
        loaded: Row = transformer.load_row(number, tuple)
    except Exception:  # noqa: BLE001  loaders raise what Python does: UnicodeDecodeError, OverflowError, …
        return tuple(_reload_value(transformer, result, number, place) for place in range(result.nfields))
    return loaded


def _reload_value(transformer: Any, result: Any, number: int, place: int) -> Any:
    data = result.get_value(number, place)
    if data is None:
        return None
    try:
        return transformer.get_loader(result.ftype(place), result.fformat(place)).load(data)
    except Exception as error:  # noqa: BLE001  as above
        return Unrepresentable(f"a value that cannot be read: {error}")


class _Patient:
    """An adaptation context like the connection's, but with our own loader for timestamps."""

    def __init__(self, connection: Connection[Any] | psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.adapters = AdaptersMap(connection.adapters)
        self.adapters.register_loader("timestamp", InstantLoader)
