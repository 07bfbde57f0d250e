"""From a document back to PostgreSQL: each value as the SQL text that would store it.

This is the mapping's inverse, written on its own: a field is lossless when PostgreSQL reads the restored text as the
value that it has. Nothing here comes from the mapping or from verification.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from syncline.testing.mapping.tables import Type
from syncline.testing.mapping.values import array_literal

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  documents hold UTC without a zone
FIRST = datetime(1, 1, 1)  # noqa: DTZ001
DAY = 86_400 * 10**6
INFINITE = {2**63 - 1: "infinity", -(2**63): "-infinity"}
_FAR = re.compile(r"([+-]\d{6})(-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})Z")
_CYCLE = 146_097
"""Days in 400 years, after which the calendar repeats itself."""
_OF_KIND: Mapping[str | None, tuple[type, ...]] = MappingProxyType(
    {
        "long": (int,),
        "double": (float,),
        "decimal": (Decimal128,),
        "text": (str,),
        "boolean": (bool,),
        "binary": (bytes,),
        "uuid": (uuid.UUID, Binary),
        "date": (datetime, DatetimeMS),
    }
)
_OF_TYPE: Mapping[str, tuple[type, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("int2", "int4", "int8", "oid"), _OF_KIND["long"]),
        **dict.fromkeys(("float4", "float8"), _OF_KIND["double"]),
        **dict.fromkeys(("date", "timestamp", "timestamptz"), _OF_KIND["date"]),
        "numeric": _OF_KIND["decimal"],
        "bool": _OF_KIND["boolean"],
        "bytea": _OF_KIND["binary"],
        "uuid": _OF_KIND["uuid"],
    }
)
"""What a document holds for a column of each type; text for all others."""


def restored(value: Any, type_: Type, kind: str | None = None) -> str | None:
    """Write a document's value as SQL text of a type; ``None`` is NULL.

    Args:
        value: as decoded, dates as ``datetime`` or ``DatetimeMS``.
        type_: the column's.
        kind: what ``types`` made of the column, where that is not the default.

    Raises:
        TypeError: no mapping of this type produces such a value.

    """
    if value is None:
        return None
    if kind == "json" or type_.innermost in {"json", "jsonb"}:
        return json_text(value)
    if kind == "micros":
        number = _only((int,), value)
        return instant(INFINITE.get(number, number), type_)
    if kind in _OF_KIND:
        return _scalar(_only(_OF_KIND[kind], value), type_)
    if isinstance(value, list) and type_.kind == "m":
        return "{" + ",".join(_range(item, type_) for item in value) + "}"
    if isinstance(value, list):
        return array_literal([_element(item, type_) for item in value])
    if type_.kind == "r":
        return _range(value, type_)
    return _scalar(_only(_OF_TYPE.get(type_.name, (str,)), value), type_)


def json_text(value: Any) -> str:
    """Write JSON with every digit."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json_text(name)}: {json_text(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(json_text, value)) + "]"
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    if value is None or isinstance(value, bool | str | int | float):
        return json.dumps(value, ensure_ascii=False)
    raise TypeError(f"JSON has no {type(value).__name__}")


def instant(micros: int | str, type_: Type) -> str:
    """Write microseconds since 1970 as PostgreSQL does, whatever the year."""
    if isinstance(micros, str):
        return micros
    days, rest = divmod(micros, DAY)
    year, month, day = _civil(days)
    clock = (FIRST + timedelta(microseconds=rest)).time().isoformat("microseconds")
    zone = "+00" if type_.innermost == "timestamptz" else ""
    era = "" if year > 0 else " BC"
    return f"{year if year > 0 else 1 - year:04}-{month:02}-{day:02} {clock}{zone}{era}"


def far_instant(text: str) -> DatetimeMS | str:
    """Read a far date as ``dates = "text"`` writes it; other texts stay as they are."""
    if text in INFINITE.values():
        return DatetimeMS(next(number for number, name in INFINITE.items() if name == text))
    found = _FAR.fullmatch(text)
    if found is None:
        return text
    cycles, year = divmod(int(found[1]) - 1, 400)
    within = datetime.fromisoformat(f"{year + 1:04}{found[2]}") - EPOCH
    return DatetimeMS(cycles * _CYCLE * 86_400_000 + within // timedelta(milliseconds=1))


def _civil(days: int) -> tuple[int, int, int]:
    """Year (0 is 1 BC), month and day of a number of days since 1970."""
    cycles, within = divmod(days + 719_162, _CYCLE)  # 719,162 days from 0001-01-01 to 1970-01-01
    date = FIRST + timedelta(days=within)
    return date.year + 400 * cycles, date.month, date.day


def _scalar(value: Any, type_: Type) -> str:
    if isinstance(value, DatetimeMS):
        return instant(INFINITE.get(int(value), int(value) * 1000), type_)
    if isinstance(value, datetime):
        return instant((value - EPOCH) // timedelta(microseconds=1), type_)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, Binary) and value.subtype == 4:
        return str(uuid.UUID(bytes=bytes(value)))
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, Decimal128):
        return str(value.to_decimal())
    return str(value) if isinstance(value, str | int) else repr(value)


def _element(value: Any, type_: Type) -> Any:
    if isinstance(value, list):
        return [_element(item, type_) for item in value]
    return restored(value, type_.element or type_)


def _range(value: Any, type_: Type) -> str:
    if _only((dict,), value).get("empty"):
        return "empty"
    bounds = [restored(value[side], type_.element or type_) for side in ("lower", "upper")]
    low, high = ("" if bound is None else '"' + bound + '"' for bound in bounds)
    return f"{value['bounds'][0]}{low},{high}{value['bounds'][1]}"


def _only(wanted: tuple[type, ...], value: Any) -> Any:
    """A document's 1 is not its 1.0, nor its "1"."""
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted != (bool,)):
        raise TypeError(f"{type(value).__name__} {value!r:.60} instead of {wanted[0].__name__}")
    return value
