"""Declared entities: what stands under ``[entities.NAME]``, and the ``Entity`` it becomes."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from syncline.config.settings import MappingSettings, Section
from syncline.model.entity import DOCUMENTS, ROWS, Computed, Embed, Entity, Fields, Index, TableName
from syncline.model.masks import mask_problem


def _shorthand(value: object) -> object:
    return {"sql": value} if isinstance(value, str) else value


def _names(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _index_keys(value: object) -> object:
    """Accept ``"a"``, ``["a", "-b"]`` and ``{a = 1, b = -1}``."""
    if isinstance(value, dict):
        return list(value.items())
    items = [value] if isinstance(value, str) else value
    if not isinstance(items, list):
        return items
    return [_direction(item) if isinstance(item, str) else item for item in items]


def _direction(field: str) -> tuple[str, int]:
    return (field[1:], -1) if field.startswith("-") else (field, 1)


def _unwritable(place: str, value: object) -> str | None:
    """Find a value that JSON cannot hold, in which the source remembers what was declared."""
    if isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        return next((found for name, item in items if (found := _unwritable(f"{place}.{name}", item))), None)
    plain = isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
    return None if plain else place


Defaults = MappingSettings | Fields
"""Where a section's settings come from that it does not set: the file's, for an embed its entity's."""
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class ComputedConfig(Section):
    """A field computed by SQL; a bare string is its expression."""

    sql: str
    """SQL expression over the row's own columns: one that reads other rows or tables is refused."""
    type: str | None = None
    """Kind of value, where the expression's own type is not wanted."""


class FieldsConfig(Section):
    """Which columns become which fields."""

    include: Names | None = None
    """Only these columns (and the key). By default every column, also those added later."""
    exclude: Names = ()
    """Columns to leave out. One that is dropped later is a warning; one that never was there is refused."""
    rename: dict[str, str] = Field(default_factory=dict)
    """Column to field; a dot nests: `city = "address.city"`."""
    types: dict[str, str] = Field(default_factory=dict)
    """Column to kind, where the default is not wanted."""
    naming: Literal["same", "camel"] = "same"
    """`camel` turns `user_id` into `userId`."""
    computed: dict[str, Annotated[ComputedConfig, BeforeValidator(_shorthand)]] = Field(default_factory=dict)
    """Fields computed by SQL: `computed.fullName = "first || ' ' || last"`, or a table with `sql` and `type`."""

    new_columns: Literal["sync", "ignore", "stop"] | None = None
    """What becomes of columns that are added after `install`; by default as in [mapping]."""
    dates: Literal["nearest", "text", "exact"] | None = None
    """What `infinity` and years outside of 1 to 9999 become; by default as in [mapping]."""

    def to_fields(self, defaults: Defaults) -> Fields:
        """Build the model's value."""
        return Fields(
            include=self.include,
            exclude=self.exclude,
            rename=self.rename,
            types=self.types,
            naming=self.naming,
            computed={name: Computed(c.sql, c.type) for name, c in self.computed.items()},
            new_columns=self.new_columns or defaults.new_columns,
            dates=self.dates or defaults.dates,
        )


class EmbedConfig(FieldsConfig):
    """Rows of a child table, as an array in their parent's document."""

    table: str
    """The child table, `table` or `schema.table`."""
    on: Names
    """The child's columns that hold the parent's key, in the key's order."""
    order_by: Names = ()
    """Columns that order the array; by default the child's primary key."""
    where: str | None = None
    """SQL condition on the child's rows."""

    def to_embed(self, field: str, defaults: Defaults) -> Embed:
        """Build the model's value."""
        return Embed(field, TableName.parse(self.table), self.on, self.order_by, self.to_fields(defaults), self.where)


