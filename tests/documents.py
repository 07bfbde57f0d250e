"""Documents of every kind that BSON has, as bytes, for property tests; the fields have a few names, so that they meet declarations."""

from __future__ import annotations

import struct

from bson.decimal128 import Decimal128
from hypothesis import strategies as st

from tests.cases.odd_bson import Value, binary, document, double, field, int32, int64, scoped, text

NAMES = ("a", "b", "c", "list", "inner", "x", "long_name", "$ref", "$id", "$order", "$missing", "", "d.e", "é")
INT32 = st.integers(-(2**31), 2**31 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)
DOUBLES = st.one_of(
    st.floats(allow_nan=False),
    st.integers(-5, 5).map(float),
    st.sampled_from([-0.0, 1e22, 2.0**31, 2.0**63, -(2.0**63), 5e-324, float("inf"), float("-inf"), float("nan")]),
)


def decimals(given: tuple[int, int, bool]) -> Value:
    coefficient, exponent, negative = given
    high = (exponent + 6176) << 49 | coefficient >> 64 | (1 << 63 if negative else 0)
    return 0x13, struct.pack("<QQ", coefficient & (2**64 - 1), high)


ODD_DECIMALS = (
    ("0000", "00fc"),
    ("0100", "007c"),
    ("0100", "00fc"),
    ("0000", "00fe"),
    ("0000", "ff77"),
    ("0000", "ff5f"),
    ("0100", "0078"),
    ("0000", "40b0"),
)
"""First and last bytes of those that are equal to others, or are no canonical numbers: NaN with a sign or more, zeros, infinities."""
DECIMALS = st.one_of(
    st.tuples(st.integers(0, 10**34 - 1), st.integers(-6176, 6111), st.booleans()).map(decimals),
    st.tuples(st.integers(0, 2000), st.integers(-4, 3), st.booleans()).map(decimals),
    st.sampled_from(
        [(0x13, Decimal128(words).bid) for words in ("NaN", "Infinity", "-Infinity", "-NaN", "sNaN", "1E+6111")]
    ),
    st.sampled_from([(0x13, bytes.fromhex(low) + bytes(12) + bytes.fromhex(high)) for low, high in ODD_DECIMALS]),
    st.binary(min_size=16, max_size=16).map(lambda raw: (0x13, raw)),
)
SMALL = st.integers(-3, 3)
DATES = (0, 86_400_000, -62135596800000, 253402300799999, 253402300800000, 2**63 - 1, -(2**63))
FIXED: list[Value] = [
    (0x0A, b""),
    (0x08, b"\0"),
    (0x08, b"\1"),
    *(text(one) for one in ("red", "", "a\0b", "0123456789abcdef01234567", "😀", b"\xff", b"\xed\xa0\x80")),
    (0x07, bytes.fromhex("0123456789abcdef01234567")),
    (0x07, b"o" * 12),
    *((0x09, struct.pack("<q", millis)) for millis in DATES),
    *(binary(subtype, data) for subtype in (0, 1, 3, 4, 5, 6, 8, 9, 128, 255) for data in (b"", b"x" * 16)),
    (0x05, struct.pack("<i", 7) + b"\x02" + struct.pack("<i", 3) + b"old"),
    *((0x0B, data) for data in (b"a.*\0\0", b"x\0im\0", b"\xff\0\0", b"y\0mi\0", b"z\0imsxq\0")),
    text(b"f()", 0x0D),
    text(b"\xff", 0x0D),
    scoped("g()"),
    text("sym", 0x0E),
    (0x0C, text("coll")[1] + b"p" * 12),
    (0x11, struct.pack("<II", 5, 2**32 - 1)),
    (0x06, b""),
    (0xFF, b""),
    (0x7F, b""),
    (0x01, bytes.fromhex("010000000000f87f")),
]
"""A value of each type that has few, and of each that drivers lose."""
LEAVES = (
    st.sampled_from(FIXED),
    SMALL.map(int32),
    INT32.map(int32),
    INT64.map(int64),
    SMALL.map(int64),
    DOUBLES.map(double),
    st.binary(min_size=8, max_size=8).map(lambda raw: (0x01, raw)),
    st.sampled_from(("000000000000f8ff", "010000000000f07f", "0000000000000080")).map(
        lambda raw: (0x01, bytes.fromhex(raw))
    ),
    DECIMALS,
    st.text(max_size=6).map(text),
    INT64.map(lambda millis: (0x09, struct.pack("<q", millis))),
)


def _document(pairs: list[tuple[str | bytes, Value]]) -> bytes:
    return document(*(field(name, value) for name, value in pairs))


def _fields(draw, level: int, names: tuple[str, ...] = NAMES) -> list[tuple[str | bytes, Value]]:
    """Draw fields; now and then one is there twice, or has a name that is no UTF-8."""
    pairs: list[tuple[str | bytes, Value]] = [
        (draw(st.sampled_from(names)), draw(values(level))) for _ in range(draw(st.integers(0, 4)))
    ]
    if draw(st.integers(0, 7)) == 7:
        return [*pairs, (b"\xff", int32(1))] if len(pairs) == 1 else pairs
    return list(dict(pairs).items())


@st.composite
def values(draw, level: int = 3) -> Value:
    """Draw any value, as its type and the bytes that stand for it."""
    kind = draw(st.integers(0, 7)) if level else 0
    if kind < 5:
        return draw(LEAVES[draw(st.integers(0, len(LEAVES) - 1))])
    if kind == 5:
        return 0x03, _document(_fields(draw, level - 1))
    items = [draw(values(level - 1)) for _ in range(draw(st.integers(0, 4)))]
    places = [str(place) for place in range(len(items))]
    if kind == 7 and draw(st.integers(0, 3)) == 3:
        places = [draw(st.sampled_from(["5", "00", "x"])) for _ in items]
    return 0x04, _document(list(zip(places, items, strict=True)))


@st.composite
def documents(draw, names: tuple[str, ...] = NAMES) -> bytes:
    """Draw a document with an ObjectId; in a few it is not the first field."""
    fields = _fields(draw, 3, names)
    place = min(len(fields), draw(st.integers(0, 9)) // 9)
    return _document([*fields[:place], ("_id", (0x07, b"i" * 12)), *fields[place:]])
