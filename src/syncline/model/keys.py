"""Keys: which columns may be one, and the three forms of a key: its text, its column texts, its ``_id``.

A key's text is what the columns print under ``model.types.PINNED_SETTINGS``: that of the column alone, or for several
the JSON array of them exactly as ``jsonb_build_array(a::text, b::text)::text`` writes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from syncline.errors import KeyFormatError, MappingError
from syncline.model.entity import Column, Entity, Shape
from syncline.model.key_types import KeyType, key_type, number_text, refusal


def choose_key(entity: Entity, shape: Shape) -> tuple[Column, ...]:
    """Choose the entity's key columns: those declared, else the primary key, in order.

    Raises:
        MappingError: there is no such key, or its equality is not equality of text.

    """
    names = entity.key or shape.primary_key
    if not names:
        raise MappingError(
            f"{entity.name}: {shape.table} has no primary key",
            hint="add one (a temporal one, WITHOUT OVERLAPS, does not count), or name the columns of a unique "
            "constraint over NOT NULL columns: key = [...]",
        )
    columns = tuple(_key_column(entity, shape, name) for name in names)
    if len(set(names)) != len(names):
        raise MappingError(f"{entity.name}: a key column is named twice")
    known = [set(unique) for unique in (*shape.unique_keys, shape.primary_key) if unique]
    if set(names) not in known:
        raise MappingError(
            f"{entity.name}: no complete unique constraint over NOT NULL columns covers ({', '.join(names)})",
            hint=_unique_hint(shape),
        )
    return columns


def _key_column(entity: Entity, shape: Shape, name: str) -> Column:
    column = shape.column(name)
    if column is None:
        raise MappingError(f"{entity.name}: {shape.table} has no column {name!r}", hint="check key = [...]")
    why = refusal(column)
    if why is not None:
        raise MappingError(f"{entity.name}: {name} ({column.type}) cannot be a key: {why}", hint=_unique_hint(shape))
    return column


def _unique_hint(shape: Shape) -> str:
    fit = [unique for unique in shape.unique_keys if all(_fits(shape, name) for name in unique)]
    if not fit:
        return "give the table a unique constraint over NOT NULL columns of integer, uuid or text type"
    return "usable: " + "; ".join(f"key = [{', '.join(map(json.dumps, unique))}]" for unique in fit)


def _fits(shape: Shape, name: str) -> bool:
    column = shape.column(name)
    return column is not None and refusal(column) is None


class KeyCodec:
    """Turns key texts into column texts and ``_id`` values, and back.

    Foreign input (marks written by hand, documents by somebody else) never passes: what does not have the one text that
    PostgreSQL prints for a key is refused with ``KeyFormatError``.
    """

    __slots__ = ("_single", "columns", "names", "types")

    def __init__(self, columns: Sequence[Column], fields: Sequence[str] | None = None) -> None:
        self.columns = tuple(columns)
        self.names = tuple(fields) if fields is not None else tuple(column.name for column in columns)
        self.types = tuple(key_type(column) for column in columns)
        self._single: KeyType | None = self.types[0] if len(self.types) == 1 else None

    def parse(self, key_text: str) -> tuple[str, ...]:
        """Split a key text into the text of each column.

        Raises:
            KeyFormatError: this is not the text of a key of these columns.

        """
        if self._single is not None:
            if not self._single.valid(key_text):
                raise self._not_a_key(key_text)
            return (key_text,)
        texts = self._array(key_text)
        if texts is None or key_array_text(texts) != key_text:
            raise self._not_a_key(key_text)
        return texts

    def parameters(self, key_texts: Sequence[str]) -> tuple[list[str], ...]:
        """Turn key texts into one array of texts per column, for SQL.

        Raises:
            KeyFormatError: one of them is not the text of a key.

        """
        if self._single is not None:
            valid = self._single.valid
            if not all(map(valid, key_texts)):
                raise self._not_a_key(next(text for text in key_texts if not valid(text)))
            return (list(key_texts),)
        rows = [self.parse(text) for text in key_texts]
        return tuple(list(texts) for texts in zip(*rows, strict=True)) if rows else tuple([] for _ in self.types)

    def document_id(self, key_text: str) -> Any:
        """Turn a key text into the document's ``_id``.

        Raises:
            KeyFormatError: this is not the text of a key of these columns.

        """
        texts = self.parse(key_text)
        if self._single is not None:
            return self._single.to_id(key_text)
        return {name: type_.to_id(text) for name, type_, text in zip(self.names, self.types, texts, strict=True)}

    def key_text(self, document_id: Any) -> str | None:
        """Turn an ``_id`` back into the key text; ``None`` when no row can have it (a foreign document)."""
        if self._single is not None:
            return _text_of(self._single, document_id)
        if not isinstance(document_id, dict) or tuple(document_id) != self.names:
            return None
        texts = [_text_of(type_, value) for type_, value in zip(self.types, document_id.values(), strict=True)]
        return key_array_text([t for t in texts if t is not None]) if None not in texts else None

    def equal_text(self, document_id: Any) -> str | None:
        """Give the key text whose ``_id`` MongoDB takes for the same: numbers are equal there whatever their type."""
        exact = self.key_text(document_id)
        if exact is not None or (self._single is None and not isinstance(document_id, dict)):
            return exact
        if self._single is not None:
            return _text_of(self._single, document_id, number_text)
        values = document_id.values() if tuple(document_id) == self.names else ()
        texts = [_text_of(type_, value, number_text) for type_, value in zip(self.types, values, strict=False)]
        found = [text for text in texts if text is not None]
        return key_array_text(found) if len(found) == len(self.types) else None

    def parse_operator(self, text: str) -> str:
        """Read a key as an operator types it (``5``, ``1,x``, ``["1", "x"]``) and return the key text.

        Raises:
            KeyFormatError: it cannot be understood as a key of these columns.

        """
        if self._single is not None:
            return self._lenient(self._single, text)
        parts = _json_parts(text) if text.lstrip().startswith("[") else text.split(",")
        if parts is None or len(parts) != len(self.types):
            raise self._not_a_key(text)
        texts = [self._lenient(type_, part) for type_, part in zip(self.types, parts, strict=True)]
        return key_array_text(texts)

    def _lenient(self, type_: KeyType, text: str) -> str:
        for candidate in (text, type_.tidy(text)):
            if candidate is not None and type_.valid(candidate):
                return candidate
        raise self._not_a_key(text)

    def _array(self, text: str) -> tuple[str, ...] | None:
        parts = _json_parts(text)
        if parts is None or len(parts) != len(self.types):
            return None
        ok = all(type_.valid(part) for type_, part in zip(self.types, parts, strict=True))
        return tuple(parts) if ok else None

    def _not_a_key(self, text: str) -> KeyFormatError:
        form = ", ".join(f"{name} {column.type}" for name, column in zip(self.names, self.columns, strict=True))
        return KeyFormatError(f"{text[:100]!r} is not a key ({form})", hint=f"for example {self.example()}")

    def example(self) -> str:
        """Show how a key text looks."""
        texts = [type_.example for type_ in self.types]
        return texts[0] if len(texts) == 1 else key_array_text(texts)


def key_array_text(texts: Sequence[str]) -> str:
    """Write a JSON array of texts exactly as PostgreSQL prints it (``["1", "x"]``); jsonb escapes only what it must."""
    return json.dumps(list(texts), ensure_ascii=False)


def _json_parts(text: str) -> list[str] | None:
    try:
        parts = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(parts, list) or any(isinstance(part, (dict, list, float, type(None))) for part in parts):
        return None
    show: Callable[[Any], str] = lambda part: part if isinstance(part, str) else json.dumps(part)  # noqa: E731
    return [show(part) for part in parts]


def _text_of(
    type_: KeyType, value: Any, otherwise: Callable[[KeyType, Any], str | None] = lambda _type, _value: None
) -> str | None:
    text = type_.from_id(value)
    if text is None or not type_.valid(text):
        text = otherwise(type_, value)
    return text if text is not None and type_.valid(text) else None
