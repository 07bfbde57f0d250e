"""Documents of collections, put into another database of the same server: a copy to play with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase

from syncline.capture.documents.field import LIVE
from syncline.capture.documents.indexes import MARKS, UNMARKED
from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.marked import apart, cut, translated
from syncline.engines.mongo.stored import RAW

TOGETHER = 500
"""Documents of a write."""
_OURS = frozenset({"_id_", MARKS["name"], UNMARKED["name"]})


async def copied(link: DocumentLink, into: AsyncDatabase[Any], most: int) -> Mapping[str, int]:
    """Copy so many documents of each collection, as they were before they were marked, and the indexes.

    Returns:
        How many there are now.

    """
    counts = {}
    for name in link.collections:
        counts[name] = await _copied(link.database[name], into[name], most)
    return counts


async def _copied(source: AsyncCollection[Any], into: AsyncCollection[Any], most: int) -> int:
    count = 0
    with translated():
        async for some in _read(source, most):
            await into.with_options(RAW).insert_many(some, ordered=False)
            count += len(some)
        indexes = [one for one in await (await source.list_indexes()).to_list() if one["name"] not in _OURS]
        if indexes and count:
            made = [{name: value for name, value in one.items() if name not in {"v", "ns"}} for one in indexes]
            await into.database.command("createIndexes", into.name, indexes=made)
    return count


async def _read(source: AsyncCollection[Any], most: int) -> AsyncIterator[Sequence[RawBSONDocument]]:
    some: list[RawBSONDocument] = []
    async for batch in source.find_raw_batches(dict(LIVE), limit=most, batch_size=TOGETHER):
        for raw in cut(batch):
            some.append(RawBSONDocument(apart(raw)[0]))
            if len(some) >= TOGETHER:
                yield some
                some = []
    if some:
        yield some
