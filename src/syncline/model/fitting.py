"""Whether every value of one column type can be stored in another, as far as the types tell. Pure."""

from __future__ import annotations

import re

_MODIFIER = re.compile(r"\(([0-9]+)(?:,(-?[0-9]+))?\)")
_WIDER = {
    "smallint": {"integer", "bigint", "numeric", "real", "double precision", "text", "character varying"},
    "integer": {"bigint", "numeric", "double precision", "text", "character varying"},
    "bigint": {"numeric", "text", "character varying"},
    "real": {"double precision", "text", "character varying"},
    "character varying": {"text"},
    "character": {"character varying", "text"},
    "date": {"text", "character varying"},
    "uuid": {"text", "character varying"},
    "json": {"text"},
    "jsonb": {"json", "text"},
    "inet": {"text", "character varying"},
    "cidr": {"inet", "text", "character varying"},
    "text": {"character varying"},
}


def fits(source: str, target: str) -> bool:
    """Tell whether the target's type takes every value of the source's, unchanged.

    Args:
        source: the type as ``format_type`` writes it, with its modifier and schema.
        target: likewise.

    """
    if source == target:
        return True
    one, other = _MODIFIER.sub("", source), _MODIFIER.sub("", target)
    if one != other and other not in _WIDER.get(one, ()):
        return False
    here, there = _MODIFIER.search(source), _MODIFIER.search(target)
    if there is None:
        return True
    if here is None or one != other:
        return False
    return _within(here, there)


def _within(here: re.Match[str], there: re.Match[str]) -> bool:
    scale = int(here[2] or 0), int(there[2] or 0)
    whole = int(here[1]) - scale[0], int(there[1]) - scale[1]
    return scale[0] <= scale[1] and whole[0] <= whole[1]
