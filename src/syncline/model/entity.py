"""What is synced: entities as declared, tables as the catalog describes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as default

_PART = r'("(?:[^"]|"")+"|[^".][^.]*)'
_TABLE = re.compile(rf"(?:{_PART}\.)?{_PART}", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TableName:
    """A table, always with its schema."""

    schema: str
    name: str

    @classmethod
    def parse(cls, text: str) -> TableName:
        """Read ``table`` or ``schema.table``; without a schema, ``public`` is meant.

        A name with a dot stands in double quotes: ``public."dot.ted"``.
        """
        found = _TABLE.fullmatch(text)
        if found is None:
            schema, dot, name = text.partition(".")
            return cls(schema, name) if dot else cls("public", schema)
        return cls(_unquoted(found[1] or "public"), _unquoted(found[2]))

    @staticmethod
    def possible(text: str) -> bool:
        """Tell whether ``parse`` understands this."""
        return _TABLE.fullmatch(text) is not None

    def __str__(self) -> str:
        return f"{_quoted(self.schema)}.{_quoted(self.name)}"


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""')) if "." in name or name.startswith('"') else name


def _unquoted(part: str) -> str:
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


@dataclass(frozen=True, slots=True)
class Computed:
    """A field whose value is an SQL expression over the table's columns."""

    sql: str
    type: str | None = None
    """How the value becomes BSON (a kind of ``model.types``); ``None``: by the expression's own type."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the target collection: fields with 1, -1 or a MongoDB index type."""

    keys: tuple[tuple[str, int | str], ...]
    unique: bool = False
    name: str | None = None
    options: Mapping[str, object] = default(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fields:
    """Which columns of a table become which fields of a document."""

    include: tuple[str, ...] | None = None
    """Only these columns (and the key); ``None``: every column, also those that are added later."""
    exclude: tuple[str, ...] = ()
    rename: Mapping[str, str] = default(default_factory=dict)
    """Column to field; a dot in the field nests it: ``{"city": "address.city"}``."""
    types: Mapping[str, str] = default(default_factory=dict)
    """Column to kind, where the default is not wanted."""
    computed: Mapping[str, Computed] = default(default_factory=dict)
    naming: str = "same"
    """``same`` keeps the column's name, ``camel`` turns ``user_id`` into ``userId``."""
    new_columns: str = default(default="sync", repr=False)
    """What becomes of columns that are added later: ``sync``, ``ignore`` or ``stop``."""
    dates: str = default(default="nearest", repr=False)
    """What ``infinity`` and years outside of 1 to 9999 become: ``nearest``, ``text`` or ``exact``."""


@dataclass(frozen=True, slots=True)
class Embed:
    """Rows of a child table as an array of subdocuments in their parent's document."""

    field: str
    table: TableName
    on: tuple[str, ...]
    """The child's columns that hold the parent's key, in the order of the entity's key."""
    order_by: tuple[str, ...] = ()
    """Columns that order the array; empty: the child's primary key."""
    fields: Fields = default(default_factory=Fields)
    where: str | None = None


DOCUMENTS, ROWS = "documents", "rows"
"""The forms that records take in a target."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A table (with embedded children) that is kept equal to a collection of documents, or to another table."""

    name: str
    table: TableName
    collection: str
    key: tuple[str, ...] = ()
    """Key columns; empty: the primary key."""
    where: str | None = None
    """SQL condition: rows outside of it are absent for the target."""
    fields: Fields = default(default_factory=Fields)
    embeds: tuple[Embed, ...] = ()
    indexes: tuple[Index, ...] = ()
    mask: tuple[str, ...] = ()
    """Fields whose values no report shows: dotted paths, without the numbers of arrays' elements."""
    form: str = default(default=DOCUMENTS, repr=False)
    """What its records become: ``documents`` of a collection, or ``rows`` of a table, whose name is ``collection``."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the catalog describes it."""

    name: str
    type: str
    """``format_type`` of the column, e.g. ``numeric(10,2)`` or ``public.mood``."""
    base: str
    """Name of the built-in type behind it (domains resolved): ``int8``, ``text``, …; ``enum``, ``composite``,
    ``range``, ``multirange`` for those; any other extension type by its own name; for arrays, that of the element."""
    oid: int
    """The type's oid, domains resolved."""
    array: bool = False
    not_null: bool = False
    scale: int | None = None
    """Declared scale of a numeric, ``None`` when free."""
    precision: int | None = default(default=None, repr=False)
    """Declared digits of a numeric, ``None`` when free. (Not in the fingerprint: the type says it already.)"""
    deterministic: bool = True
    """False under a non-deterministic collation: equal values need not be equal text."""
    number: int | None = default(default=None, repr=False)
    """``attnum``: it stays when the column is renamed. Not part of any fingerprint."""
    virtual: bool = default(default=False, repr=False)
    """Generated whenever it is read (PostgreSQL 18): triggers see NULL. Not part of any fingerprint."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A table as the catalog describes it."""

    table: TableName
    oid: int
    kind: str
    """``relkind``: r table, p partitioned table, v view, m materialised view, f foreign table."""
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    unique_keys: tuple[tuple[str, ...], ...] = ()
    """Complete (not partial) unique constraints over NOT NULL columns, the primary key included."""
    is_partition: bool = False
    inherits: bool = False
    """It is a child in table inheritance (not a partition)."""
    has_children: bool = False
    """Other tables inherit from it (not partitions)."""
    row_security: bool = False
    estimated_rows: int = 0

    def column(self, name: str) -> Column | None:
        """Find a column by its name."""
        return next((c for c in self.columns if c.name == name), None)
