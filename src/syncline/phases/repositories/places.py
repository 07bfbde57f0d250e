"""Where the values of a path are on both sides, and which values can be there. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any
from uuid import UUID

from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.errors import InvalidId
from bson.objectid import ObjectId

from syncline.errors import RepositoryError
from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.documents.exact_json import integer, json_name
from syncline.model.documents.types import Type
from syncline.model.values import INT64_MAX, INT64_MIN

_STRICT = frozenset({"objectid", "text", "boolean", "uuid", "numeric", "bytea"})
"""Types whose columns may show a value that is not equal to the document's."""
MOST_ASKED = 8000
"""Characters: MongoDB takes patterns of 32,764 bytes; four stand for a letter whose case is ignored."""
_UNORDERED = frozenset({"jsonb", "bytea"})


@dataclass(frozen=True, slots=True)
class Place:
    """A path that has a column."""

    path: str
    table: Table
    number: int
    """Of the column in its table."""
    rest: str | None
    """The column for the rest, in the collection's own table."""
    no_rows: str = "missing"
    """Of an array: what it means that there is no row."""

    @property
    def column(self) -> Column:
        """Give the column."""
        return self.table.columns[self.number]

    @property
    def type(self) -> Type:
        """Give the column's type."""
        return self.column.type

    @property
    def is_array(self) -> bool:
        """Whether it is an array of values, in a table of its own."""
        return self.table.parent is not None

    @property
    def is_strict(self) -> bool:
        """Whether a value counts only where the column says all of it."""
        return self.type.name in _STRICT

    @property
    def is_key(self) -> bool:
        """Whether it is ``_id``."""
        return self.number == 0 and not self.is_array

    @property
    def in_rest(self) -> list[str]:
        """Give the path of what the rest keeps of it."""
        return [json_name(name) for name in self.path.split(".")]

    @property
    def has_nan(self) -> bool:
        """Whether a value may be no number."""
        return self.type.name in {"double", "number", "numeric"}

    def value(self, given: Any) -> Any:
        """Give the value as BSON has it; ``None``: no document can have it there."""
        value = self._typed(given)
        return value if not self.column.field.values or value in self.column.field.values else None

    def _typed(self, given: Any) -> Any:
        value = _bson(given, self.type.name)
        if value is None:
            return None
        shown, exact = self.type.fit(value)
        return value if exact or (shown is not None and not self.is_strict) else None

    def shown(self, value: Any) -> Any:
        """Give the column's value for what ``value`` gave."""
        return self.type.fit(value)[0]

    def limit(self, given: Any) -> Any:
        """Give a limit of a range as BSON has it.

        Raises:
            RepositoryError: it is no value of the column's type.

        """
        value = self._typed(given)
        if value is None or value != value:  # noqa: PLR0124  a NaN is no limit
            raise RepositoryError(f"{self.path}: {given!r} is no {self.type.name}", hint="give a limit of that type")
        return value

    def require_text(self, asked: str) -> None:
        """See that it is a text, which may be asked for a part of it.

        Raises:
            RepositoryError: it is not a text, or the part is too long.

        """
        if len(asked) > MOST_ASKED:
            raise RepositoryError(
                f"{self.path}: a text of {len(asked):,} characters is asked for",
                hint=f"Contains and StartsWith take up to {MOST_ASKED:,}, which both databases do",
            )
        if self.type.name != "text" or self.is_array:
            raise RepositoryError(f"{self.path} is no text", hint="Contains and StartsWith are for columns of texts")

    def require_order(self) -> None:
        """See that both sides order its values alike.

        Raises:
            RepositoryError: they do not.

        """
        if self.is_array or self.type.name in _UNORDERED:
            kind = "an array" if self.is_array else self.type.name
            raise RepositoryError(
                f"{self.path} is {kind}: there is no order of its values that both databases have",
                hint="sort by another path",
            )


class Places:
    """The paths of a collection."""

    def __init__(self, mapping: DocumentMapping) -> None:
        self.name = mapping.collection.name
        top, part = mapping.tables[0], mapping.collection.part
        rest = part.rest or None
        self._found = {"_id": Place("_id", top, 0, None)}
        for number, column in enumerate(top.columns):
            if column.path and number and number != top.rest:
                self._found[column.path] = Place(column.path, top, number, rest)
        for table in mapping.tables[1:]:
            column = table.columns[-1]
            if table.parent == 0 and column.path.endswith("[]") and table.rest is None:
                path = column.path.removesuffix("[]")
                number = len(table.columns) - 1
                self._found[path] = Place(path, table, number, rest, part.arrays[path].no_rows)

    @property
    def key(self) -> Place:
        """Give the place of ``_id``."""
        return self._found["_id"]

    def of(self, path: str) -> Place:
        """Find a path.

        Raises:
            RepositoryError: it has no column.

        """
        try:
            return self._found[path]
        except KeyError:
            raise RepositoryError(
                f"{self.name}.{path} has no column: PostgreSQL could not be asked for it",
                hint=f"declare it in [collections.{self.name}.columns], or as an array of values",
            ) from None

    def order(self, sort: Sequence[str]) -> list[tuple[Place, bool]]:
        """Read paths to sort by, descending with ``-`` in front; ``_id`` comes last, so that no two are alike."""
        order = []
        for one in sort:
            place = self.of(one.removeprefix("-"))
            place.require_order()
            order.append((place, one.startswith("-")))
        if not any(place.is_key for place, _ in order):
            order.append((self.key, False))
        return order


def _bson(given: Any, type_: str) -> Any:
    """Turn a value as applications have it into one of BSON: both databases keep milliseconds, in UTC."""
    value = given.value if isinstance(given, Enum) else given
    if isinstance(value, datetime):
        try:
            moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        except OverflowError:
            return None  # in UTC it is before the year 1, or after 9999
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    if isinstance(value, date):
        return datetime.combine(value, time())
    if isinstance(value, UUID):
        return Binary(value.bytes, 4)
    if isinstance(value, Decimal):
        return _decimal(value)
    if isinstance(value, str):
        return _object_id(value) if type_ == "objectid" else as_text(value)
    if type(value) is int:
        return integer(value) if INT64_MIN <= value <= INT64_MAX else None
    return value


def as_text(value: str) -> str | None:
    """Give a text that can be stored, or ``None``."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return None
    return str(value)


def _decimal(value: Decimal) -> Decimal128 | None:
    try:
        return Decimal128(value)
    except (InvalidOperation, ValueError):
        return None


def _object_id(text: str) -> ObjectId | None:
    try:
        return ObjectId(text)
    except InvalidId:
        return None
