from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import bson
import pytest
from bson.binary import Binary
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from bson.regex import Regex
from hypothesis import given
from hypothesis import strategies as st

from syncline.model.canonical import MISSING, canonical, differences
from syncline.model.values import INFINITY, MINUS_INFINITY, decimal_value, json_value

OPTIONS = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)
DECIMALS = (
    st.decimals(allow_nan=True, allow_infinity=True).map(decimal_value).filter(lambda v: isinstance(v, Decimal128))
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    DECIMALS,
    st.text(st.characters(exclude_categories=("Cs",))),
    st.binary(),
    st.uuids().map(Binary.from_uuid),
    st.datetimes(),
    st.integers(-(2**63), 2**63 - 1).map(DatetimeMS),
)
NAMES = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=5)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=4) | st.dictionaries(NAMES, v, max_size=4), max_leaves=12)


@given(VALUES)
def test_a_value_keeps_its_form_through_bson(value):
    encoded = bson.encode({"v": value})
    assert canonical(bson.decode(encoded, OPTIONS)["v"]) == canonical(value)
    assert canonical(bson.decode(encoded, OPTIONS.with_options(tz_aware=True))["v"]) == canonical(value)


@given(VALUES, VALUES)
def test_different_values_have_different_forms(one, other):
    same_bson = bson.encode({"v": one}) == bson.encode({"v": other})
    if same_bson:
        assert canonical(one) == canonical(other)
    elif type(one) is type(other) and isinstance(one, (int, str, bytes, bool)):
        assert canonical(one) != canonical(other)


@given(st.lists(st.binary(max_size=3), max_size=4), st.lists(st.binary(max_size=3), max_size=4))
def test_lengths_keep_neighbours_apart(one, other):
    assert (canonical(one) == canonical(other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Decimal128("1.10"), Decimal128("1.1")),
        (Decimal128("1E2"), Decimal128("100")),
        (Decimal128("-0"), Decimal128("0E+5")),
        (Decimal("1.5"), Decimal128("1.50")),
        (float("nan"), -float("nan")),
        (5, Int64(5)),
        (uuid.UUID(int=5), Binary.from_uuid(uuid.UUID(int=5))),
        (ObjectId("0123456789abcdef01234567"), "0123456789abcdef01234567"),
        (datetime(2026, 1, 1, 0, 0, 0, 1999), datetime(2026, 1, 1, 0, 0, 0, 1000)),  # noqa: DTZ001
        (datetime(2026, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 1, 1)),  # noqa: DTZ001
        (datetime(1969, 12, 31, 23, 59, 59, 999500, UTC), DatetimeMS(-1)),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (b"x", Binary(b"x", 0)),
        ([1], (1,)),
    ],
)
def test_equal_for_syncline(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (5, 5.0),
        (5, Decimal128("5")),
        (5, "5"),
        (True, 1),
        (0.0, -0.0),
        (None, "null"),
        (b"x", "x"),
        (INFINITY, MINUS_INFINITY),
        (INFINITY, DatetimeMS(2**63 - 2)),
        (Binary(b"x" * 16, 4), b"x" * 16),
        (Binary(b"x", 5), b"x"),
        ({}, []),
        ({"a": None}, {}),
        ([1, 2], [2, 1]),
        ("é", "e\u0301"),
        (Decimal128("NaN"), float("nan")),
    ],
)
def test_different_for_syncline(one, other):
    assert canonical(one) != canonical(other)


def test_the_published_example():
    assert canonical({"b": 1, "a": [None, "ä"]}).hex() == (
        "6f00000023" "6b00000001" "61" "610000000c" "3000000000" "7300000002" "c3a4" "6b00000001" "62" "6900000001" "31"
    )  # fmt: skip


def test_what_no_mapping_produces_has_no_form():
    with pytest.raises(TypeError, match="Regex"):
        canonical(Regex("x"))


def test_differences_name_paths_and_tell_missing_from_null():
    source = {"_id": 1, "a": {"b": 1, "c": None}, "l": [1, {"x": 2}], "m": [1], "_v": 5, "_syncedAt": 1}
    target = {"_id": 1, "a": {"b": 2}, "l": [1, {"x": 3}], "m": [1, 2], "n": Regex("x"), "_v": 9}
    assert differences(source, target) == [
        ("a.b", 1, 2),
        ("a.c", None, MISSING),
        ("l.1.x", 2, 3),
        ("m", [1], [1, 2]),
        ("n", MISSING, Regex("x")),
    ]


@given(st.dictionaries(NAMES.filter(lambda n: n not in {"_v", "_syncedAt"}), VALUES, max_size=4))
def test_a_document_does_not_differ_from_its_round_trip(body):
    document = {**body, "_syncedAt": datetime(2026, 1, 1), "_v": 1 << 31}  # noqa: DTZ001
    later = {**body, "_syncedAt": datetime(2026, 1, 2), "_v": 2 << 31}  # noqa: DTZ001
    assert differences(document, bson.decode(bson.encode(later), OPTIONS)) == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[1, 2.5, 0.1, 1e5]", [1, 2.5, 0.1, 100000.0]),
        (b"9223372036854775807", 2**63 - 1),
        (b"9223372036854775808", Decimal128("9223372036854775808")),
        (b"0.1000000000000000055511151231257827", Decimal128("0.1000000000000000055511151231257827")),
        (b"1e400", Decimal128("1E+400")),
        (b"123456789.0123456", 123456789.0123456),
        (b'"1234567890123456789012345678901234567890"', "1234567890123456789012345678901234567890"),
        (rb'"\ud834\udd1e"', "\U0001d11e"),
    ],
)
def test_json_numbers_are_exact(text, value):
    assert json_value(text) == value
