"""The mapping: an entity compiled against its tables, turning rows into documents. Pure.

A row is ``(id…, column…, key text)``. Nearly every entity is flat (one key column, no nesting, nothing embedded): then
a document is one ``dict(zip(names, row + tail))``. Everything else takes the planned path.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from syncline.errors import MappingError
from syncline.model.entity import DOCUMENTS, Column, Embed, Entity, Shape, TableName
from syncline.model.fields import (
    RESERVED,
    Node,
    Selected,
    field_name,
    gone,
    plan,
    possible_part,
    select_fields,
    unique_slots,
    unmapped,
)
from syncline.model.key_types import key_type
from syncline.model.keys import KeyCodec, choose_key
from syncline.model.types import Convert, Form, Kind, Reading, default_reading
from syncline.model.values import (
    decimal_from_text,
    double_from_text,
    far_texts,
    long_from_text,
    micros_from_text,
    near_days,
    near_instants,
)

Row = tuple[Any, ...]
Document = dict[str, Any]
MAPPING_VERSION = 1
"""Raised when the same row becomes another document; part of every fingerprint."""

_CONVERTERS: Mapping[Convert, Callable[[Any], Any]] = {
    Convert.LONG: long_from_text,
    Convert.DOUBLE: double_from_text,
    Convert.DECIMAL: decimal_from_text,
    Convert.MICROS: micros_from_text,
    Convert.NEAR_DAYS: near_days,
    Convert.NEAR_INSTANTS: near_instants,
    Convert.FAR_TEXTS: far_texts,
}
_NEAR_FORMS = frozenset({Form.NEAR_DATE, Form.NEAR_TIMESTAMP, Form.NEAR_UTC})
_FAR_CONVERTS = frozenset({Convert.NEAR_DAYS, Convert.NEAR_INSTANTS, Convert.FAR_TEXTS})
_FAMILIES = {"int2": "int", "int4": "int", "int8": "int", "text": "text", "varchar": "text"}


class EmbedProjection:
    """A child table compiled: its rows are ``(parent's key text, column…)``."""

    __slots__ = (
        "_converts",
        "_node",
        "dates",
        "embed",
        "gone",
        "key_casts",
        "on",
        "order_by",
        "selected",
        "shape",
        "unmapped",
    )

    def __init__(self, entity: Entity, key: Sequence[Column], embed: Embed, shape: Shape) -> None:
        where = f"{entity.name}.{embed.field}"
        self.embed = embed
        self.shape = shape
        self.on = _parent_columns(where, key, embed, shape)
        self.key_casts = tuple(key_type(column).sql for column in key)
        self.order_by = _order(where, embed, shape)
        self.selected = select_fields(embed.fields, shape, implied=embed.on)
        self.unmapped = unmapped(embed.fields, shape, embed.on)
        self.gone = gone(embed.fields, shape)
        self.dates = embed.fields.dates
        self._node = plan(unique_slots([s.field for s in self.selected], 1, where), where, reserved=())
        self._converts = _converts(self.selected, 1)

    def arrays(self, rows: Iterable[Row]) -> dict[str, list[Document]]:
        """Group subdocuments by their parent's key text, keeping the order of the rows."""
        grouped: dict[str, list[Document]] = {}
        node, converts = self._node, self._converts
        for row in rows:
            values = _converted(row, converts) if converts else row
            grouped.setdefault(row[0], []).append(_build(node, values))
        return grouped


class Projection:
    """An entity compiled against the tables as they are now."""

    __slots__ = (
        "_body",
        "_converts",
        "_flat",
        "_node",
        "codec",
        "dates",
        "embeds",
        "entity",
        "fingerprint",
        "gone",
        "ids",
        "key",
        "names",
        "selected",
        "shape",
        "unmapped",
    )

    def __init__(
        self,
        entity: Entity,
        shape: Shape,
        children: Mapping[TableName, Shape] | None = None,
        *,
        path: str | None = None,
    ) -> None:
        """Compile; ``path`` decides what the names in the entity's SQL mean.

        Raises:
            MappingError: the entity does not fit its tables; the message names table, column, and what helps.

        """
        children = children or {}
        self.entity = entity
        self.shape = shape
        self.key = choose_key(entity, shape)
        self.codec = KeyCodec(self.key, _key_fields(entity, self.key))
        self.ids = tuple(_id_selected(column) for column in self.key)
        implied = implied_columns(self.key)
        self.selected = select_fields(entity.fields, shape, implied=implied)
        self.unmapped = unmapped(entity.fields, shape, (column.name for column in self.key))
        self.gone = gone(entity.fields, shape)
        self.dates = entity.fields.dates
        self.embeds = tuple(EmbedProjection(entity, self.key, e, _child(entity, e, children)) for e in entity.embeds)
        self.names = ("_id", *(s.field for s in self.selected), *RESERVED[1:])
        self._body, self._node = self._plan()
        self._converts = _converts(self.selected, len(self.ids))
        nested = any(not isinstance(child, int) for _, child in self._node)
        self._flat = not (nested or self.embeds)
        self.fingerprint = fingerprint_of(entity, shape, self.embeds, _far_dates((self, *self.embeds)), path)

    def documents(
        self,
        rows: Sequence[Row],
        child_rows: Sequence[Sequence[Row]] = (),
        *,
        source: str,
        synced_at: datetime,
        ticket: int,
    ) -> list[Document]:
        """Turn rows into documents, in their order; ``child_rows`` holds the rows of each embed, in its order.

        What BSON cannot hold exactly becomes ``Unrepresentable``: encoding that document fails, the others go on.
        """
        return self._mapped(rows, child_rows, self.names, self._node, (source, synced_at, ticket))

    def bodies(self, rows: Sequence[Row], child_rows: Sequence[Sequence[Row]] = ()) -> list[Document]:
        """Turn rows into documents without our fields, but ``_id``; see ``documents``."""
        return self._mapped(rows, child_rows, self.names[: -len(RESERVED[1:])], self._body, (None, None, None))

    def ids_of(self, rows: Sequence[Row], bodies: Sequence[Document]) -> list[Any]:  # noqa: ARG002
        """Give the keys as the target has them."""
        return [body["_id"] for body in bodies]

    def _mapped(
        self, rows: Sequence[Row], child_rows: Sequence[Sequence[Row]], names: Sequence[str], node: Node, tail: Row
    ) -> list[Document]:
        converts = self._converts
        if self._flat:
            if converts:
                rows = [_converted(row, converts) for row in rows]
            if len(names) < len(self.names):
                return [dict(zip(names, row, strict=False)) for row in rows]
            return [dict(zip(names, row + tail, strict=False)) for row in rows]
        arrays = [embed.arrays(found) for embed, found in zip(self.embeds, child_rows, strict=True)]
        documents = []
        for row in rows:
            values = _converted(row, converts) if converts else row
            embedded = tuple(array.get(row[-1], []) for array in arrays)
            documents.append(_build(node, values + tail + embedded))
        return documents

    def _plan(self) -> tuple[Node, Node]:
        """Plan a document without our fields, and with them."""
        width = len(self.ids)
        slots = unique_slots([s.field for s in self.selected], width, self.entity.name)
        end = width + len(self.selected)
        for slot, embed in enumerate(self.entity.embeds, end + 4):
            if embed.field in slots:
                raise MappingError(f"{self.entity.name}: field {embed.field!r} is filled twice", hint="rename one")
            slots[embed.field] = slot
        body = plan(slots, self.entity.name)
        id_node: int | Node = 0 if width == 1 else tuple((name, i) for i, name in enumerate(self.codec.names))
        marks = tuple((name, end + i) for i, name in enumerate(RESERVED[1:]))
        return (("_id", id_node), *body), (("_id", id_node), *body, *marks)

    def explain(self) -> list[tuple[str, str, str]]:
        """List (field, column or expression, kind) for people."""
        return [(s.field, s.column or s.sql or "", s.kind.value) for s in self.selected]


def _build(node: Node, values: Row) -> Document:
    return {name: values[child] if type(child) is int else _build(child, values) for name, child in node}  # type: ignore[arg-type]


def _converts(selected: Sequence[Selected], first: int) -> tuple[tuple[int, Callable[[Any], Any]], ...]:
    return tuple((i, _CONVERTERS[s.convert]) for i, s in enumerate(selected, first) if s.convert is not None)


def _converted(row: Row, converts: Sequence[tuple[int, Callable[[Any], Any]]]) -> Row:
    values = list(row)
    for slot, convert in converts:
        if values[slot] is not None:
            values[slot] = convert(values[slot])
    return tuple(values)


def _id_selected(column: Column) -> Selected:
    kind = key_type(column).kind
    default = default_reading(column)
    plain = default is not None and default.kind is kind and default.form is Form.PLAIN and column.base != "bpchar"
    return Selected("_id", column.name, None, Reading(kind) if plain else Reading(Kind.TEXT, Form.CAST, "text"))


def implied_columns(key: Sequence[Column]) -> tuple[str, ...]:
    """A single key column whose value ``_id`` carries in full needs no field of its own."""
    if len(key) != 1:
        return ()
    default = default_reading(key[0])
    same = default is not None and default.kind is key_type(key[0]).kind
    return (key[0].name,) if same else ()


def _key_fields(entity: Entity, key: Sequence[Column]) -> list[str]:
    """Name the key columns inside of a composite ``_id``: flat, even when their fields are nested."""
    names = [field_name(entity.fields, column.name).replace(".", "_") for column in key]
    for name, column in zip(names, key, strict=True):
        if len(key) > 1 and (names.count(name) > 1 or not possible_part(name)):
            raise MappingError(
                f"{entity.name}: {column.name!r} cannot be a field of the composite _id",
                hint=f'rename = {{ {json.dumps(column.name, ensure_ascii=False)} = "other_name" }}',
            )
    return names


def _child(entity: Entity, embed: Embed, children: Mapping[TableName, Shape]) -> Shape:
    shape = children.get(embed.table)
    if shape is None:
        raise MappingError(f"{entity.name}.{embed.field}: there is no table {embed.table}")
    return shape


def _parent_columns(where: str, key: Sequence[Column], embed: Embed, shape: Shape) -> tuple[Column, ...]:
    if len(embed.on) != len(key):
        names = ", ".join(column.name for column in key)
        raise MappingError(f"{where}: on = {list(embed.on)} does not match the parent's key ({names})")
    return tuple(_parent_column(where, shape, name, parent) for name, parent in zip(embed.on, key, strict=True))


def _parent_column(where: str, shape: Shape, name: str, parent: Column) -> Column:
    column = shape.column(name)
    if column is None:
        raise MappingError(f"{where}: {shape.table} has no column {name!r}", hint="check on = [...]")
    if column.virtual:
        raise MappingError(
            f"{where}: {name} is a virtual generated column, which a trigger cannot read",
            hint=f"make {name} GENERATED ALWAYS AS (…) STORED, or name a column that is stored",
        )
    if not _prints_alike(column, parent):
        raise MappingError(
            f"{where}: {name} is {column.type}, but the parent's {parent.name} is {parent.type}: "
            "equal values must print as the same text",
            hint=f"give {shape.table}.{name} the type {parent.type}, or sync {shape.table} as an entity of its own",
        )
    return column


def _prints_alike(column: Column, parent: Column) -> bool:
    """Whether equal values of both have one text: 1.10 and 1.100 are equal, and other keys."""
    if column.array or _FAMILIES.get(column.base, column.base) != _FAMILIES.get(parent.base, parent.base):
        return False
    if column.base == "enum" and column.oid != parent.oid:
        return False
    return column.deterministic and (column.base != "numeric" or column.scale == parent.scale)


def _order(where: str, embed: Embed, shape: Shape) -> tuple[str, ...]:
    unknown = [name for name in embed.order_by if shape.column(name) is None]
    if unknown:
        raise MappingError(f"{where}: {shape.table} has no column {unknown[0]!r}", hint="check order_by")
    order = (*embed.order_by, *(name for name in shape.primary_key if name not in embed.order_by))
    if not order:
        raise MappingError(f"{where}: {shape.table} has no primary key to order by", hint='order_by = ["…"]')
    return order


def _far_dates(projections: Iterable[Projection | EmbedProjection]) -> list[tuple[int, str]]:
    """Say where far dates become something else than what they were before there was a choice."""
    return [
        (place, one.dates)
        for place, one in enumerate(projections)
        if any(item.form in _NEAR_FORMS or item.convert in _FAR_CONVERTS for item in one.selected)
    ]


def has_sql(entity: Entity) -> bool:
    """Tell whether the declaration has SQL in it, whose meaning follows the ``search_path``."""
    sections = ((entity.where, entity.fields), *((embed.where, embed.fields) for embed in entity.embeds))
    return any(where or fields.computed for where, fields in sections)


def fingerprint_of(
    entity: Entity,
    shape: Shape,
    embeds: Sequence[EmbedProjection],
    dates: Sequence[tuple[int, str]],
    path: str | None,
) -> str:
    tables = [(str(s.table), s.columns, s.primary_key) for s in (shape, *(embed.shape for embed in embeds))]
    declared = (entity.name, entity.key, entity.where, entity.fields, entity.embeds)
    later = [*([dates] if dates else []), *([path] if path is not None and has_sql(entity) else [])]
    later += [entity.form] if entity.form != DOCUMENTS else []
    text = repr((MAPPING_VERSION, declared, tables, *later))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
