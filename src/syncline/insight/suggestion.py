"""What ``syncline init`` suggests for a table: fields that MongoDB takes, kinds that hold every value, embeds. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from syncline.errors import MappingError
from syncline.model.entity import Column, Embed, Entity, Fields, Shape, TableName
from syncline.model.fields import RESERVED, possible_field
from syncline.model.key_types import MAX_DIGITS
from syncline.model.keys import choose_key
from syncline.model.mapping import Projection, implied_columns
from syncline.model.types import default_reading

Wide = Mapping[TableName, Collection[str]]
"""Columns that hold numbers of more digits than a Decimal128."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    refers_to: tuple[str, ...]


def suggest_entity(name: str, shape: Shape, wide: Wide) -> Entity:
    """Declare an entity that ``install`` accepts.

    Raises:
        MappingError: the table has no usable key; the message says why.

    """
    key = _key(shape)
    columns = choose_key(Entity(name, shape.table, name, key=key), shape)
    fields = _fields(shape, implied_columns(columns), wide.get(shape.table, ()), RESERVED)
    entity = Entity(name, shape.table, name, key=() if key == shape.primary_key else key, fields=fields)
    Projection(entity, shape)
    return entity


def suggest_embeds(
    entity: Entity, shape: Shape, references: Sequence[Reference], shapes: Mapping[TableName, Shape], wide: Wide
) -> Iterator[Embed]:
    """Declare the tables that refer to this one as arrays in its documents."""
    key = entity.key or shape.primary_key
    taken = {entity.fields.rename.get(column.name, column.name) for column in shape.columns}
    for reference in references:
        child = shapes.get(reference.child)
        if reference.parent != shape.table or child is None or child.table == shape.table or child.is_partition:
            continue
        if set(reference.refers_to) != set(key):
            continue
        column_of = dict(zip(reference.refers_to, reference.columns, strict=True))
        on = tuple(column_of[column] for column in key)
        field = _embed_field(reference, taken)
        embed = Embed(field, child.table, on, fields=_fields(child, on, wide.get(child.table, ()), ()))
        try:
            Projection(replace(entity, embeds=(embed,)), shape, {child.table: child})
        except MappingError:
            continue  # a child without a primary key, keys that print otherwise
        taken.add(field)
        yield embed


def entity_lines(entity: Entity, shape: Shape, wide: Wide) -> Iterator[str]:
    """Write an entity's fields, each line with its reason."""
    if entity.key:
        yield f"key = {array(entity.key)}  # the primary key cannot be one: its equality is not equality of text"
    yield from _field_lines(entity.fields, shape, wide.get(shape.table, ()))


def embed_lines(entity: Entity, embed: Embed, shape: Shape, wide: Wide) -> Iterator[str]:
    """Write an embed as comments."""
    section = f"[entities.{entity.name}.embed.{bare(embed.field)}]"
    yield f"{section}  # its rows as an array in each document (few per parent)"
    yield f"table = {text(str(embed.table))}"
    yield f"on = {array(embed.on)}"
    yield from _field_lines(embed.fields, shape, wide.get(shape.table, ()))


def _key(shape: Shape) -> tuple[str, ...]:
    """Choose the key: the primary key, else the first unique one that can be."""
    entity = Entity("it", shape.table, "it")
    try:
        return tuple(column.name for column in choose_key(entity, shape))
    except MappingError:
        for unique in shape.unique_keys:
            try:
                return tuple(c.name for c in choose_key(replace(entity, key=unique), shape))
            except MappingError:
                continue
        raise


def _fields(shape: Shape, implied: Collection[str], wide: Collection[str], reserved: Sequence[str]) -> Fields:
    taken = {column.name for column in shape.columns}
    rename: dict[str, str] = {}
    types: dict[str, str] = {}
    for column in shape.columns:
        if column.name in implied:
            continue
        field = possible_field(column.name, taken, reserved=reserved)
        if field != column.name:
            rename[column.name] = field
            taken.add(field)
        if _why_text(column, wide) is not None:
            types[column.name] = "text"
    return Fields(rename=rename, types=types)


def _embed_field(reference: Reference, taken: Collection[str]) -> str:
    child = reference.child.name
    plain = possible_field(child, taken)
    if plain not in taken:
        return plain
    longer = possible_field("_".join((child, *reference.columns)), taken)
    while longer in taken:
        longer += "_"
    return longer


def _why_text(column: Column, wide: Collection[str]) -> str | None:
    if default_reading(column) is None:
        return f"{column.type}: no form of its own in documents"
    if column.base == "numeric" and (column.precision or 0) > MAX_DIGITS:
        return f"{column.type}: a Decimal128 holds {MAX_DIGITS} digits"
    if column.name in wide:
        return f"there are numbers of more than {MAX_DIGITS} digits, which no Decimal128 holds"
    return None


def _field_lines(fields: Fields, shape: Shape, wide: Collection[str]) -> Iterator[str]:
    if fields.rename:
        pairs = ", ".join(f"{bare(column)} = {text(field)}" for column, field in fields.rename.items())
        yield f"rename = {{ {pairs} }}  # not possible as names of fields, or reserved"
    if fields.types:
        pairs = ", ".join(f"{bare(column)} = {text(kind)}" for column, kind in fields.types.items())
        columns = [column for column in shape.columns if column.name in fields.types]
        reasons = "; ".join(dict.fromkeys(_why_text(column, wide) or "" for column in columns))
        yield f"types = {{ {pairs} }}  # {comment(reasons)}"


def text(value: str) -> str:
    """Write a string in TOML."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def array(values: Sequence[str]) -> str:
    """Write a list of strings in TOML."""
    return f"[{', '.join(map(text, values))}]"


def bare(name: str) -> str:
    """Write a key in TOML."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else text(name)


def comment(words: str) -> str:
    """Keep a comment on its line."""
    return re.sub(r"[\x00-\x1f\x7f]+", " ", words)
