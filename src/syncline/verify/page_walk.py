"""First looks where whole records travel: pages of the source beside the target's documents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from typing import Any

from syncline.narrowing import narrowed
from syncline.ports import Plan, SourceSide, States, Stretch
from syncline.verify.first_look import FirstLook, Prefetch
from syncline.verify.order import ordered
from syncline.verify.pages import BYTES, KEYS, ROWS, IdPage, Page, SourcePages, ahead, mapped
from syncline.verify.walk import Walked

SMALLEST = 20


class PageWalk:
    """See ``Walk``.

    Args:
        source: the side that holds the truth.
        look: compares pages.
        plan: the entity.
        keys_only: contents do not matter.
        paced: cuts the size of a page.

    """

    def __init__(
        self, source: SourceSide, look: FirstLook, plan: Plan, *, keys_only: bool, paced: Callable[[int], int]
    ) -> None:
        self._source, self._look, self._plan = source, look, plan
        self._keys_only = keys_only
        self._paced = paced
        self._pages = SourcePages(source.pages, plan, source.name)
        self._pages.size = paced(KEYS if keys_only else ROWS)

    async def begin(self) -> None:
        """Read the lanes' epochs."""
        await self._look.begin()

    async def side_by_side(self) -> bool:
        """Ask for types that PostgreSQL and MongoDB sort alike; of several columns keys alone are looked up."""
        return ordered(self._plan) and not (self._keys_only and len(self._plan.projection.key) > 1)

    async def walk(self, left: Stretch, *, both: bool) -> AsyncGenerator[Walked, None]:
        """Compare what is left of the source."""
        if both and self._keys_only:
            steps = self._ids(left)
        elif both:
            steps = self._records(self._pages.stretches(left), left.end, both=True)
        else:
            pages = self._pages.keys(left) if self._keys_only else self._pages.contents(left)
            steps = self._records(pages, left.end, both=False)
        async with aclosing(steps):
            async for step in steps:
                yield step

    async def some(self, keys: Sequence[str]) -> Walked:
        """Compare the records of keys; those without one are suspects."""
        read = await narrowed(self._plan, self._read, keys)
        states, records, _ = mapped(read.states, self._source.name)
        found = [row[-1] for row in states.rows]
        page = Page(records, found, set())
        result, number = await self._look.compare(page, self._look.encode(page), self._look.looked_up(page))
        result.suspects.update(set(keys).difference(found))
        return Walked(result, Stretch(), over=False, records=len(found), documents=number, sample=found)

    async def _read(self, keys: list[str]) -> States:
        return await self._source.looks.read(self._plan, keys)

    async def _records(
        self, pages: AsyncIterator[Page], end: str | None, *, both: bool
    ) -> AsyncGenerator[Walked, None]:
        async with aclosing(ahead(self._fetching(pages, both=both))) as fetched:
            async for page, documents in fetched:
                encoded = self._look.encode(page)
                result, number = await self._look.compare(page, encoded, documents)
                if not self._keys_only:
                    fitting = BYTES * len(page.keys) // (encoded.bytes + 1)
                    self._pages.size = self._paced(max(SMALLEST, min(ROWS, fitting)))
                left = page.stretch.rest(end) if both else Stretch(page.last, end, passed=True)
                over = both and page.stretch.end == end
                yield Walked(result, left, over, len(page.keys), number if both else 0, page.keys)

    async def _fetching(
        self, pages: AsyncIterator[Page], *, both: bool
    ) -> AsyncIterator[tuple[Page, Prefetch[list[bytes]]]]:
        """Ask the target for a page's documents while the source reads the next page."""
        async for page in pages:
            look = self._look
            yield page, look.documents(page.stretch, len(page.keys)) if both else look.looked_up(page)

    async def _ids(self, left: Stretch) -> AsyncGenerator[Walked, None]:
        """Compare ids of one key column, side by side."""

        async def fetching() -> AsyncIterator[tuple[IdPage, Prefetch[list[Any]]]]:
            async for page in self._pages.id_stretches(left):
                yield page, self._look.ids(page.stretch, len(page.ids))

        key_text = self._plan.projection.codec.key_text
        async with aclosing(ahead(fetching())) as fetched:
            async for page, found in fetched:
                result, number = await self._look.compare_ids(page, found)
                sample = [str(key_text(id_)) for id_ in page.ids[:3]]
                over = page.stretch.end == left.end
                yield Walked(result, page.stretch.rest(left.end), over, len(page.ids), number, sample)
