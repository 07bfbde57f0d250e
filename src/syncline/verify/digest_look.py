"""The first look where both sides sum up their records by themselves: only what differs is looked at key by key."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from syncline.errors import SourceError
from syncline.narrowing import is_of_records
from syncline.ports import Pages, Plan, SourceDigests, Stretch, Sum, TargetDigests
from syncline.verify.comparison import Comparison
from syncline.verify.first_look import Prefetch
from syncline.verify.pages import ahead
from syncline.verify.walk import Walked

RECORDS = 50_000
"""Of a stretch that is summed up, or of a page of keys, at most."""
FEW = 1000
"""At first: nobody knows how wide the rows are."""
SMALLEST = 20
QUICK_SECONDS, SLOW_SECONDS = 0.2, 1.0
"""A server that answers sooner is asked for twice as many, one that answers later for a quarter."""
SAMPLE = 3
ALL = 2**62


@dataclass(slots=True)
class Hashed:
    """Records of the source."""

    hashes: dict[str, int | None]
    """Key to hash; ``None``: some of these cannot be read, so all are suspects."""
    several: Collection[str] = ()
    """Keys that more than one row has."""


@dataclass(frozen=True, slots=True)
class SummedUp:
    """A stretch of the source; the stretches follow each other without a gap."""

    stretch: Stretch
    sum: Sum | None
    """``None``: a record in it cannot be read."""


class DigestLook:
    """See ``Walk``: compares records by their hashes.

    Args:
        pages: names keys where records cannot be read.
        source: sums of the source.
        target: sums of the target.
        plan: the entity.
        keys_only: contents do not matter.
        size: records of a stretch, or of a page, at most.

    """

    def __init__(
        self,
        pages: Pages,
        source: SourceDigests,
        target: TargetDigests,
        plan: Plan,
        *,
        keys_only: bool,
        size: int = RECORDS,
    ) -> None:
        self._pages, self._source, self._target, self._plan = pages, source, target, plan
        self._keys_only = keys_only
        self._most, self._size = size, min(size, FEW)

    async def begin(self) -> None:
        """Nothing has to be known first."""

    async def side_by_side(self) -> bool:
        """Ask the target for the order of its keys."""
        return await self._target.orders_like(self._plan)

    async def walk(self, left: Stretch, *, both: bool) -> AsyncGenerator[Walked, None]:
        """Compare what is left of the source."""
        steps = self._side_by_side(left) if both else self._by_keys(left)
        async with aclosing(steps):
            async for step in steps:
                yield step

    async def some(self, keys: Sequence[str]) -> Walked:
        """Suspect the records of keys: a second look costs no more than a first one."""
        return Walked(Comparison(set(keys)), Stretch(), over=False, records=len(keys), documents=len(keys), sample=())

    async def _side_by_side(self, left: Stretch) -> AsyncGenerator[Walked, None]:
        sample: list[str] | None = None
        async with aclosing(ahead(self.stretches(left))) as found:
            async for ours, asked in found:
                theirs = await anext(asked)
                result = await self.compare(ours, theirs)
                if sample is None:
                    sample = await self._pages.keys(self._plan, ours.stretch, SAMPLE, filtered=False)
                records = theirs.records if ours.sum is None else ours.sum.records
                over = ours.stretch.end == left.end
                yield Walked(result, ours.stretch.rest(left.end), over, records, theirs.records, sample)

    async def _by_keys(self, left: Stretch) -> AsyncGenerator[Walked, None]:
        async with aclosing(ahead(self.pages(left))) as found:
            async for ours, asked in found:
                result = self.compare_page(ours, await anext(asked))
                keys = list(ours.hashes)
                rest = Stretch(keys[-1], left.end, passed=True)
                yield Walked(result, rest, over=False, records=len(keys), documents=0, sample=keys[:SAMPLE])

    async def stretches(self, stretch: Stretch) -> AsyncGenerator[tuple[SummedUp, Prefetch[Sum]], None]:
        """Sum up the source, and ask the target for the same while the source goes on."""
        while True:
            end = await self._source.boundary(self._plan, stretch, self._size)
            part = Stretch(stretch.first, stretch.end if end is None else end, passed=stretch.passed)
            asked = Prefetch(self._sum(part))
            try:
                async with self._timed(grow=True):
                    ours = await self._source.sum(self._plan, part, keys_only=self._keys_only)
            except SourceError as error:
                if not is_of_records(error):
                    raise
                yield SummedUp(part, None), asked
            else:
                yield SummedUp(part, ours), asked
            if end is None:
                return
            stretch = Stretch(end, stretch.end)

    async def compare(self, found: SummedUp, theirs: Sum) -> Comparison:
        """Compare two sums; where they differ, key by key."""
        if found.sum == theirs:
            return Comparison()
        ours = await self._hashed(found.stretch)
        there = await self._target.hashes(self._plan, found.stretch, keys_only=self._keys_only)
        return self._compare(ours, there, extra=True)

    async def pages(self, stretch: Stretch) -> AsyncGenerator[tuple[Hashed, Prefetch[list[tuple[Any, int]]]], None]:
        """Hash the source's records page by page, and ask the target for the same keys."""
        while True:
            limit = self._size
            ours = await self._hashed(stretch, limit)
            keys = list(ours.hashes)
            full = len(keys) + len(ours.several) >= limit
            if full and len(keys) > 1 and self._plan.projection.shape.has_children:
                del ours.hashes[keys.pop()]  # more rows of it may follow
            if keys:
                yield ours, Prefetch(self._of(keys))
            if not full:
                return
            stretch = Stretch(keys[-1], stretch.end, passed=True)

    def compare_page(self, ours: Hashed, there: list[tuple[Any, int]]) -> Comparison:
        """Compare a page with the target's records of its keys."""
        return self._compare(ours, there, extra=False)

    async def _sum(self, stretch: Stretch) -> AsyncIterator[Sum]:
        async with self._timed():
            found = await self._target.sum(self._plan, stretch, keys_only=self._keys_only)
        yield found

    async def _of(self, keys: list[str]) -> AsyncIterator[list[tuple[Any, int]]]:
        async with self._timed():
            found = await self._target.hashes_of(self._plan, keys, keys_only=self._keys_only)
        yield found

    @asynccontextmanager
    async def _timed(self, *, grow: bool = False) -> AsyncIterator[None]:
        """Ask for fewer records the next time where an answer takes long, for more where it does not."""
        began = time.monotonic()
        yield
        took = time.monotonic() - began
        if took > SLOW_SECONDS:
            self._size = max(min(SMALLEST, self._most), self._size // 4)
        elif grow and took < QUICK_SECONDS:
            self._size = min(self._most, self._size * 2)

    async def _hashed(self, stretch: Stretch, limit: int | None = None) -> Hashed:
        try:
            async with self._timed(grow=limit is not None):
                rows = await self._source.hashes(self._plan, stretch, keys_only=self._keys_only, limit=limit)
        except SourceError as error:
            if not is_of_records(error):
                raise
            return Hashed(dict.fromkeys(await self._pages.keys(self._plan, stretch, limit or ALL, filtered=False)))
        hashes: dict[str, int | None] = dict(rows)
        if len(hashes) == len(rows):
            return Hashed(hashes)
        seen: set[str] = set()
        return Hashed(hashes, [key for key, _ in rows if key in seen or seen.add(key)])  # type: ignore[func-returns-value]

    def _compare(self, ours: Hashed, there: list[tuple[Any, int]], *, extra: bool) -> Comparison:
        result = Comparison(set(ours.several))
        waiting = dict(ours.hashes)
        key_text = self._plan.projection.codec.key_text
        for id_, hash_ in there:
            key = key_text(id_)
            if key is None:
                result.foreign.append(id_)
            elif key not in waiting:
                result.extra += [key] if extra else []
            elif waiting[key] == hash_:
                del waiting[key]
        result.suspects.update(waiting)
        return result
