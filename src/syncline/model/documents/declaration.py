"""What a collection is declared to be: paths of documents, and the columns and tables where their values go."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from dataclasses import field as default
from typing import Any

from syncline.model.documents.values import NOTHING


@dataclass(frozen=True, slots=True)
class Field:
    """A value in a column."""

    type: str
    """One of ``model.documents.types.TYPES``."""
    column: str = ""
    """Empty: the path, with ``_`` for each dot."""
    null: str = "missing"
    """What an empty column means: that the field is ``missing``, or that it is ``null``."""
    required: bool = False
    """The column is never empty: a document without such a value is rejected."""
    default: Any = NOTHING
    """What stands in the column where the document lacks the field."""
    values: tuple[str, ...] = ()
    """The only texts that the column takes; a document with another one keeps it in the rest."""
    enum: str = ""
    """Name of the enum type that has these values; empty: a CHECK."""
    references: str = ""
    """The collection whose key this is."""
    index: bool = False
    unique: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A document, or one within another: which of its fields go where, by their paths."""

    columns: Mapping[str, Field] = default(default_factory=dict)
    arrays: Mapping[str, Array] = default(default_factory=dict)
    objects: Mapping[str, Inner] = default(default_factory=dict)
    """Documents within this one that have a table of their own. Those without one are flattened."""
    rest: str = "rest"
    """The column for what no other holds exactly; empty: there is none, and a document that needs it is rejected."""
    ignore: tuple[str, ...] = ()
    """Fields that rows do not keep: they are lost, with consent."""
    order: tuple[str, ...] = ()
    """The paths in the order in which documents mostly have them; empty: as declared."""


@dataclass(frozen=True, slots=True)
class Array:
    """An array: a child table with a row for each element."""

    table: str = ""
    """Empty: the table around it, ``_``, and the path."""
    value: Field | None = None
    """Of an array of values: the column of a value. ``None``: an array of documents."""
    part: Part = default(default_factory=Part)
    """Of an array of documents: what they are."""
    no_rows: str = "missing"
    """What it means that there is no row: the field is ``missing``, or the array is ``empty``."""


@dataclass(frozen=True, slots=True)
class Inner:
    """A document within another one, in a table of its own with at most one row for each."""

    table: str = ""
    part: Part = default(default_factory=Part)


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection whose documents are rows of tables."""

    name: str
    table: str = ""
    """Empty: ``postgres_`` and the name."""
    id: str = "objectid"
    """What its ``_id`` are: a type, or ``any``."""
    id_column: str = "mongo_id"
    part: Part = default(default_factory=Part)
    keep_order: bool = True
    """Fields come back in the order in which the document had them. Off: in the declared order, which is a loss with
    consent."""
    indexes: tuple[tuple[str, ...], ...] = ()
    """Indexes of the collection's own table, by columns."""


MAPPING_VERSION = 1
"""Raised when the same document becomes other rows under the same declaration."""
_OF_THE_DATABASE = frozenset({"enum", "references", "index", "unique", "indexes", "required"})
"""What changes no row."""


def fingerprint_of(collection: Collection) -> str:
    """Digest what decides how documents become rows."""
    return hashlib.sha256(repr([MAPPING_VERSION, _said(collection)]).encode()).hexdigest()


def _said(value: Any) -> Any:
    """Leave out what changes no row; keep the order of everything: it is that of columns."""
    if is_dataclass(value):
        names = [one.name for one in fields(value) if one.name not in _OF_THE_DATABASE]
        return [(name, _said(getattr(value, name))) for name in names]
    if isinstance(value, Mapping):
        return [(name, _said(one)) for name, one in value.items()]
    return value
