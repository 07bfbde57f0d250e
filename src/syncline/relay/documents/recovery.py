"""What carriers cannot see: a side that was restored, rows whose documents were deleted past the wrapper."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.ports.documents import DocumentRows, MarkedDocuments


async def restored(source: MarkedDocuments, rows: DocumentRows, collections: Sequence[str]) -> int:
    """Start anew after a restore of either side: a number that the link never had, new marks everywhere, and the sweep.

    Returns:
        How many documents were marked.

    """
    await rows.renumber()
    marked = 0
    for collection in collections:
        marked += await source.mark_all(collection)
        await sweep(source, rows, collection)
    return marked


async def begun(source: MarkedDocuments, rows: DocumentRows, collections: Sequence[str]) -> int:
    """Have documents carried to rows that are new, which another PostgreSQL had before: these have no mark any more.

    Returns:
        How many documents were marked.

    """
    marked = 0
    for collection in collections:
        marked += await source.mark_carried(collection)
        await rows.remarked(collection)
    return marked


async def remapped(source: MarkedDocuments, rows: DocumentRows, collections: Sequence[str]) -> int:
    """Go over to a changed declaration, whose tables are made: who has the old one is refused, each document is marked.

    Rows that are not written anew yet are not read back. Stopped anywhere, it is called again.

    Returns:
        How many documents were marked.

    """
    marked = 0
    for collection in collections:
        await rows.remap(collection)
        await rows.drop_strangers(collection)
        marked += await source.mark_all(collection)
        await rows.remarked(collection)
    return marked


async def sweep(source: MarkedDocuments, rows: DocumentRows, collection: str, *, size: int = 1000) -> int:
    """Leave a tombstone in MongoDB for each key that has rows and no document: versions are drawn there only.

    Rows that a carrier is just about to write are found by the next sweep.
    """
    left = 0
    async for ids in rows.keys(collection, size):
        left += await source.leave_tombstones(collection, ids)
    return left


async def forget(source: MarkedDocuments, rows: DocumentRows, collection: str, *, size: int = 1000) -> int:
    """Forget the versions of deleted keys, where MongoDB has neither a document nor a tombstone, under a new number.

    Tombstones that were carried and have stayed are removed before, when nobody needs them any more.

    The versions are read first: a key that comes again meanwhile has a higher one, and is kept.

    Returns:
        How many were forgotten.

    """
    forgotten = 0
    async for found in rows.deleted_keys(collection, size):
        ids = [id_ for _, id_, _ in found]
        await source.remove_tombstones(collection, ids)
        absent = await source.absent(collection, ids)
        keys = {text: version for text, id_, version in found if any(id_ is one for one in absent)}
        forgotten += await rows.forget(collection, keys) if keys else 0
    return forgotten