class IndexConfig(Section):
    """An index of the collection."""

    keys: Annotated[tuple[tuple[str, int | str], ...], BeforeValidator(_index_keys)] = Field(min_length=1)
    """Fields: `"a"`, `["a", "-b"]` (minus: descending) or `{a = 1, b = "text"}`."""
    unique: bool = False
    """Refuse a second document with the same values."""
    name: str | None = None
    """By default, MongoDB's own."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Further options of `createIndex`, such as `partialFilterExpression`."""

    @field_validator("keys")
    @classmethod
    def _known_direction(cls, keys: tuple[tuple[str, int | str], ...]) -> tuple[tuple[str, int | str], ...]:
        for field, direction in keys:
            if direction not in (1, -1, "text", "hashed", "2d", "2dsphere"):
                raise ValueError(f"{field} = {direction!r}: use 1, -1, text, hashed, 2d or 2dsphere")
        return keys

    @field_validator("options")
    @classmethod
    def _nothing_expires(cls, options: dict[str, Any]) -> dict[str, Any]:
        if "expireAfterSeconds" in options:
            raise ValueError(
                "expireAfterSeconds would delete documents whose rows still exist; filter them with `where` instead"
            )
        return options

    @field_validator("options")
    @classmethod
    def _plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        if place := _unwritable("options", options):
            raise ValueError(f"{place}: TOML's dates and numbers without end are no values of an index's options here")
        return options

    def to_index(self) -> Index:
        """Build the model's value."""
        return Index(self.keys, self.unique, self.name, self.options)


class EntityConfig(FieldsConfig):
    """A table that is kept equal to a collection, or to a table of another PostgreSQL database."""

    table: str = ""
    """The table, `table` or `schema.table`; by default the entity's name. A name with a dot: `'public."my.table"'`."""
    collection: str = ""
    """MongoDB: the collection; by default the entity's name."""
    target_table: str = ""
    """PostgreSQL: the table of the target, `table` or `schema.table`; by default called as in the source."""
    key: Names = ()
    """Key columns; by default the primary key."""
    where: str | None = None
    """SQL condition over the row's own columns: rows outside of it are not in the collection."""
    embed: dict[str, EmbedConfig] = Field(default_factory=dict)
    """Child tables as arrays: `[entities.NAME.embed.FIELD]`."""
    indexes: tuple[IndexConfig, ...] = ()
    """Indexes of the collection: `[[entities.NAME.indexes]]`."""
    mask: Names = ()
    """Fields of the documents whose values no report of `verify` shows, such as `["passwordHash", "profile.email"]`."""

    @field_validator("mask")
    @classmethod
    def _possible_mask(cls, mask: tuple[str, ...]) -> tuple[str, ...]:
        for path in mask:
            if problem := mask_problem(path):
                raise ValueError(f"{path!r}: {problem}")
        return mask

    @field_validator("collection")
    @classmethod
    def _possible_collection(cls, name: str) -> str:
        if "$" in name or "\0" in name or name.startswith("system."):
            raise ValueError("not a possible name of a collection: no $, and not beginning with system.")
        return name

    def place(self, name: str, form: str) -> str:
        """Name the collection, or the table, where the records go."""
        if form == ROWS:
            return str(TableName.parse(self.target_table or self.table or name))
        return self.collection or name

    def to_entity(self, name: str, mapping: MappingSettings | None = None, *, form: str = DOCUMENTS) -> Entity:
        """Build the model's value."""
        fields = self.to_fields(mapping or MappingSettings())
        return Entity(
            name=name,
            table=TableName.parse(self.table or name),
            collection=self.place(name, form),
            key=self.key,
            where=self.where,
            fields=fields,
            embeds=tuple(embed.to_embed(field, fields) for field, embed in self.embed.items()),
            indexes=tuple(index.to_index() for index in self.indexes),
            mask=self.mask,
            form=form,
        )


def possible_name(name: str) -> bool:
    """Tell whether an entity may be called so: it is part of event types, triggers and commands."""
    return re.fullmatch(r"[a-z][a-z0-9_]{0,39}", name, re.IGNORECASE) is not None
