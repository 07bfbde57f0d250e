"""The independent comparison's own reading of documents: strict about types, exact about values."""

# ruff: noqa: DTZ001  (documents hold UTC without a zone)

from __future__ import annotations

import uuid
from datetime import datetime

import pytest
from bson.binary import Binary
from bson.datetime_ms import DatetimeMS
from bson.decimal128 import Decimal128

from syncline.testing.mapping.declared import Mapped, camel, same
from syncline.testing.mapping.restore import restored
from syncline.testing.mapping.tables import Type


def base(name: str) -> Type:
    return Type(name, "b")


INTEGERS = Type("_int4", "a", element=base("int4"))
DATES = Type("daterange", "r", element=base("date"))


@pytest.mark.parametrize(
    ("value", "type_", "kind", "text"),
    [
        (5, base("int8"), None, "5"),
        (1.5, base("float8"), None, "1.5"),
        (Decimal128("1.10"), base("numeric"), None, "1.10"),
        (Decimal128("NaN"), base("numeric"), None, "NaN"),
        ("a", base("text"), None, "a"),
        (b"\x00\xff", base("bytea"), None, "\\x00ff"),
        (Binary(uuid.UUID(int=1).bytes, 4), base("uuid"), None, str(uuid.UUID(int=1))),
        (datetime(1969, 12, 31, 23, 59, 59, 999000), base("timestamp"), None, "1969-12-31 23:59:59.999000"),
        (datetime(2026, 1, 1), base("timestamptz"), None, "2026-01-01 00:00:00.000000+00"),
        (DatetimeMS(-(2**63)), base("date"), None, "-infinity"),
        (DatetimeMS(-62135596800001), base("timestamp"), None, "0001-12-31 23:59:59.999000 BC"),
        (DatetimeMS(253402300800000), base("timestamptz"), None, "10000-01-01 00:00:00.000000+00"),
        (1, base("timestamptz"), "micros", "1970-01-01 00:00:00.000001+00"),
        (2**63 - 1, base("timestamptz"), "micros", "infinity"),
        (2.5, base("numeric"), "double", "2.5"),
        ([1, None, [2]], INTEGERS, None, '{"1",NULL,{"2"}}'),
        ({"a": [1, Decimal128("1E+40")]}, base("jsonb"), None, '{"a": [1, 1E+40]}'),
        ({"empty": True}, DATES, None, "empty"),
        (
            {"lower": datetime(2026, 1, 1), "upper": None, "bounds": "[)"},
            DATES,
            None,
            '["2026-01-01 00:00:00.000000",)',
        ),
        (None, base("text"), None, None),
    ],
    ids=repr,
)
def test_a_value_is_restored(value, type_, kind, text):
    assert restored(value, type_, kind) == text


@pytest.mark.parametrize(
    ("value", "type_", "kind"),
    [
        (1.0, base("int4"), None),
        ("1", base("int4"), None),
        (True, base("int4"), None),
        (1, base("text"), None),
        (1, base("bool"), None),
        (1, base("float8"), None),
        (1.5, base("numeric"), None),
        ("2026-01-01", base("date"), None),
        (datetime(2026, 1, 1), base("date"), "text"),
        ([1, 2.0], INTEGERS, None),
        ("[1,2)", DATES, None),
        (b"x", base("jsonb"), None),
    ],
    ids=repr,
)
def test_a_value_of_another_type_is_not_taken_for_it(value, type_, kind):
    with pytest.raises(TypeError):
        restored(value, type_, kind)


@pytest.mark.parametrize(
    ("name", "kind", "source", "target", "equal"),
    [
        ("timestamptz", None, "2026-01-01 00:00:00.123456+00", "2026-01-01 00:00:00.123+00", True),
        ("timestamptz", None, "2026-01-01 00:00:00.000999+00", "2026-01-01 00:00:00+00", True),
        ("timestamptz", None, "2026-01-01 00:00:00.12+00", "2026-01-01 00:00:00.121+00", False),
        ("timestamptz", "micros", "2026-01-01 00:00:00.123456+00", "2026-01-01 00:00:00.123+00", False),
        ("numeric", None, "1.10", "1.1", True),
        ("numeric", None, "1.10", "1.11", False),
        ("numeric", None, "10", "1", False),
        ("text", None, "1.10", "1.1", False),
        ("jsonb", None, '{"a": 1.0, "b": 2}', '{"b": 2, "a": 1}', True),
        ("jsonb", None, '{"a": 1}', '{"a": 2}', False),
        ("jsonb", None, "null", None, True),
        ("text", None, None, "", False),
        ("text", None, None, None, True),
    ],
)
def test_only_declared_losses_pass(name, kind, source, target, equal):
    nothing = None
    mapped = Mapped(("x",), nothing, nothing, base(name), kind, "here")
    assert same(mapped, source, target) is equal


@pytest.mark.parametrize(("name", "field"), [("user_id", "userId"), ("_a_b2_c", "_aB2C"), ("x", "x")])
def test_names_in_camel_case(name, field):
    assert camel(name) == field
