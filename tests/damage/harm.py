"""Damage by hand: what somebody may do to a document, and what verification has to say about it."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64

Doc = dict[str, Any]
Edit = Callable[[Doc, random.Random], str]
"""Changes a document; returns the paths that differ now, separated by spaces."""


def put(name: str, change: Callable[[Any], Any]) -> Edit:
    """Edit one field."""

    def edit(doc: Doc, _: random.Random) -> str:
        doc[name] = change(doc[name])
        return name

    return edit


def inside(path: str, change: Callable[[Any], Any]) -> Edit:
    """Edit a field of a subdocument or an element of an array."""

    def edit(doc: Doc, _: random.Random) -> str:
        *way, last = path.split(".")
        here: Any = doc
        for step in way:
            here = here[int(step) if isinstance(here, list) else step]
        place: Any = int(last) if isinstance(here, list) else last
        here[place] = change(here[place])
        return path

    return edit


def _unset(name: str) -> Edit:
    def edit(doc: Doc, _: random.Random) -> str:
        del doc[name]
        return name

    return edit


def _unset_inside(doc: Doc, _: random.Random) -> str:
    del doc["data"]["a"]["c"]
    return "data.a.c"


def _add(doc: Doc, _: random.Random) -> str:
    doc["surplus"] = None
    return "surplus"


def _add_inside(doc: Doc, _: random.Random) -> str:
    doc["data"]["a"]["new"] = 1
    return "data.a.new"


def _rename(doc: Doc, _: random.Random) -> str:
    doc["Label"] = doc.pop("label")
    return "label Label"


def _reverse_tags(doc: Doc, _: random.Random) -> str:
    doc["tags"] = doc["tags"][::-1]
    return "tags.0 tags.2"


def _swap_in_list(doc: Doc, _: random.Random) -> str:
    items = doc["data"]["list"]
    items[0], items[1] = items[1], items[0]
    return "data.list.0 data.list.1"


def _several(doc: Doc, dice: random.Random) -> str:
    first, second = dice.sample(SIMPLE, 2)
    return f"{first(doc, dice)} {second(doc, dice)}"


def _ratio(value: float) -> float:
    """Change a double by as little as can be: the sign of zero, NaN to a number, one unit in the last place."""
    if math.isnan(value):
        return 0.0
    return -value if value == 0 else math.nextafter(value, math.inf)


SIMPLE: list[Edit] = [
    put("label", lambda value: "" if value is None else value + " "),
    put("count", float),
    put("big", lambda value: Int64(value + 1)),
    put("price", lambda value: Decimal128(value.to_decimal() + 1)),
    put("active", lambda value: not value),
]
EDITS: Mapping[str, list[Edit]] = {
    "item": [
        *SIMPLE,
        put("label", lambda value: 0 if value is None else None),
        put("label", lambda value: "e\u0301" if value is None else value.replace("l", "L")),
        put("code", lambda value: f"by hand {value}"),
        put("count", str),
        put("count", lambda value: Decimal128(str(value))),
        put("count", lambda _: True),
        put("count", lambda value: value + 1),
        put("big", float),
        put("ratio", _ratio),
        put("ratio", lambda value: 1.5 if math.isnan(value) else math.nan),
        put("ratio", lambda _: math.inf),
        put("ratio", lambda value: Decimal128("0") if math.isnan(value) else Decimal128(repr(value)[:30])),
        put("price", lambda value: float(value.to_decimal())),
        put("price", lambda value: str(value.to_decimal())),
        put("active", int),
        put("seen", lambda value: value + timedelta(milliseconds=1)),
        put("seen", lambda value: value.isoformat()),
        put("seen", lambda value: Int64((value - datetime(1970, 1, 1)) / timedelta(milliseconds=1))),  # noqa: DTZ001
        put("raw", lambda value: bytes(value) + b"\0"),
        put("raw", lambda value: Binary(bytes(value), 5)),
        put("raw", lambda value: bytes(value).hex()),
        put("tags", lambda value: [*value, "more"]),
        put("tags", lambda value: value[:-1]),
        put("tags", lambda value: value[0]),
        put("tags", lambda value: {str(place): one for place, one in enumerate(value)}),
        put("data", repr),
        put("_originalId", lambda value: value + "0"),
        put("_originalId", int),
        put("_source", lambda _: "somebody"),
        inside("data.a.b", lambda value: value + 1),
        inside("data.a.b", float),
        inside("data.a.c", lambda value: [value]),
        inside("data.on", int),
        inside("data.list.2", lambda _: False),
        inside("data.list.3.z", str),
        inside("tags.1", lambda _: "w"),
        _unset("label"),
        _unset("data"),
        _unset("_originalId"),
        _unset_inside,
        _add,
        _add_inside,
        _rename,
        _reverse_tags,
        _swap_in_list,
        _several,
    ],
    "visit": [
        put("hits", float),
        put("hits", str),
        put("hits", lambda value: value + 1),
        put("note", lambda value: value + "\u00a0"),
        put("site", lambda value: value + 1),
        put("day", lambda value: value.upper()),
        put("_source", lambda _: None),
        _unset("note"),
        _add,
    ],
}


def _reordered(doc: Doc) -> None:
    pairs = [(name, doc.pop(name)) for name in reversed([*doc]) if name != "_id"]
    doc.update(pairs)


def _wide_integers(doc: Doc) -> None:
    for name in ("count", "hits"):
        if name in doc:
            doc[name] = Int64(doc[name])


def _short_decimal(doc: Doc) -> None:
    if "price" in doc:
        doc["price"] = Decimal128(doc["price"].to_decimal().normalize())


def _other_nan(doc: Doc) -> None:
    if math.isnan(doc.get("ratio", 0)):
        (doc["ratio"],) = struct.unpack("<d", bytes.fromhex("010000000000f87f"))


def _no_time(doc: Doc) -> None:
    doc.pop("_syncedAt", None)


def _earlier_ticket(doc: Doc) -> None:
    doc["_v"] = Int64(max(0, doc["_v"] - 1))


def _decimal_ticket(doc: Doc) -> None:
    doc["_v"] = Decimal128(str(doc["_v"]))


HARMLESS: list[Callable[[Doc], None]] = [
    _reordered, _wide_integers, _short_decimal, _other_nan, _no_time, _earlier_ticket, _decimal_ticket,
]  # fmt: skip
"""What the canonical form calls the same record: it must not be reported."""

MISSING = object()
FORGED: list[tuple[Any, bool]] = [
    (MISSING, False),
    (None, False),
    (math.nan, False),
    (-1, False),
    (Int64(-(2**63)), False),
    ("7", False),
    (True, False),
    ({"x": 1}, False),
    (Int64(2**62), True),
    (Decimal128("1E30"), True),
    (math.inf, True),
]
"""Tickets that nobody issued, and whether the fence keeps every write and delete of the relay out for ever."""


def forge(doc: Doc, ticket: Any) -> None:
    """Give a document a ticket."""
    doc.pop("_v", None)
    if ticket is not MISSING:
        doc["_v"] = ticket
