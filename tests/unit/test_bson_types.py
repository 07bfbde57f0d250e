"""Every type of BSON has a declared fate: what the page says of a value is what becomes of it."""

from __future__ import annotations

import json
import math
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from syncline.errors import UnmappableError
from syncline.model.documents import Collection, DocumentMapping, Field, Part
from syncline.model.documents.types import ID_TYPES, TYPES
from syncline.model.documents.values import Json
from syncline.model.strict_bson import elements
from tests.cases.odd_bson import (
    POINTER,
    REFERENCE,
    UNDEFINED,
    Value,
    binary,
    document,
    double,
    field,
    int32,
    int64,
    scoped,
    sub,
    symbol,
    text,
)

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "bson-types.md").read_text("utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.splitlines() if line.startswith("| ")]
ID = (0x07, bytes.fromhex("0123456789abcdef01234567"))
NULL: Value = (0x0A, b"")


def decimal(words: str) -> Value:
    return 0x13, Decimal128(words).bid


def date(millis: int) -> Value:
    return 0x09, struct.pack("<q", millis)


VALUES: dict[str, tuple[Value, ...]] = {
    "double 1.5": (double(1.5),),
    "double 5.0": (double(5.0),),
    "double 0.1": (double(0.1),),
    "double -0.0": (double(-0.0),),
    "double NaN": (double(float("nan")),),
    "double NaN with other bits": ((0x01, bytes.fromhex("010000000000f87f")),),
    "double Infinity": (double(float("inf")),),
    "double 1e+300": (double(1e300),),
    "double 0.30000000000000004": (double(0.1 + 0.2),),
    "string": (text("red"),),
    "string that is not in `values`": (text("blue"),),
    "string with a NUL": (text("a\0b"),),
    "string that is no UTF-8": (text(b"\xff"),),
    "string with half a surrogate pair": (text(b"\xed\xa0\x80"),),
    "document": (sub(field("b", int32(1)), field("aa", int32(2))),),
    "document in another order": (sub(field("bb", int32(1)), field("a", int32(2))),),
    "document with a field twice": (sub(field("b", int32(1)), field("b", int32(2))),),
    "document with a name that is no UTF-8": (sub(field(b"\xff", int32(1))),),
    "document with `$` in front of a name": (sub(field("$set", int32(1))),),
    "DBRef": (REFERENCE,),
    "array": (sub(field("0", int32(1)), field("1", text("x")), tag=0x04),),
    "array with other places": (sub(field("5", int32(1)), tag=0x04),),
    "binary, subtype 0": (binary(0, b"ab"),),
    "binary, subtype 2 (old)": ((0x05, struct.pack("<i", 6) + b"\x02" + struct.pack("<i", 2) + b"ab"),),
    "binary, subtype 3 (old UUID)": (binary(3, b"0123456789abcdef"),),
    "binary, subtype 4 (UUID)": (binary(4, bytes(range(16))),),
    "binary, subtype 4 of 2 bytes": (binary(4, b"ab"),),
    "binary, any other subtype": (binary(128, b"ab"),),
    "undefined": (UNDEFINED,),
    "ObjectId": (ID,),
    "boolean": ((0x08, b"\1"),),
    "date": (date(1_700_000_000_123),),
    "date at midnight": (date(86_400_000),),
    "date before year 1": (date(-62_135_596_800_001),),
    "date after year 9999": (date(253_402_300_800_000),),
    "null": (NULL,),
    "regular expression": ((0x0B, b"a.*\0im\0"),),
    "regular expression with options in another order": ((0x0B, b"a\0mi\0"),),
    "DBPointer": (POINTER,),
    "code": (text("f()", 0x0D),),
    "code with scope": (scoped("f()"),),
    "symbol": (symbol("red"),),
    "int32": (int32(5),),
    "timestamp": ((0x11, struct.pack("<II", 2, 1)),),
    "int64": (int64(2**40),),
    "int64 of a small number": (int64(5),),
    "decimal 1.10": (decimal("1.10"),),
    "decimal 5": (decimal("5"),),
    "decimal 1E+3": (decimal("1E+3"),),
    "decimal 1E-6176": (decimal("1E-6176"),),
    "decimal -0": (decimal("-0"),),
    "decimal NaN": (decimal("NaN"),),
    "decimal NaN with a sign": (decimal("-NaN"),),
    "decimal NaN with more": ((0x13, b"\1" + bytes(14) + b"\x7c"),),
    "decimal sNaN": (decimal("sNaN"),),
    "decimal Infinity with other bits": ((0x13, b"\1" + bytes(14) + b"\x78"),),
    "decimal 0 with other bits": ((0x13, bytes(14) + b"\x10\x6c"),),
    "decimal 0E+6111": (decimal("0E+6111"),),
    "decimal Infinity": (decimal("Infinity"),),
    "MinKey": ((0xFF, b""),),
    "MaxKey": ((0x7F, b""),),
    "a field twice": (int32(1), int32(2)),
    "no field": (),
}
TYPES_OF_BSON = {*range(0x01, 0x14), 0xFF, 0x7F}


def mapped(cell: str, **more: Any) -> DocumentMapping:
    values = ("red",) if "values" in cell else ()
    declared = Field(cell.partition(" ")[0].strip("`"), values=values, **more)
    return DocumentMapping(Collection("things", part=Part(columns={"v": declared})))


def raw(case: str) -> bytes:
    return document(field("_id", ID), *(field("v", value) for value in VALUES[case]))


def in_sql(value: Any) -> str:
    """Write a column's value as psql shows it."""
    match value:
        case Json():
            return json.dumps(value.value)
        case bytes():
            return f"\\x{value.hex()}"
        case bool():
            return str(value).lower()
        case DatetimeMS():
            return "infinity" if int(value) > 0 else "-infinity"
        case float() if not math.isfinite(value):
            return "NaN" if math.isnan(value) else "Infinity"
    return str(value)


def said(cell: str) -> str:
    found = re.fullmatch(r"`(.*)`", cell)
    return found[1] if found else cell


FATES = [row for row in ROWS if row[0] in VALUES and said(row[1].split()[0]) in TYPES]


@pytest.mark.parametrize("row", FATES, ids=lambda row: f"{row[0]} in {row[1]}")
def test_what_the_page_says_becomes_of_a_value_is_what_becomes_of_it(row):
    case, type_, column, rest = row
    mapping, stored = mapped(type_), raw(case)
    (found,) = mapping.rows(stored)[0]
    _, value, kept = found
    assert (column == "empty") == (value is None)
    if value is not None:
        assert in_sql(value) == said(column)
    if rest == "the whole document":
        assert kept.value == {"$bson": {"type": 3, "base64": kept.value["$bson"]["base64"]}}
    else:
        assert (kept.value["v"] if kept else None) == (json.loads(said(rest)) if rest else None)
    assert mapping.document(mapping.rows(stored)) == stored


def test_every_value_and_every_type_of_bson_is_on_the_page():
    assert {row[0] for row in FATES} == VALUES.keys()
    assert {tag for case in VALUES for tag, name, _ in elements(raw(case)) if name == b"v"} == TYPES_OF_BSON


def test_the_page_lists_every_type_of_columns():
    listed = {said(row[0]): (said(row[1]), row[2]) for row in ROWS if row[0] in {f"`{name}`" for name in TYPES}}
    assert listed == {name: (type_.sql, type_.bson) for name, type_ in TYPES.items()}
    ids = next(line for line in PAGE.splitlines() if line.startswith("Types of `_id`:"))
    assert set(re.findall(r"`(\w+)`", ids)) - {"_id", "id"} == set(ID_TYPES)


PARKED = [row for row in ROWS if row[-1].startswith("parked: ")]


@pytest.mark.parametrize("row", PARKED, ids=lambda row: row[0])
def test_what_is_parked_names_its_field(row):
    case, setting, why = row[0], said(row[1]), row[-1].removeprefix("parked: ").strip("`")
    declared = {"required": {"v": Field("bigint", required=True)}, 'rest = ""': {"v": Field("bigint")}}.get(setting, {})
    part = Part(columns=declared, rest="" if setting.startswith("rest") else "rest")
    mapping = DocumentMapping(Collection("things", part=part))
    stored = document(field("_id", text("x"))) if setting == "id" else raw(case)
    with pytest.raises(UnmappableError) as caught:
        mapping.rows(stored)
    assert caught.value.message == why


def test_each_way_of_being_parked_is_on_the_page():
    assert {said(row[1]) for row in PARKED} == {"required", 'rest = ""', "id"}
