"""The tables that a collection's documents become."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from syncline.errors import MappingError
from syncline.model.documents.declaration import Field
from syncline.model.documents.types import Type
from syncline.model.entity import TableName

POSITION = "position"
Row = tuple[Any, ...]
Rows = tuple[list[Row], ...]
"""The rows of one document, by table: those of the collection's own table first, which is one."""
OURS = ("sync_status", "sync_error", "last_sync_at")
"""Columns of a collection's own table that say how the row came there; no mapping reads them."""
MAX_NAME = 63


@dataclass(frozen=True, slots=True)
class Column:
    """A column of such a table."""

    name: str
    type: Type
    path: str
    """Of the field, as messages name it; empty: it is part of the key, or the rest."""
    field: Field
    default: Any = None
    """As the column has it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table: its columns in the order of its rows, the key's first."""

    number: int
    name: TableName
    columns: tuple[Column, ...]
    keys: int
    """So many columns are the key; in a child table the last one is the position."""
    parent: int | None = None
    """Number of the table whose key the key begins with."""
    rest: int | None = None
    """Place of the column for the rest."""

    @property
    def key(self) -> tuple[str, ...]:
        """Name the key's columns."""
        return tuple(column.name for column in self.columns[: self.keys])


def checked_name(name: str, what: str, setting: str) -> str:
    """See that PostgreSQL takes a name.

    Raises:
        MappingError: it is too long, or empty.

    """
    if not 0 < len(name.encode()) <= MAX_NAME or "\0" in name:
        raise MappingError(f"{what}: {name!r} is no name of 1 to {MAX_NAME} bytes", hint=f"name it by `{setting}`")
    return name


def key_names(id_column: str, depth: int) -> Iterator[str]:
    """Name the key's columns at a depth of arrays: the document's, the positions of arrays around it, its own."""
    yield id_column
    yield from (f"{POSITION}_{level}" for level in range(1, depth))
    if depth:
        yield POSITION
