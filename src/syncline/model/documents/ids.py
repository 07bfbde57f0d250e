"""The ``_id`` of a document as applications name it: itself, or its text."""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, Final

from bson.binary import Binary

from syncline.errors import KeyFormatError, MappingError
from syncline.model.documents.mapping import DocumentMapping
from syncline.model.documents.types import ID_TYPES

NO_ID: Final = object()
"""Of a key that no ``_id`` becomes. ``None`` is an ``_id``: null."""
_LONGEST_ID = 1000
"""So many bytes of an `_id` an index surely takes, beside the collection's name."""


def identified(mapping: DocumentMapping, given: Any) -> Any:
    """Give the ``_id`` that is meant: texts stand for ids where a collection's are ObjectIds or UUIDs.

    Raises:
        KeyFormatError: it is not a key of this collection.

    """
    kind = mapping.collection.id
    id_ = Binary(given.bytes, 4) if isinstance(given, uuid.UUID) else given
    try:
        if isinstance(id_, str) and kind == "objectid":
            id_ = ID_TYPES[kind].stand_for(id_)
        elif isinstance(id_, str) and kind == "uuid":
            id_ = Binary(uuid.UUID(id_).bytes, 4)
        mapping.key_of(id_)
    except (MappingError, ValueError):
        raise KeyFormatError(
            f"{mapping.collection.name}: {given!r} is no _id of this collection, whose ids are {kind}",
            hint="give an ObjectId or its 24 hexadecimal digits" if kind == "objectid" else None,
        ) from None
    return id_


def shown_id(mapping: DocumentMapping, text: str) -> str:
    """Give the text of an ``_id`` as the table's key has it, for one that says any type."""
    try:
        return str(mapping.key_of(ID_TYPES["any"].stand_for(text)))
    except (MappingError, ValueError):
        return text


def shown_key(id_: Any) -> str:
    """Say an ``_id`` of any type, so that an ObjectId and its characters are two; the beginning of one that is long."""
    text = str(ID_TYPES["any"].show(id_))
    if len(raw := text.encode()) <= _LONGEST_ID:
        return text
    return f"{text[:100]}… sha256 {hashlib.sha256(raw).hexdigest()}"
