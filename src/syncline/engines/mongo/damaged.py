"""Reads for applications, of which one document may be damaged: the others are had all the same, and it is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import bson
from bson.codec_options import CodecOptions
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import PyMongoError

from syncline.engines.mongo.stored import RAW
from syncline.errors import DamagedDocumentError, TargetError
from syncline.model.strict_bson import decoded
from syncline.ports import Document

Read = Callable[[AsyncCollection[Any]], Awaitable[Sequence[Any]]]
_NAMED = 5
"""Damaged documents that are named in the message."""


async def documents(collection: AsyncCollection[Document], read: Read) -> list[Document]:
    """Read documents; where the driver cannot decode them all, read them once more and decode each by itself.

    Raises:
        DamagedDocumentError: some cannot be decoded; it has the others.
        TargetError: the question cannot be sent.

    """
    try:
        return list(await read(collection))
    except (PyMongoError, OSError):
        raise
    except Exception:  # noqa: BLE001  the driver has many kinds, for what it cannot encode and what it cannot decode
        found = await _raw(collection, read)
    return _each(found, collection.name, collection.codec_options)


async def _raw(collection: AsyncCollection[Document], read: Read) -> list[bytes]:
    try:
        return [bytes(document.raw) for document in await read(collection.with_options(RAW))]
    except (PyMongoError, OSError):
        raise
    except Exception as error:
        raise TargetError(f"this cannot be asked of MongoDB: {type(error).__name__}: {error}") from error


def _each(found: Sequence[bytes], collection: str, codec: CodecOptions[Document]) -> list[Document]:
    good: list[Document] = []
    damaged: list[tuple[Any, str]] = []
    for place, document in enumerate(found):
        try:
            good.append(bson.decode(document, codec))
        except Exception as error:  # noqa: BLE001  as above
            damaged.append((decoded(document).get("_id", f"no _id, the {place + 1}. of the result"), str(error)))
    if damaged:
        raise _error(collection, damaged, good)
    return good


def _error(collection: str, damaged: Sequence[tuple[Any, str]], good: Sequence[Document]) -> DamagedDocumentError:
    named = [f"_id {id_!r}: {why}" for id_, why in damaged[:_NAMED]]
    more = [f"and {len(damaged) - _NAMED} more"] if len(damaged) > _NAMED else []
    return DamagedDocumentError(
        f"{len(damaged)} of {len(damaged) + len(good)} documents of {collection} cannot be decoded: "
        f"{'; '.join([*named, *more])}",
        hint="`syncline repair` writes them anew from the source; the others are in this error's `documents`",
        damaged=damaged,
        documents=good,
    )
