"""Where a driver's statement has placeholders, PostgreSQL's grammar knows ``$1`` only."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

_PERCENT = re.compile(r"%(?:%|\([^)]*\)[sbt]|[sbt])")
_COLON = re.compile(r"\\:|(?<![:\w\\]):[^\W\d]\w*")
_STANDING_FOR = ("$1", "'1'", "1")
"""What a placeholder may be: drivers that write values into the text allow one where a parameter cannot stand."""


class Placeholders(Enum):
    """How a text marks its parameters."""

    NONE = "none"
    """As PostgreSQL does, ``$1``, or not at all."""
    PERCENT = "percent"
    """``%s``, ``%(name)s``: psycopg, Django, what SQLAlchemy gives to psycopg. ``%%`` is a percent sign."""
    COLON = "colon"
    r"""``:name``: SQLAlchemy's ``text()``. ``\:`` is a colon."""


def readings(sql: str, style: Placeholders) -> Iterator[str]:
    """Give the text as the grammar may read it, the likeliest first."""
    pattern = {Placeholders.PERCENT: _PERCENT, Placeholders.COLON: _COLON}.get(style)
    if pattern is None or not pattern.search(sql):
        yield sql
        return
    for value in _STANDING_FOR:
        yield pattern.sub(lambda found, value=value: _one(found[0], value), sql)  # type: ignore[misc]


def _one(mark: str, value: str) -> str:
    return {"%%": "%", "\\:": ":"}.get(mark, value)
