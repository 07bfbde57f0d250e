"""Whether values of two servers have one binary form, told from their types."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import psycopg

from syncline.postgres.sql import blocks

_SAME = {"varchar": "text", "bpchar": "text"}
"""Types that are sent as another one is."""
_OF_CATALOG = re.compile(r"reg[a-z]+|aclitem")
"""Builtin types whose binary values are numbers of their own server's catalog; their texts are names."""
NONE = "none"


async def signatures(connection: psycopg.AsyncConnection[Any], oids: Iterable[int]) -> dict[int, str]:
    """Describe the binary form of types; equal ones can be copied as bytes, ``NONE`` never."""
    known: dict[int, tuple[Any, ...]] = {}
    wanted = {oid for oid in oids if oid}
    query = blocks("source.sql", "syncline.engines.postgres.copying")["types"]
    while wanted:
        rows = await (await connection.execute(query, {"oids": sorted(wanted)})).fetchall()
        known |= {row[0]: row for row in rows}
        wanted = {part for row in rows for part in (row[4], row[5], row[6], *row[7]) if part and part not in known}
    return {oid: _form(oid, known, 0) for oid in known}


def _form(oid: int, known: Mapping[int, tuple[Any, ...]], depth: int) -> str:
    if oid not in known or depth > 20:
        return NONE
    _, schema, name, kind, base, element, subtype, attributes, binary, extension = known[oid]
    if kind == "d":
        return _form(base, known, depth + 1)
    if not binary:
        return NONE
    if kind == "e":
        return "enum"
    inner = {
        "c": list(attributes),
        "r": [subtype],
        "m": [subtype],
    }.get(kind, [element] if element else [])
    if inner:
        parts = [_form(part, known, depth + 1) for part in inner]
        return NONE if NONE in parts else f"{'a' if element else kind}({', '.join(parts)})"
    if extension:
        return f"{extension}.{name}"
    if schema != "pg_catalog" or _OF_CATALOG.fullmatch(name):
        return NONE
    return str(_SAME.get(name, name))
