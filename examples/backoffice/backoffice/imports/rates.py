"""What a row must have to become a price."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

from backoffice.imports.transform import CellError, Reject, Row, Transform, read

COLUMNS = ("carrier", "zone", "to_grams", "price", "days")
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_-]{0,19}")


def checked(row: Row) -> tuple[dict[str, Any] | None, list[CellError]]:
    """See that a row is a price; give it in JSON's types, with the columns of a price and no others."""
    content: dict[str, Any] = {}
    errors = list[CellError]()
    for column, check in _CHECKS.items():
        value = row.get(column)
        try:
            if value is None or value == "":
                raise CellError(column, "it is missing")
            content[column] = check(column, value)
        except CellError as error:
            errors.append(error)
    return (None if errors else content), errors


def examined(
    rows: Iterable[tuple[int, Row]], transform: Transform
) -> Iterator[tuple[int, Row, dict[str, Any] | None, list[Reject]]]:
    """Give line, source, content and rejects of each row; one row is in memory at a time."""
    for line, source in rows:
        row, errors = transform(source)
        content, more = checked(row)
        failed = {error.column for error in errors}
        errors += [error for error in more if error.column not in failed]
        rejects = [Reject(line, error.column, error.message) for error in errors]
        yield line, source, None if rejects else content, rejects


def _code(column: str, value: Any) -> str:
    text = str(value)
    if not _CODE.fullmatch(text):
        raise CellError(column, f"{text[:40]!r} is no code: capital letters, digits, - and _")
    return text


def _integer(least: int, most: int) -> Callable[[str, Any], int]:
    def check(column: str, value: Any) -> int:
        number = value if isinstance(value, int) else read(str(value), "integer", ".", column)
        if not isinstance(number, int) or not least <= number <= most:
            raise CellError(column, f"{value} is not between {least} and {most}")
        return number

    return check


def _price(column: str, value: Any) -> str:
    number = value if isinstance(value, Decimal) else read(str(value), "decimal", ".", column)
    if not isinstance(number, Decimal) or not 0 <= number <= 1_000_000:
        raise CellError(column, f"{value} is not between 0 and 1000000")
    if number != round(number, 2):
        raise CellError(column, f"{value} has more than two decimal places")
    return f"{number:.2f}"


_CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "carrier": _code,
    "zone": _code,
    "to_grams": _integer(1, 10_000_000),
    "price": _price,
    "days": _integer(0, 365),
}
