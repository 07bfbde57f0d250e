"""Keys as applications hold them: Python values, checked against the key's column types before anything is sent."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from syncline.errors import KeyFormatError

_MODIFIER = re.compile(r"\(.*?\)")
Convert = Callable[[Any], str | None]
"""From a value to text that PostgreSQL reads as the same value; ``None``: not of this type."""


def key_texts(entity: str, key: Any, columns: Sequence[str], types: Sequence[str]) -> list[str]:
    """Turn a key into a text for each of its columns, to be cast in SQL.

    Args:
        entity: for the message.
        key: a value; for several columns a sequence in their order, or a mapping by column.
        columns: the key's columns.
        types: their SQL types with modifiers, as ``syncline.entity`` has them.

    Raises:
        KeyFormatError: it has other columns, or a value of another type.

    """
    return [
        _text(entity, column, type_, value)
        for column, type_, value in zip(columns, types, _values(entity, key, columns), strict=True)
    ]


def _values(entity: str, key: Any, columns: Sequence[str]) -> list[Any]:
    if isinstance(key, Mapping):
        if set(key) != set(columns):
            raise KeyFormatError(
                f"{entity}: the key has the columns {', '.join(columns)}, not {', '.join(map(str, key))}"
            )
        return [key[column] for column in columns]
    if len(columns) == 1 and not (isinstance(key, (tuple, list)) and len(key) == 1):
        return [key]
    if not isinstance(key, (tuple, list)) or len(key) != len(columns):
        raise KeyFormatError(f"{entity}: {key!r} is not a key", hint=f"give ({', '.join(columns)})")
    return list(key)


def _text(entity: str, column: str, type_: str, value: Any) -> str:
    if value is None:
        raise KeyFormatError(f"{entity}: {column} is None", hint="flush first when the database makes the key")
    text = _CONVERT.get(_MODIFIER.sub("", type_), _other)(value)
    if text is None or "\0" in text:
        raise KeyFormatError(f"{entity}: {column} is {type_}, and {value!r} is not one ({type(value).__name__})")
    return text


def _integer(bits: int) -> Convert:
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1

    def convert(value: Any) -> str | None:
        return (
            str(int(value)) if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None
        )

    return convert


def _uuid(value: Any) -> str | None:
    try:
        return str(value if isinstance(value, UUID) else UUID(value))
    except (ValueError, AttributeError, TypeError):
        return None


def _string(value: Any) -> str | None:
    return (value.value if isinstance(value, Enum) else value) if isinstance(value, str) else None


def _numeric(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return None
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def _moment(*, aware: bool) -> Convert:
    def convert(value: Any) -> str | None:
        fits = isinstance(value, datetime) and (value.utcoffset() is not None) == aware
        return value.isoformat(" ") if fits else None

    return convert


def _day(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else None


def _clock(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, time) and value.tzinfo is None else None


def _other(value: Any) -> str | None:
    """Enums, networks, domains, and what else has a text form; the cast in SQL judges."""
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else value.name
    if isinstance(value, (int, Decimal)):
        return (
            str(value).lower()
            if isinstance(value, bool)
            else f"{value:f}"
            if isinstance(value, Decimal)
            else str(value)
        )
    networks = (ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Interface, ipaddress.IPv6Interface)
    if isinstance(value, (UUID, *networks, ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return str(value)
    return value if isinstance(value, str) else None


_CONVERT: Mapping[str, Convert] = MappingProxyType(
    {
        "smallint": _integer(16),
        "integer": _integer(32),
        "bigint": _integer(64),
        "uuid": _uuid,
        "text": _string,
        "character varying": _string,
        "character": _string,
        "boolean": lambda value: str(value).lower() if isinstance(value, bool) else None,
        "bytea": lambda value: (
            rf"\x{bytes(value).hex()}" if isinstance(value, (bytes, bytearray, memoryview)) else None
        ),
        "numeric": _numeric,
        "date": _day,
        "time without time zone": _clock,
        "timestamp without time zone": _moment(aware=False),
        "timestamp with time zone": _moment(aware=True),
    }
)
