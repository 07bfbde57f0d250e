"""Declared collections: what stands under ``[collections.NAME]``, and the ``Collection`` it becomes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from syncline.config.settings import Section
from syncline.model.documents import Array, Collection, Inner, Part
from syncline.model.documents import Field as DeclaredField
from syncline.model.documents.values import NOTHING


def _shorthand(value: object) -> object:
    return {"type": value} if isinstance(value, str) else value


def _lists(value: object) -> object:
    return [[one] if isinstance(one, str) else one for one in value] if isinstance(value, list) else value


class ValueConfig(Section):
    """The column of a field."""

    type: str = ""
    """A type of columns, see [the table of types](bson-types.md)."""
    column: str = ""
    """The column's name; by default the path, with `_` for each dot."""
    null: Literal["missing", "null"] = "missing"
    """What an empty column means: that the field is missing, or that it is null."""
    required: bool = False
    """The column is NOT NULL; a document without such a value (and without `default`) is parked."""
    default: str | int | float | bool | None = None
    """What stands in the column where the document lacks the field."""
    values: tuple[str, ...] = ()
    """The only texts that the column takes; a document with another one keeps it in the rest."""
    enum: str = ""
    """Name of an enum type for `values`; by default they are a CHECK."""
    references: str = ""
    """The collection whose `_id` this is: the column is indexed."""
    index: bool = False
    """Index the column."""
    unique: bool = False
    """A unique index on the column."""

    def to_field(self) -> DeclaredField:
        """Build the model's value."""
        return DeclaredField(
            type=self.type,
            column=self.column,
            null=self.null,
            required=self.required,
            default=NOTHING if self.default is None else self.default,
            values=self.values,
            enum=self.enum,
            references=self.references,
            index=self.index,
            unique=self.unique,
        )


class PartConfig(Section):
    """The fields of documents."""

    columns: dict[str, Annotated[ValueConfig, BeforeValidator(_shorthand)]] = Field(default_factory=dict)
    """Path to type, or to a table of settings: `[collections.NAME.columns]`."""
    arrays: dict[str, ArrayConfig] = Field(default_factory=dict)
    """Path to the child table of an array: `[collections.NAME.arrays.PATH]`."""
    objects: dict[str, InnerConfig] = Field(default_factory=dict)
    """Path to the table of a document within: `[collections.NAME.objects.PATH]`. Without one it is flattened."""
    rest: str = "rest"
    """The `jsonb` column for what no other holds exactly; empty: none, and a document that needs it is parked."""
    ignore: tuple[str, ...] = ()
    """Paths of fields that rows do not keep: they are lost on the way back."""
    order: tuple[str, ...] = ()
    """Paths in the order in which documents mostly have them (the rest says others); by default as declared."""

    def to_part(self) -> Part:
        """Build the model's value."""
        return Part(
            columns={path: one.to_field() for path, one in self.columns.items()},
            arrays={path: one.to_array() for path, one in self.arrays.items()},
            objects={path: Inner(one.table, one.to_part()) for path, one in self.objects.items()},
            rest=self.rest,
            ignore=self.ignore,
            order=self.order,
        )


class ArrayConfig(PartConfig, ValueConfig):
    """The child table of an array: with `type` of values, without it of documents with fields of their own."""

    table: str = ""
    """The table; by default the one around it, `_`, and the path."""
    no_rows: Literal["missing", "empty"] = "missing"
    """What it means that there is no row: the field is missing, or the array is empty."""

    @model_validator(mode="after")
    def _one_of_two(self) -> ArrayConfig:
        documents = {"columns", "arrays", "objects", "rest", "ignore", "order"} & self.model_fields_set
        if self.type and documents:
            raise ValueError(f"an array of values (`type`) has no {', '.join(sorted(documents))}")
        values = ValueConfig.model_fields.keys() & self.model_fields_set
        if not self.type and values:
            raise ValueError(f"an array of documents has no {', '.join(sorted(values))}; one of values has `type`")
        if self.default is not None:
            raise ValueError("an array has no default: `no_rows` says what it means that there is none")
        return self

    def to_array(self) -> Array:
        """Build the model's value."""
        value = self.to_field() if self.type else None
        return Array(self.table, value, Part() if self.type else self.to_part(), self.no_rows)


class InnerConfig(PartConfig):
    """The table of a document within another one: a row for each that is there."""

    table: str = ""
    """The table; by default the one around it, `_`, and the path."""


class CollectionConfig(PartConfig):
    """A collection whose documents are rows of tables: see [Documents as rows](../explanation/documents-as-rows.md)."""

    table: str = ""
    """The table, `table` or `schema.table`; by default `postgres_NAME`."""
    id: Literal["objectid", "text", "integer", "bigint", "long", "uuid", "any"] = "objectid"
    """What its `_id` are; a document with another one is parked. `any` takes all."""
    id_column: str = "mongo_id"
    """The key's column, in child tables too."""
    keep_order: bool = True
    """Documents come back with their fields in the order that they had. Off: in the declared one."""
    indexes: Annotated[tuple[tuple[str, ...], ...], BeforeValidator(_lists)] = ()
    """Indexes of the table: `["a", ["b", "c"]]`, by columns."""

    def to_collection(self, name: str) -> Collection:
        """Build the model's value."""
        return Collection(
            name, self.table, self.id, self.id_column, self.to_part(), keep_order=self.keep_order, indexes=self.indexes
        )
