from __future__ import annotations

import struct
from decimal import Decimal

import pytest
from bson.decimal128 import Decimal128
from hypothesis import given
from hypothesis import strategies as st
from psycopg.adapt import Transformer
from psycopg.types.numeric import DecimalBinaryDumper

from syncline.model.values import Unrepresentable
from syncline.postgres.loaders import load_numeric


def wire(number: Decimal) -> bytes:
    return bytes(DecimalBinaryDumper(Decimal, Transformer()).dump(number))


@given(st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: -6000 < d.as_tuple().exponent < 6000))
def test_the_wire_format_of_any_decimal_is_read_exactly(number):
    value = load_numeric(memoryview(wire(number)))
    if isinstance(value, Decimal128):
        assert value.to_decimal() == number
    else:
        assert isinstance(value, Unrepresentable)
        assert len("".join(map(str, number.as_tuple().digits)).strip("0")) > 34


@pytest.mark.parametrize(("text", "printed"), [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity")])
def test_special_numerics(text, printed):
    assert str(load_numeric(wire(Decimal(text)))) == printed


def test_zero_keeps_its_scale():
    assert load_numeric(struct.pack("!hhHH", 0, 0, 0, 3)) == Decimal128("0.000")


def test_the_longest_numeric_is_refused_quickly():
    longest = struct.pack("!hhHH", 32768 - 1, 32766, 0, 0) + struct.pack("!h", 9999) * 32767
    assert isinstance(load_numeric(longest), Unrepresentable)
