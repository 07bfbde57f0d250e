"""Array parameters as text literals: adapting thousands of values one by one costs more than the query."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NONE = "{}"
"""An array without values."""


def integers(values: Iterable[int]) -> str:
    """Write integers as an array literal, for a parameter that is cast to ``bigint[]`` or the like."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Sequence[str | None]) -> str:
    """Write texts as an array literal, for a parameter that is cast to ``text[]``; ``None`` is NULL.

    All are quoted: to look which of them need it costs more than that, and what must be escaped is rare.
    """
    if not values:
        return NONE
    if None in values:
        return "{" + ",".join(["NULL" if value is None else _quoted(value) for value in values]) + "}"
    joined = "".join(values)  # type: ignore[arg-type]  # no NULL is among them
    if '"' in joined or "\\" in joined:
        return "{" + ",".join(map(_quoted, values)) + "}"  # type: ignore[arg-type]
    return '{"' + '","'.join(values) + '"}'  # type: ignore[arg-type]


def _quoted(value: str) -> str:
    if "\\" in value or '"' in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'
