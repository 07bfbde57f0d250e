"""Columns of values as the lines that COPY reads in its text format, a column at a time. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from syncline.engines.postgres.documents.texts import texts_of

_NULL = "\\N"
_ESCAPED = tuple((plain, f"\\{letter}") for plain, letter in zip("\\\b\f\n\r\t\v", "\\bfnrtv", strict=True))
"""What PostgreSQL escapes when it writes this format, and how; the backslash comes first."""
_ESCAPE = re.compile(r"\\.")
_MEANT = {escape: plain for plain, escape in _ESCAPED}
_BETWEEN = "\0"
"""What no text of PostgreSQL has."""


def lines(columns: Sequence[Sequence[Any]]) -> bytes:
    """Write rows, given by column."""
    return joined([escaped(texts_of(column)) for column in columns])


def joined(texts: Sequence[Sequence[str]]) -> bytes:
    """Join columns of escaped texts to lines."""
    return "\n".join([*map("\t".join, zip(*texts, strict=True)), ""]).encode() if texts and texts[0] else b""


def first_of(line: bytes) -> str | None:
    """Read the first value of a line."""
    text = line.partition(b"\t")[0].decode()
    return None if text == _NULL else _ESCAPE.sub(lambda found: _MEANT[found[0]], text)


def _escaped(column: Sequence[str]) -> Sequence[str]:
    """Escape all values at once, where one of them needs it."""
    whole = _BETWEEN.join(column)
    if not any(plain in whole for plain, _ in _ESCAPED):
        return column
    for plain, escape in _ESCAPED:
        whole = whole.replace(plain, escape)
    return whole.split(_BETWEEN)


def escaped(column: Sequence[str | None]) -> Sequence[str]:
    """Escape a column of texts; ``None`` is NULL."""
    if None not in column:
        return _escaped(column)  # type: ignore[arg-type]  # none is None
    texts = _escaped(["" if one is None else one for one in column])
    return [_NULL if one is None else text for one, text in zip(column, texts, strict=True)]
