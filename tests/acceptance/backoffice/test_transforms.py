"""Steps on columns, alone: what each does, and that nothing is kept between two rows."""

from __future__ import annotations

import gc
import io
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest
from backoffice.imports.files import FileError, rows
from backoffice.imports.rates import examined
from backoffice.imports.steps import Step
from backoffice.imports.transform import Reject, Transform
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

STEPS = TypeAdapter[list[Step]](list[Step])


def transform(*steps: dict[str, Any]) -> Transform:
    return Transform(STEPS.validate_python(list(steps)))


@pytest.mark.parametrize(
    ("step", "before", "after"),
    [
        ({"do": "rename", "column": "a", "to": "b"}, {"a": "1"}, {"b": "1"}),
        ({"do": "rename", "column": "a", "to": "b"}, {}, "there is no such column"),
        ({"do": "trim"}, {"a": "  x   y ", "b": None}, {"a": "x y", "b": None}),
        ({"do": "trim", "column": "b"}, {"a": " x", "b": " y"}, {"a": " x", "b": "y"}),
        ({"do": "parse", "column": "a"}, {"a": " 12 "}, {"a": 12}),
        ({"do": "parse", "column": "a"}, {"a": " "}, {"a": None}),
        ({"do": "parse", "column": "a"}, {"a": "1e3"}, "'1e3' is not an integer"),
        ({"do": "parse", "column": "a"}, {"a": "٣"}, "'٣' is not an integer"),
        ({"do": "parse", "column": "a"}, {"a": "9" * 5000}, f"{'9' * 40!r} is not an integer"),
        ({"do": "parse", "column": "a", "kind": "decimal"}, {"a": "1e999999"}, "'1e999999' is not a decimal"),
        ({"do": "parse", "column": "a", "kind": "decimal"}, {"a": "Infinity"}, "'Infinity' is not a decimal"),
        ({"do": "parse", "column": "a", "kind": "date"}, {"a": "2026-02-28"}, {"a": "2026-02-28"}),
        ({"do": "parse", "column": "a", "kind": "date"}, {"a": "2026-02-30"}, "'2026-02-30' is not a date"),
        ({"do": "map", "column": "a", "values": {"x": "y"}}, {"a": "x"}, {"a": "y"}),
        ({"do": "map", "column": "a", "values": {"x": "y"}}, {"a": "z"}, {"a": "z"}),
        ({"do": "map", "column": "a", "values": {"x": "y"}, "otherwise": "reject"}, {"a": "z"}, "'z' is not known"),
        ({"do": "default", "column": "a", "value": "1"}, {"a": ""}, {"a": "1"}),
        ({"do": "default", "column": "a", "value": "1"}, {"a": "0"}, {"a": "0"}),
        ({"do": "validate", "column": "a", "required": True}, {}, "it is missing"),
        ({"do": "validate", "column": "a", "minimum": 5}, {"a": "4.99"}, "4.99 is less than 5"),
        ({"do": "validate", "column": "a", "maximum": 5}, {"a": "x"}, "'x' is not a decimal"),
        ({"do": "validate", "column": "a", "longest": 1}, {"a": "xy"}, "it is longer than 1 characters"),
        ({"do": "validate", "column": "a", "oneOf": ["x"]}, {"a": "y"}, "'y' is not one of those that may be"),
        ({"do": "validate", "column": "a", "shape": "AA-9"}, {"a": "EU-1"}, {"a": "EU-1"}),
        ({"do": "validate", "column": "a", "shape": "AA-9"}, {"a": "EU-12"}, "'EU-12' has not the shape AA-9"),
        ({"do": "validate", "column": "a", "shape": ".*"}, {"a": "xy"}, "'xy' has not the shape .*"),
    ],
)
def test_a_step(step: dict[str, Any], before: dict[str, Any], after: Any):
    row, errors = transform(step)(before)
    if isinstance(after, str):
        assert [error.message for error in errors] == [after]
    else:
        assert (row, errors) == (after, [])


def test_the_source_is_left_as_it_was():
    source = {"a": " x "}
    transform({"do": "trim"}, {"do": "rename", "column": "a", "to": "b"})(source)
    assert source == {"a": " x "}


@given(
    st.dictionaries(st.sampled_from(["carrier", "zone", "to_grams", "price", "days"]), st.text(max_size=12) | st.none())
)
def test_whatever_is_in_a_row_it_is_a_price_or_it_is_rejected(source: dict[str, Any]):
    steps = transform({"do": "trim"}, {"do": "parse", "column": "price", "kind": "decimal", "decimalSign": ","})
    ((_, _, content, rejects),) = examined([(2, source)], steps)
    assert (content is None) == bool(rejects)
    assert len({one.column for one in rejects}) == len(rejects)


@given(st.binary(max_size=200))
def test_whatever_is_in_a_file_it_is_rows_or_an_error_that_says_why(content: bytes):
    why = ""
    found: list[Any] = []
    try:
        found = list(rows(io.BytesIO(content), "csv"))
    except FileError as error:
        why = str(error) or "nothing"
    assert why != "nothing"
    assert all(isinstance(one, Reject) or one[0] > 1 for one in found)


class Lines(io.RawIOBase):
    """A file that is made while it is read."""

    def __init__(self, count: int) -> None:
        self._lines = self._made(count)
        self._left = b""

    def _made(self, count: int) -> Iterator[bytes]:
        yield b"carrier,zone,to_grams,price,days\n"
        for number in range(count):
            yield b"DHL,EU-%d,%d,4.90,%d\n" % (number % 7, number + 1, number % 400)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while len(self._left) < len(buffer) and (line := next(self._lines, b"")):
            self._left += line
        part, self._left = self._left[: len(buffer)], self._left[len(buffer) :]
        buffer[: len(part)] = part
        return len(part)


def peak(count: int) -> int:
    """Measure the memory that so many rows take, from file to reject."""
    steps = transform({"do": "trim"}, {"do": "parse", "column": "price", "kind": "decimal"})
    tracemalloc.start()
    try:
        good = bad = 0
        for one in rows(io.BufferedReader(Lines(count)), "csv"):  # type: ignore[arg-type]
            assert not isinstance(one, Reject)
            for _, _, content, _ in examined([one], steps):
                good, bad = (good + 1, bad) if content else (good, bad + 1)
        assert (good + bad, bad > 0) == (count, count > 366)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ten_times_the_rows_take_the_same_memory():
    peak(100)
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)  # a worker that has run in this process has set others
    try:
        least = [min(peak(count) for _ in range(3)) for count in (1_000, 10_000)]  # other threads allocate, too
    finally:
        gc.set_threshold(*before)
    assert least[1] < least[0] + 100_000
