"""The mapping for a target of tables: a row stays a row, each value the text of its type's output function. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from syncline.errors import MappingError
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.fields import Selected, field_name, gone, is_taken, unmapped
from syncline.model.keys import KeyCodec, choose_key, key_array_text
from syncline.model.mapping import Document, Projection, Row, fingerprint_of
from syncline.model.types import Form, Kind, Reading

TEXT = Reading(Kind.TEXT, Form.OUTPUT)


def meaningless(entity: Entity) -> tuple[str, str] | None:
    """Find what is declared and has no meaning for rows: a sentence, and what to do instead."""
    if entity.embeds:
        return "rows of a table have no embedded records", "sync the child table as an entity of its own"
    if entity.indexes:
        return "the indexes of a table are made in the target itself", "take `indexes` out, and CREATE INDEX there"
    if entity.fields.types or any(one.type for one in entity.fields.computed.values()):
        return "columns of a table have types of their own", "take `types` (and `type` of computed fields) out"
    if nested := next((name for name in entity.fields.rename.values() if "." in name), None):
        return f"a column cannot stand within another one: {nested!r}", "rename it to a name without a dot"
    return None


class RowCodec(KeyCodec):
    """Key texts to the columns of the target's key, and back."""

    __slots__ = ()

    def document_id(self, key_text: str) -> dict[str, str]:
        """Split a key text into the target's columns."""
        return dict(zip(self.names, self.parse(key_text), strict=True))

    def key_text(self, document_id: Any) -> str | None:
        """Put a key text together; ``None``: these are not the key's columns."""
        if not isinstance(document_id, Mapping) or set(document_id) != set(self.names):
            return None
        texts = [document_id[name] for name in self.names]
        text = texts[0] if len(texts) == 1 else key_array_text(texts)
        return text if all(type_.valid(part) for type_, part in zip(self.types, texts, strict=True)) else None


class RowProjection(Projection):
    """An entity compiled for a target of tables: columns by their names, renamed or left out as declared."""

    __slots__ = ("_first",)

    def __init__(
        self,
        entity: Entity,
        shape: Shape,
        children: Mapping[TableName, Shape] | None = None,  # noqa: ARG002
        *,
        path: str | None = None,
    ) -> None:
        """Compile.

        Raises:
            MappingError: what is declared has no meaning for rows.

        """
        fields = entity.fields
        if declared := meaningless(entity):
            raise MappingError(f"{entity.name}: {declared[0]}", hint=declared[1])
        self.entity, self.shape, self.key = entity, shape, choose_key(entity, shape)
        self.codec = RowCodec(self.key, [field_name(fields, column.name) for column in self.key])
        self.ids = ()
        key = {column.name for column in self.key}
        taken = [c.name for c in shape.columns if c.name in key or is_taken(fields, c.name, fields.rename)]
        columns = [Selected(field_name(fields, name), name, None, TEXT) for name in taken]
        self.selected = (*columns, *(Selected(n, None, one.sql, TEXT) for n, one in fields.computed.items()))
        self.names = tuple(item.field for item in self.selected)
        if len({*self.names}) < len(self.names):
            raise MappingError(f"{entity.name}: a column of the target is filled twice", hint="rename one of the two")
        self.unmapped, self.gone, self.dates, self.embeds = unmapped(fields, shape), gone(fields, shape), "exact", ()
        self._first = [self.names.index(name) for name in self.codec.names]
        self.fingerprint = fingerprint_of(entity, shape, (), [], path)

    def bodies(self, rows: Sequence[Row], child_rows: Sequence[Sequence[Row]] = ()) -> list[Document]:  # noqa: ARG002
        """Name the values of rows."""
        names = self.names
        return [dict(zip(names, row, strict=False)) for row in rows]  # the row ends with the key's text

    def ids_of(self, rows: Sequence[Row], bodies: Sequence[Document]) -> list[Any]:  # noqa: ARG002
        """Give the columns of each row's key."""
        names, places = self.codec.names, self._first
        if len(names) == 1:
            (name,), (place,) = names, places
            return [{name: row[place]} for row in rows]
        return [{name: row[place] for name, place in zip(names, places, strict=True)} for row in rows]

    def documents(
        self,
        rows: Sequence[Row],
        child_rows: Sequence[Sequence[Row]] = (),
        *,
        source: str,  # noqa: ARG002
        synced_at: datetime,  # noqa: ARG002
        ticket: int,  # noqa: ARG002
    ) -> list[Document]:
        """Name the values of rows; there is nothing of ours in them."""
        return self.bodies(rows, child_rows)
