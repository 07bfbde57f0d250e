"""First looks taken by several processes at once, each at a part of the keys; what they say comes in order."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta

from syncline.ending import end
from syncline.ports import Executor, Plan, Same, SourceDigests, SourceSide, Stretch
from syncline.verify.comparison import Comparison
from syncline.verify.part import Part, PartLooked
from syncline.verify.sides import same_of
from syncline.verify.walk import Walk, Walked

FIRST, LEAST, MOST = 5000, 500, 500_000
"""Records of a part."""
SECONDS = 2.0
"""A part takes about so long: what is lost with a process is little, and a pass is kept often."""
BEAT_SECONDS = 2.0
"""So often a step says that nothing has come yet: the claim of the pass is kept, and suspects are looked at."""
END_SECONDS = 5.0


class SpreadWalk:
    """See ``Walk``: cuts what is left into parts, and has each looked at elsewhere.

    Args:
        here: the walk that takes looks at single keys.
        source: the side that holds the truth.
        digests: finds where a part ends.
        executor: does the parts.
        plan: the entity.
        keys_only: contents do not matter.
        rate: records a second at most, of all together.
        patience: how long a replica may be waited for.

    """

    def __init__(
        self,
        here: Walk,
        source: SourceSide,
        digests: SourceDigests,
        executor: Executor,
        plan: Plan,
        *,
        keys_only: bool,
        rate: float | None,
        patience: timedelta,
    ) -> None:
        self._here, self._source, self._digests = here, source, digests
        self._executor, self._plan = executor, plan
        self._keys_only, self._patience = keys_only, patience
        self._rate = None if rate is None else rate / executor.width
        self._most = MOST if self._rate is None else max(LEAST, min(MOST, int(self._rate * SECONDS)))
        self._size = min(FIRST, self._most)
        self._same: Same

    async def begin(self) -> None:
        """Read what must be the same everywhere."""
        await self._here.begin()
        self._same = await same_of(self._source.passes, self._plan)

    async def side_by_side(self) -> bool:
        """Ask the walk of which this is made."""
        return await self._here.side_by_side()

    async def some(self, keys: Sequence[str]) -> Walked:
        """Compare the records of keys, here."""
        return await self._here.some(keys)

    async def walk(self, left: Stretch, *, both: bool) -> AsyncGenerator[Walked, None]:
        """Compare what is left of the source."""
        begun: deque[tuple[Stretch, bool, asyncio.Task[PartLooked]]] = deque()
        async with aclosing(self._parts(left)) as parts:
            try:
                more = True
                while True:
                    while more and len(begun) < 2 * self._executor.width:
                        if (found := await anext(parts, None)) is None:
                            more = False
                        else:
                            begun.append((*found, self._begin(found[0], both=both)))
                    if not begun:
                        return
                    part, last, looking = begun[0]
                    while not (await asyncio.wait({looking}, timeout=BEAT_SECONDS))[0]:
                        yield Walked(
                            Comparison(), replace(part, end=left.end), over=False, records=0, documents=0, sample=()
                        )
                    looked = looking.result()
                    begun.popleft()
                    walked = looked.walked
                    self._fit(looked)
                    if not walked.over:
                        rest = replace(walked.left, end=part.end)
                        begun.appendleft((rest, last, self._begin(rest, both=both)))
                    yield _placed(walked, part, left.end, last=last, both=both)
            finally:
                await end(*(looking for *_, looking in begun), seconds=END_SECONDS)
                for *_, looking in begun:  # the first error is the command's, the others are taken in
                    if looking.done() and not looking.cancelled():
                        looking.exception()

    async def _parts(self, left: Stretch) -> AsyncGenerator[tuple[Stretch, bool], None]:
        """Cut a stretch; each part comes with whether it is the last one."""
        size = self._size
        while (until := await self._digests.boundary(self._plan, left, size)) is not None:
            if until == left.first:  # so many rows have one key
                size *= 2
                continue
            yield replace(left, end=until), False
            left, size = Stretch(until, left.end), self._size
        yield left, True

    def _begin(self, stretch: Stretch, *, both: bool) -> asyncio.Task[PartLooked]:
        name, rate = self._plan.name, self._rate
        part = Part(name, stretch, both, self._keys_only, rate, self._patience, self._same)
        return asyncio.create_task(self._executor.run(part))

    def _fit(self, looked: PartLooked) -> None:
        """Fit the next parts to the time that this one took."""
        if looked.walked.over and looked.walked.records:
            fitting = looked.walked.records * SECONDS / max(looked.seconds, 0.001)
            self._size = int(min(self._most, 2 * self._size, max(LEAST, fitting)))


def _placed(walked: Walked, part: Stretch, until: str | None, *, last: bool, both: bool) -> Walked:
    """Say what is left of the whole after a part."""
    if walked.over and not last:
        return replace(walked, left=Stretch(part.end, until), over=False)
    return replace(walked, left=replace(walked.left, end=until), over=walked.over and both)
