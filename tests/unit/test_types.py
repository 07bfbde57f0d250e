from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st

from syncline.errors import MappingError
from syncline.model.entity import TableName
from syncline.model.key_types import _FACTORIES
from syncline.model.types import CATALOG, COMPUTED, OVERRIDES, PINNED_SETTINGS, Kind, allowed_kinds, reading_of
from syncline.model.values import Unrepresentable, decimal_value, unrepresentable
from tests.shapes import column

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "types.md").read_text()
ROWS = [line.split("|") for line in PAGE.splitlines() if line.startswith("|")]
TABLE = TableName("public", "t")


def words(text: str) -> set[str]:
    return set(re.findall(r"`(\w+)`", text))


@pytest.mark.parametrize("base", CATALOG)
def test_every_type_of_the_catalog_is_in_the_reference_with_its_kind(base):
    assert any(base in words(row[1]) and CATALOG[base].kind.value in words(row[2]) for row in ROWS)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_in_the_reference(kind):
    assert any(kind.value in words(row[1]) | words(row[2]) for row in ROWS)


@pytest.mark.parametrize(("base", "kind"), [(base, kind) for base, kinds in OVERRIDES.items() for kind in kinds])
def test_every_override_is_in_the_reference(base, kind):
    assert any(kind.value in words(row[1]) and base in words(row[2]) for row in ROWS)


@pytest.mark.parametrize("base", _FACTORIES)
def test_every_key_type_is_in_the_reference(base):
    assert base in words(PAGE[PAGE.index("## Keys") :])


@pytest.mark.parametrize(("name", "value"), PINNED_SETTINGS.items())
def test_every_pinned_setting_is_in_the_reference(name, value):
    assert f"`{name} = {value}`" in PAGE


def test_text_and_json_may_be_chosen_for_every_type():
    for base in (*CATALOG, "composite", "hstore"):
        assert {"text", "json"} <= set(allowed_kinds(column(base=base)))


@pytest.mark.parametrize(
    ("base", "kind"),
    [("float8", "decimal"), ("float8", "long"), ("text", "date"), ("timestamptz", "double"), ("uuid", "binary")],
)
def test_silent_losses_are_refused(base, kind):
    with pytest.raises(MappingError, match="silent loss") as caught:
        reading_of(TABLE, column(base=base), kind)
    assert "possible here: " in str(caught.value.hint)


def test_arrays_only_take_what_works_for_arrays():
    assert reading_of(TABLE, column(base="inet", array=True)).cast == "name[]"
    assert reading_of(TABLE, column(base="int8", array=True), "text").cast == "text"
    with pytest.raises(MappingError):
        reading_of(TABLE, column(base="int8", array=True), "double")


def test_ranges_of_unknown_subtype_are_refused():
    with pytest.raises(MappingError, match="no form"):
        reading_of(TABLE, column(base="range", oid=99999))
    assert reading_of(TABLE, column(base="range", oid=3904)).kind is Kind.RANGE


def test_computed_kinds_are_kinds():
    assert set(Kind) - set(COMPUTED) == {Kind.RANGE, Kind.MULTIRANGE}


def test_a_rejection_can_name_its_fields():
    bad = Unrepresentable("too long")
    document = {"_id": 1, "a": {"b": [1, bad]}, "c": bad}
    assert unrepresentable(document) == [("a.b.1", "too long"), ("c", "too long")]


@given(st.integers(-(10**36), 10**36), st.integers(-6300, 6200))
def test_decimals_are_exact_or_refused(coefficient, exponent):
    number = Decimal((int(coefficient < 0), Decimal(abs(coefficient)).as_tuple().digits, exponent))
    value = decimal_value(number)
    if isinstance(value, Unrepresentable):
        digits = str(abs(coefficient)).strip("0")
        assert len(digits) > 34 or exponent < -6140 or exponent > 6075
    else:
        assert value.to_decimal() == number


@given(st.integers(-(10**34) + 1, 10**34 - 1), st.integers(-6176, 6111))
def test_what_fits_keeps_its_scale(coefficient, exponent):
    number = Decimal((int(coefficient < 0), Decimal(abs(coefficient)).as_tuple().digits, exponent))
    value = decimal_value(number)
    assert isinstance(value, Decimal128)
    assert value.to_decimal().as_tuple() == number.as_tuple()
