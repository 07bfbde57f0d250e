"""Carrying out steps on rows, one row at a time: nothing is kept between two."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any, assert_never

from backoffice.imports.steps import Default, Map, Parse, Rename, Step, Trim, Validate

Row = dict[str, Any]
Work = Callable[[Row], None]


class CellError(Exception):
    """A cell is not as it should be."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


@dataclass(frozen=True, slots=True)
class Reject:
    """Why a row is rejected."""

    line: int
    column: str | None
    message: str


class Transform:
    """Steps, ready to be carried out."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self._work = [_prepared(step) for step in steps]

    def __call__(self, source: Row) -> tuple[Row, list[CellError]]:
        """Carry out all steps on a copy; of each column the first error counts."""
        row, errors = dict(source), list[CellError]()
        failed = set[str]()
        for work in self._work:
            try:
                work(row)
            except CellError as error:
                if error.column not in failed:
                    failed.add(error.column)
                    errors.append(error)
        return row, errors


def _prepared(step: Step) -> Work:
    match step:
        case Rename():
            return _rename(step)
        case Trim():
            return _trim(step)
        case Parse():
            return _parse(step)
        case Map():
            return _map(step)
        case Default():
            return _default(step)
        case Validate():
            return _validate(step)
        case _:
            assert_never(step)


def _rename(step: Rename) -> Work:
    def work(row: Row) -> None:
        if step.column not in row:
            raise CellError(step.column, "there is no such column")
        row[step.to] = row.pop(step.column)

    return work


def _trim(step: Trim) -> Work:
    def work(row: Row) -> None:
        for name in row if step.column is None else (step.column,):
            if isinstance(value := row.get(name), str):
                row[name] = " ".join(value.split())

    return work


def _parse(step: Parse) -> Work:
    def work(row: Row) -> None:
        value = row.get(step.column)
        if isinstance(value, str):
            row[step.column] = read(value, step.kind, step.decimal_sign, step.column) if value.strip() else None

    return work


def read(value: str, kind: str, decimal_sign: str, column: str) -> int | Decimal | str:
    """Read text as a number or a date (which stays text, in ISO's form).

    Raises:
        CellError: it is none.

    """
    text = value.strip()
    try:
        if kind == "date":
            return date.fromisoformat(text).isoformat()
        if decimal_sign == "," and kind == "decimal":
            text = text.replace(".", "").replace(",", ".")
        if len(text) > 40 or not text.isascii() or "_" in text:
            raise ValueError
        number = int(text) if kind == "integer" else Decimal(text)
        if not -(10**30) < number < 10**30:  # NaN is neither
            raise ValueError
    except (ValueError, InvalidOperation):
        article = "an" if kind == "integer" else "a"
        raise CellError(column, f"{value[:40]!r} is not {article} {kind}") from None
    return number


def _map(step: Map) -> Work:
    def work(row: Row) -> None:
        value = row.get(step.column)
        if value is None:
            return
        found = step.values.get(str(value))
        if found is not None:
            row[step.column] = found
        elif step.otherwise == "reject":
            raise CellError(step.column, f"{str(value)[:40]!r} is not known")

    return work


def _default(step: Default) -> Work:
    def work(row: Row) -> None:
        if row.get(step.column) in (None, ""):
            row[step.column] = step.value

    return work


def _validate(step: Validate) -> Work:
    shape = re.compile(_shape(step.shape)) if step.shape is not None else None
    known = frozenset(step.one_of) if step.one_of is not None else None

    def work(row: Row) -> None:
        value = row.get(step.column)
        if value is None or value == "":
            if step.required:
                raise CellError(step.column, "it is missing")
            return
        if (step.minimum, step.maximum) != (None, None):
            _see_bounds(step, value)
        text = str(value)
        if step.longest is not None and len(text) > step.longest:
            raise CellError(step.column, f"it is longer than {step.longest} characters")
        if known is not None and text not in known:
            raise CellError(step.column, f"{text[:40]!r} is not one of those that may be")
        if shape is not None and not shape.fullmatch(text):
            raise CellError(step.column, f"{text[:40]!r} has not the shape {step.shape}")

    return work


def _see_bounds(step: Validate, value: Any) -> None:
    number = value if isinstance(value, int | Decimal) else read(str(value), "decimal", ".", step.column)
    assert not isinstance(number, str)  # noqa: S101  only dates are
    if step.minimum is not None and number < step.minimum:
        raise CellError(step.column, f"{value} is less than {step.minimum:g}")
    if step.maximum is not None and number > step.maximum:
        raise CellError(step.column, f"{value} is more than {step.maximum:g}")


def _shape(text: str) -> str:
    """Make a pattern without repetitions: whatever somebody writes, it takes no longer than the cell is long."""
    return "".join({"A": "[A-Za-z]", "9": "[0-9]"}.get(one, re.escape(one)) for one in text)
