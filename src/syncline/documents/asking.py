"""Which documents somebody asks about: keys as people write them, and ranges of keys."""

from __future__ import annotations

from typing import Any

from syncline.documents.passing import Part
from syncline.engines.postgres.documents.keys import id_of, key_text
from syncline.errors import KeyFormatError, SynclineError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import NO_ID
from syncline.model.documents.types import ID_TYPES
from syncline.model.strict_bson import encoded

SORTED_ALIKE = frozenset({"objectid", "integer", "bigint", "long", "uuid"})
"""Types of keys that both databases sort alike."""


def part_of(mapping: DocumentMapping, first: str | None, end: str | None, *, keys_only: bool = False) -> Part:
    """Read which part of a collection is asked about.

    Raises:
        KeyFormatError: a bound is no key of the collection.
        SynclineError: both databases do not sort its keys alike, so that a range is not the same on both sides.

    """
    name, kind = mapping.collection.name, mapping.collection.id
    if kind not in SORTED_ALIKE and (first is not None or end is not None):
        raise SynclineError(
            f"{name} has ids of type {kind}, which both databases do not sort alike: there are no ranges of them",
            hint="verify all of it, or --key",
        )
    first, end = (None if key is None else key_text(mapping, asked_for(mapping, key)) for key in (first, end))
    return Part(first, end, keys_only)


def span_of(mapping: DocumentMapping, part: Part) -> tuple[bytes | None, bytes | None]:
    """Give the bounds of a part as documents."""
    first, end = (None if key is None else encoded({"_id": id_of(mapping, key)}) for key in (part.first, part.end))
    return first, end


def asked_for(mapping: DocumentMapping, key: str) -> Any:
    """Read an ``_id`` that somebody has named: by its key, or as JSON says it.

    Raises:
        KeyFormatError: the text is neither.

    """
    found = id_of(mapping, key)
    if found is NO_ID:
        try:
            found = ID_TYPES["any"].stand_for(key)
        except (ValueError, RecursionError) as error:
            name = mapping.collection.name
            raise KeyFormatError(
                f"{key!r} is no key of {name}", hint="the characters of an ObjectId, or the _id as extended JSON"
            ) from error
    return found
