"""The first look: what a page of the source and the target's documents in its place say of each key."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, TypeVar

from syncline.model.canonical import differences
from syncline.model.mark import BATCH_BITS, LANES, epoch_of
from syncline.model.strict_bson import EXACT
from syncline.ports import Documents, Plan, Stretch
from syncline.verify.comparison import Comparison, EncodedPage, PageComparison, encode_page
from syncline.verify.pages import IdPage, Page
from syncline.verify.sides import Sides

T = TypeVar("T")
SLACK = 1000
"""Documents more than records that one request may bring."""


class Prefetch(AsyncIterator[T]):
    """An iterator whose first item is being fetched already. Close it when leaving early."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._first: asyncio.Task[T | None] | None = asyncio.create_task(_first(items))
        self._first.add_done_callback(_seen)

    async def __anext__(self) -> T:
        if self._first is not None:
            first, self._first = self._first, None
            found = await first
            if found is None:
                raise StopAsyncIteration
            return found
        return await anext(self._items)

    def cancel(self) -> None:
        """Drop the item that is being fetched."""
        if self._first is not None:
            self._first.cancel()


async def _first(items: AsyncIterator[T]) -> T | None:
    return await anext(items, None)


def _seen(fetched: asyncio.Task[Any]) -> None:
    """Nobody may want what was fetched ahead when the pass has ended: its error is nobody's then."""
    if not fetched.cancelled():
        fetched.exception()


class FirstLook:
    """Compares pages of one entity, and asks of which lanes the tickets are."""

    def __init__(self, sides: Sides, documents: Documents, plan: Plan, *, keys_only: bool) -> None:
        self._sides, self._plan = sides, plan
        self._documents = documents
        self._keys_only = keys_only
        self._epochs: dict[int, int] = {}

    async def begin(self) -> None:
        """Read the lanes' epochs: tickets up to them may have been issued."""
        self._epochs = await self._sides.inspection.lane_epochs()

    def encode(self, page: Page) -> EncodedPage:
        """Encode the records of a page as the target has them."""
        return encode_page(page.documents, page.keys, self._documents.encode, keys_only=self._keys_only)

    async def compare(
        self, page: Page, encoded: EncodedPage, found: AsyncIterator[Sequence[bytes]]
    ) -> tuple[Comparison, int]:
        """Compare a page with documents as they come; return also their number."""
        comparing = PageComparison(
            encoded,
            decode=self._documents.decode,
            key_text=self._plan.projection.codec.key_text,
            same=lambda record, document: not differences(record, document),
            bound=(min(self._epochs.get(lane, 0) for lane in range(LANES)) + 1) << BATCH_BITS,
            keys_only=self._keys_only,
        )
        documents = 0
        async for batch in found:
            comparing.take(batch)
            documents += len(batch)
        result = comparing.finish()
        result.suspects |= page.twice
        result.suspects.update(page.unreadable)
        if result.tickets:
            result.suspects |= await self._unissued(result.tickets)
        return result, documents

    async def compare_ids(self, page: IdPage, found: AsyncIterator[Sequence[Any]]) -> tuple[Comparison, int]:
        """Compare the ids of both sides in one stretch; return also how many the target has."""
        result, documents = Comparison(), 0
        key_text = self._plan.projection.codec.key_text
        waiting: dict[str | None, None] | None = None
        async for batch in found:
            documents += len(batch)
            if waiting is None and batch == page.ids and _plain(batch):
                waiting = {}
                continue
            if waiting is None:
                waiting = dict.fromkeys(map(key_text, page.ids))
            for id_ in batch:
                key = key_text(id_)
                if key is None:
                    result.foreign.append(id_)
                elif key in waiting:
                    del waiting[key]
                else:
                    result.extra.append(key)
        left = map(key_text, page.ids) if waiting is None else waiting
        result.suspects.update(key for key in left if key is not None)
        result.suspects.update(page.unreadable)
        return result, documents

    def documents(self, stretch: Stretch, records: int) -> Prefetch[list[bytes]]:
        """Begin to read the documents of a stretch."""
        first, end = self._ids_of(stretch)
        return Prefetch(self._documents.read_between(self._plan.entity, first, end, size=records + SLACK))

    def ids(self, stretch: Stretch, records: int) -> Prefetch[list[Any]]:
        """Begin to read the ids of a stretch."""
        first, end = self._ids_of(stretch)
        return Prefetch(self._documents.ids_between(self._plan.entity, first, end, size=records + SLACK))

    def looked_up(self, page: Page) -> Prefetch[list[bytes]]:
        """Begin to read the documents of a page's keys."""
        ids = [document["_id"] for document in page.documents]
        return Prefetch(self._looked_up(ids))

    async def _looked_up(self, ids: Sequence[Any]) -> AsyncIterator[list[bytes]]:
        yield await self._documents.read_encoded(self._plan.entity, ids, keys_only=self._keys_only)

    def _ids_of(self, stretch: Stretch) -> tuple[tuple[Any] | None, tuple[Any] | None]:
        codec = self._plan.projection.codec
        first = None if stretch.first is None else (codec.document_id(stretch.first),)
        return first, None if stretch.end is None else (codec.document_id(stretch.end),)

    async def _unissued(self, tickets: Sequence[tuple[str, int]]) -> set[str]:
        """Compare tickets with their own lane's epoch; a lane may have been taken over since its record was read."""
        lanes = await self._sides.source.looks.lanes(self._plan, [key for key, _ in tickets])
        for refreshed in (False, True):
            if refreshed:
                await self.begin()
            above = {
                key
                for (key, ticket), lane in zip(tickets, lanes, strict=True)
                if epoch_of(ticket) > self._epochs.get(lane, 0)
            }
            if not above:
                break
        return above


def _plain(ids: Sequence[Any]) -> bool:
    """Tell whether equality of these ids is equality of keys: to Python, 1 equals 1.0 and True."""
    return EXACT.issuperset(map(type, ids))
