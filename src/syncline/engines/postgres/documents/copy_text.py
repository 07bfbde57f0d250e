"""Columns of values as the lines that COPY reads in its text format, a column at a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from syncline.engines.postgres.documents.texts import to_text

_NULL = "\\N"
_ESCAPED = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))
_BETWEEN = "\0"
"""What no text of PostgreSQL has."""


def lines(columns: Sequence[Sequence[Any]]) -> bytes:
    """Write rows, given by column."""
    texts = [*map(texts_of, columns)]
    return "\n".join([*map("\t".join, zip(*texts, strict=True)), ""]).encode() if texts and texts[0] else b""


def texts_of(column: Sequence[Any]) -> Sequence[str]:
    """Write a column's values, escaped."""
    kinds = {*map(type, column)}
    if len(kinds) == 1:
        (kind,) = kinds
        write = _WRITERS.get(kind)
        if write is not None:
            return write(column)
    return _escaped_or_null([*map(to_text, column)])


def _escaped(column: Sequence[str]) -> Sequence[str]:
    """Escape all values at once, where one of them needs it."""
    whole = _BETWEEN.join(column)
    if not any(plain in whole for plain, _ in _ESCAPED):
        return column
    for plain, escaped in _ESCAPED:
        whole = whole.replace(plain, escaped)
    return whole.split(_BETWEEN)


def _escaped_or_null(column: Sequence[str | None]) -> Sequence[str]:
    if None not in column:
        return _escaped(column)  # type: ignore[arg-type]  # none is None
    escaped = _escaped(["" if one is None else one for one in column])
    return [_NULL if one is None else text for one, text in zip(column, escaped, strict=True)]


_WRITERS: Mapping[type, Callable[[Sequence[Any]], Sequence[str]]] = {
    str: _escaped,
    int: lambda column: [*map(str, column)],
    bool: lambda column: ["t" if one else "f" for one in column],
    float: lambda column: [*map(repr, column)],
    datetime: lambda column: [*map(datetime.isoformat, column)],
    type(None): lambda column: [_NULL] * len(column),
}
"""Of columns whose values are of one type; a date without a zone is read as UTC, which our sessions pin."""
