"""Values between both sides: what is not there, what BSON says that no driver does, JSON as a value of a column."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bson.binary import Binary


class Nothing:
    """There is no value; not the same as null."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<nothing>"

    def __reduce__(self) -> str:
        """Say that there is one of it, in whatever process."""
        return "NOTHING"


NOTHING = Nothing()


@dataclass(frozen=True, slots=True, eq=False)
class Json:
    """A value of a ``jsonb`` column; ``Json(None)`` is JSON's null, where ``None`` is SQL's NULL."""

    value: Any


_DOUBLE = struct.Struct("<d").pack


def identical(one: Any, other: Any) -> bool:
    """Tell whether two values are encoded alike: 1 is not 1.0, 0.0 not -0.0, a NaN is itself."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return _DOUBLE(one) == _DOUBLE(other)
    if isinstance(one, Binary) and one.subtype != other.subtype:
        return False
    return bool(one == other)


def same(one: Any, other: Any) -> bool:
    """Tell whether two values of a column are the same to its database."""
    if isinstance(one, Json) and isinstance(other, Json):
        return _text(one.value) == _text(other.value)
    if isinstance(one, Decimal) and isinstance(other, Decimal):
        return one == other or (one.is_nan() and other.is_nan())
    if isinstance(one, datetime) and isinstance(other, datetime):
        return one == other
    return identical(one, other)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
