"""A document as both databases keep it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from syncline.errors import RepositoryError
from syncline.phases.repositories.places import Places


def as_stored(document: Mapping[str, Any], places: Places, options: CodecOptions[Any]) -> bytes:
    """Encode a document that has an ``_id``: what BSON rounds is rounded on both sides alike.

    Raises:
        RepositoryError: it is no document, its ``_id`` is not of the declared type, or BSON has no such value.

    """
    if "_sync" in document:
        raise RepositoryError("the field _sync is Syncline's", hint="give your own field another name")
    key = places.key.value(document["_id"])
    if key is None:
        kind = places.key.type.name
        raise RepositoryError(f"_id: {document['_id']!r} is no {kind}", hint=f"`id` in [collections.{places.name}]")
    with _possible():
        return bson.encode({**document, "_id": key}, codec_options=options)


def changes_as_stored(changes: Mapping[str, Any], options: CodecOptions[Any]) -> dict[str, Any]:
    """Give changes as they are stored.

    Raises:
        RepositoryError: BSON has no such value.

    """
    with _possible():
        return dict(bson.decode(bson.encode(changes, codec_options=options), options))


@contextmanager
def _possible() -> Iterator[None]:
    try:
        yield
    except (BSONError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise RepositoryError(f"this cannot be a document: {error}") from error
