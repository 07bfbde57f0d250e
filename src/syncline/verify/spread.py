"""First looks taken by several processes at once, each at a part of the keys; what they say comes in order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from functools import partial

from syncline.executing.parts import BEAT_SECONDS, Parts, Sizes, most
from syncline.ports import Executor, Plan, Same, SourceDigests, Stretch
from syncline.verify.comparison import Comparison
from syncline.verify.part import Part
from syncline.verify.sides import Sides, same_of
from syncline.verify.walk import Walk, Walked

FIRST, LEAST, MOST = 5000, 500, 500_000
"""Records of a part."""


class SpreadWalk:
    """See ``Walk``: cuts what is left into parts, and has each looked at elsewhere.

    Args:
        here: the walk that takes looks at single keys.
        sides: what whoever does the parts must have, too.
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
        sides: Sides,
        digests: SourceDigests,
        executor: Executor,
        plan: Plan,
        *,
        keys_only: bool,
        rate: float | None,
        patience: timedelta,
    ) -> None:
        self._here, self._sides, self._digests = here, sides, digests
        self._executor, self._plan = executor, plan
        self._keys_only, self._patience = keys_only, patience
        self._rate = None if rate is None else rate / executor.width
        self._sizes = Sizes(FIRST, LEAST, most(MOST, LEAST, self._rate))
        self._same: Same

    async def begin(self) -> None:
        """Read what must be the same everywhere."""
        await self._here.begin()
        self._same = await same_of(self._sides.source, self._sides.inspection, self._plan)

    async def side_by_side(self) -> bool:
        """Ask the walk of which this is made."""
        return await self._here.side_by_side()

    async def some(self, keys: Sequence[str]) -> Walked:
        """Compare the records of keys, here."""
        return await self._here.some(keys)

    async def walk(self, left: Stretch, *, both: bool) -> AsyncGenerator[Walked, None]:
        """Compare what is left of the source."""
        parts = Parts(self._executor, self._parts(left), partial(self._job, both=both), beat=BEAT_SECONDS)
        async with aclosing(parts.results()) as results:
            async for (part, last), looked in results:
                if looked is None:
                    yield Walked(
                        Comparison(), replace(part, end=left.end), over=False, records=0, documents=0, sample=()
                    )
                    continue
                walked = looked.walked
                self._sizes.fit(walked.records if walked.over else 0, looked.seconds)
                if not walked.over:
                    parts.again((replace(walked.left, end=part.end), last))
                yield _placed(walked, part, left.end, last=last, both=both)

    async def _parts(self, left: Stretch) -> AsyncGenerator[tuple[Stretch, bool], None]:
        """Cut a stretch; each part comes with whether it is the last one."""
        size = self._sizes.size
        while (until := await self._digests.boundary(self._plan, left, size)) is not None:
            if until == left.first:  # so many rows have one key
                size *= 2
                continue
            yield replace(left, end=until), False
            left, size = Stretch(until, left.end), self._sizes.size
        yield left, True

    def _job(self, found: tuple[Stretch, bool], *, both: bool) -> Part:
        name, rate = self._plan.name, self._rate
        return Part(name, found[0], both, self._keys_only, rate, self._patience, self._same)


def _placed(walked: Walked, part: Stretch, until: str | None, *, last: bool, both: bool) -> Walked:
    """Say what is left of the whole after a part."""
    if walked.over and not last:
        return replace(walked, left=Stretch(part.end, until), over=False)
    return replace(walked, left=replace(walked.left, end=until), over=walked.over and both)
