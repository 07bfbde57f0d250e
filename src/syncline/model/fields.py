"""From columns to fields: which columns are taken, what their fields are called, where they nest."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncline.errors import MappingError
from syncline.model.entity import Column, Fields, Shape
from syncline.model.types import (
    COMPUTED,
    Convert,
    Form,
    Kind,
    Reading,
    allowed_kinds,
    kind_named,
    readable,
    reading_of,
)

RESERVED = ("_id", "_originalId", "_source", "_syncedAt", "_v")
Node = tuple[tuple[str, "int | Node"], ...]
"""A document as a plan: each name with the slot of its value, or with the plan of a subdocument."""


@dataclass(frozen=True, slots=True)
class Selected:
    """One expression of a SELECT list: a column or the SQL of a computed field, and how it is read."""

    field: str
    column: str | None
    sql: str | None
    reading: Reading

    @property
    def form(self) -> Form:
        return self.reading.form

    @property
    def cast(self) -> str | None:
        return self.reading.cast

    @property
    def convert(self) -> Convert | None:
        return self.reading.convert

    @property
    def kind(self) -> Kind:
        return self.reading.kind


def select_fields(fields: Fields, shape: Shape, *, implied: Iterable[str] = ()) -> tuple[Selected, ...]:
    """Select the columns and computed fields of one table, in the table's order.

    ``implied`` columns are in the document anyway (as ``_id``, or as the parent's key): they become fields only when
    ``include``, ``rename`` or ``types`` names them.

    Raises:
        MappingError: a column that does not exist, a type without a form, an unknown naming.

    """
    _check_names(fields, shape)
    asked = {*(fields.include or ()), *fields.rename, *fields.types}
    hidden = set(implied) - asked
    taken = [c for c in shape.columns if c.name not in hidden and is_taken(fields, c.name, asked)]
    columns = [Selected(field_name(fields, c.name), c.name, None, _reading(fields, shape, c)) for c in taken]
    return (*columns, *_computed(fields))


def _reading(fields: Fields, shape: Shape, column: Column) -> Reading:
    return readable(reading_of(shape.table, column, fields.types.get(column.name)), fields.dates, column)


def is_taken(fields: Fields, column: str, asked: Iterable[str] = ()) -> bool:
    """Whether the column becomes a field."""
    if column in fields.exclude:
        return False
    return fields.include is None or column in fields.include or column in asked


def unmapped(fields: Fields, shape: Shape, implied: Iterable[str] = ()) -> tuple[str, ...]:
    """List the columns that are neither included nor excluded: usually added after the mapping was written."""
    if fields.include is None:
        return ()
    known = {*fields.include, *fields.exclude, *fields.rename, *fields.types, *implied}
    return tuple(column.name for column in shape.columns if column.name not in known)


def _computed(fields: Fields) -> list[Selected]:
    chosen = []
    for name, computed in fields.computed.items():
        kind = kind_named(computed.type) if computed.type else None
        reading = COMPUTED.get(kind) if kind else Reading(Kind.TEXT)
        if reading is None:
            raise MappingError(
                f"computed field {name!r} cannot be {computed.type!r}", hint=f"one of: {', '.join(COMPUTED)}"
            )
        chosen.append(Selected(name, None, computed.sql, readable(reading, fields.dates)))
    return chosen


def gone(fields: Fields, shape: Shape) -> tuple[str, ...]:
    """List the excluded columns that the table does not have (any more): nothing is lost with them."""
    return tuple(name for name in fields.exclude if shape.column(name) is None)


def _check_names(fields: Fields, shape: Shape) -> None:
    for option in ("include", "rename", "types"):
        for name in getattr(fields, option) or ():
            if shape.column(name) is None:
                columns = ", ".join(column.name for column in shape.columns)
                raise MappingError(f"{option}: {shape.table} has no column {name!r}", hint=f"its columns: {columns}")
    if fields.naming not in {"same", "camel"}:
        raise MappingError(f"naming {fields.naming!r} is unknown", hint='"same" or "camel"')
    for name, kind in fields.types.items():
        column = shape.column(name)
        if column is not None and kind not in allowed_kinds(column):
            reading_of(shape.table, column, kind)  # says why


def field_name(fields: Fields, column: str) -> str:
    """Name the field of a column: as renamed, else by the naming rule."""
    renamed = fields.rename.get(column)
    if renamed is not None:
        return renamed
    return camel(column) if fields.naming == "camel" else column


def camel(name: str) -> str:
    """Turn ``user_id`` into ``userId``; underscores at the start stay."""
    return re.sub(r"(?<=[^_])_+([a-zA-Z0-9])", lambda found: found[1].upper(), name)


def plan(slots: Mapping[str, int], where: str, *, reserved: Sequence[str] = RESERVED) -> Node:
    """Turn dotted field names and the slots of their values into the plan of a document.

    Raises:
        MappingError: a name that MongoDB or Syncline uses otherwise, or a field that is value and subdocument at once.

    """
    tree: dict[str, object] = {}
    for name, slot in slots.items():
        path = name.split(".")
        _check_path(path, name, where, reserved)
        place = tree
        for part in path[:-1]:
            inner = place.setdefault(part, {})
            if not isinstance(inner, dict):
                raise _clash(name, where)
            place = inner
        if path[-1] in place:
            raise _clash(name, where)
        place[path[-1]] = slot
    return _node(tree)


def _node(tree: Mapping[str, object]) -> Node:
    return tuple((name, _node(child) if isinstance(child, dict) else _slot(child)) for name, child in tree.items())


def _slot(child: object) -> int:
    assert isinstance(child, int)  # noqa: S101 - the tree holds dicts and slots
    return child


def _check_path(path: Sequence[str], name: str, where: str, reserved: Sequence[str]) -> None:
    shown, better = (json.dumps(text, ensure_ascii=False) for text in (name, possible_field(name)))
    hint = f"rename = {{ {shown} = {better} }}"
    if path[0] in reserved:
        raise MappingError(f"{where}: field {name!r} is reserved", hint=hint)
    if not all(map(possible_part, path)):
        raise MappingError(f"{where}: {name!r} is not a field name for MongoDB", hint=hint)


def possible_part(part: str) -> bool:
    """Tell whether MongoDB takes this as the name of a field, or as one part of a dotted one."""
    return bool(part) and not part.startswith("$") and "\0" not in part


def possible_field(name: str, taken: Collection[str] = (), *, reserved: Sequence[str] = RESERVED) -> str:
    """Give the name, or where it cannot be that of a field, one like it that is not in ``taken``."""
    if "." not in name and name not in reserved and possible_part(name):
        return name
    plain = name.replace(".", "_").lstrip("$").replace("\0", "") or "field"
    plain = f"{plain.strip('_') or 'field'}_" if plain in reserved else plain
    while plain in taken or plain in reserved:
        plain += "_"
    return plain


def _clash(name: str, where: str) -> MappingError:
    return MappingError(f"{where}: field {name!r} is filled twice", hint="rename or exclude one of the columns")


def unique_slots(names: Sequence[str], first: int, where: str) -> dict[str, int]:
    """Number fields from ``first`` on.

    Raises:
        MappingError: two columns would fill one field.

    """
    slots: dict[str, int] = {}
    for slot, name in enumerate(names, first):
        if name in slots:
            raise _clash(name, where)
        slots[name] = slot
    return slots
