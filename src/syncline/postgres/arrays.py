"""Array parameters as text literals: adapting thousands of values one by one costs more than the query."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r'[{}"\\\s]')


def integers(values: Iterable[int]) -> str:
    """Write integers as an array literal, for a parameter that is cast to ``bigint[]`` or the like."""
    return "{" + ",".join(map(str, values)) + "}"


def texts(values: Sequence[str]) -> str:
    """Write texts as an array literal, for a parameter that is cast to ``text[]``."""
    joined = ",".join(values)
    plain = joined.count(",") == len(values) - 1 and _SPECIAL.search(joined) is None
    if plain and "" not in values and "null" not in joined.lower():
        return "{" + joined + "}"
    return "{" + ",".join(map(_quoted, values)) + "}"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
