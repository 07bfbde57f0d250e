"""Keys of documents as texts, as ``key_version`` and the tables have them, and the ``_id``s that they are of. Pure."""

from __future__ import annotations

from typing import Any

from syncline.engines.postgres.documents.texts import from_text, to_text
from syncline.errors import MappingError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import NO_ID


def key_text(mapping: DocumentMapping, id_: Any) -> str | None:
    """Give the key of an ``_id``; ``None``: it can have no row."""
    try:
        return to_text(mapping.key_of(id_))
    except MappingError:
        return None


def id_of(mapping: DocumentMapping, text: str) -> Any:
    """Give the ``_id`` of a key; ``NO_ID``: under this declaration it is of none."""
    kind = mapping.tables[0].columns[0].type
    try:
        found = kind.stand_for(from_text(kind, text))
    except Exception:  # noqa: BLE001  anybody may have written it
        return NO_ID
    return found if key_text(mapping, found) == text else NO_ID
