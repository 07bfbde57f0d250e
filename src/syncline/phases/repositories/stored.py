"""A document as both databases keep it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

from syncline.errors import RepositoryError
from syncline.phases.repositories.places import Places


def as_stored(document: Mapping[str, Any], places: Places, options: CodecOptions[Any]) -> bytes:
    """Encode a document that has an ``_id``: what BSON rounds is rounded on both sides alike.

    Raises:
        RepositoryError: it is no document, or its ``_id`` is none of the declared type.

    """
    if "_sync" in document:
        raise RepositoryError("the field _sync is Syncline's", hint="give your own field another name")
    if places.key.value(document["_id"]) is None:
        kind = places.key.type.name
        raise RepositoryError(f"_id: {document['_id']!r} is no {kind}", hint=f"`id` in [collections.{places.name}]")
    try:
        return bson.encode(document, codec_options=options)
    except (BSONError, OverflowError, RecursionError) as error:
        raise RepositoryError(f"this cannot be a document: {error}") from error
