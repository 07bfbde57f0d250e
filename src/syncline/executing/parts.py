"""Parts of a walk, done by several at once: what they say comes in the order of the parts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Generic, TypeVar

from syncline.ending import end
from syncline.ports import Executor

P = TypeVar("P")
SECONDS = 2.0
"""A part takes about so long: what is lost with a process is little, and progress is kept often."""
END_SECONDS = 5.0
BEAT_SECONDS = 2.0
"""So often a step says that nothing has come yet: the claim of the pass is kept, and suspects are looked at."""
SUSPECTS = 5000
"""With so many, a part that is compared ends early: they are to be decided before more are sought."""


class Sizes:
    """Fits how much a part is to the time that others took.

    Args:
        first: of the first part.
        least: of any.
        most: likewise.

    """

    def __init__(self, first: int, least: int, most: int) -> None:
        self.size, self._least, self._most = min(first, most), least, most

    def fit(self, done: int, seconds: float) -> None:
        """Take in how long a part took."""
        if done:
            fitting = done * SECONDS / max(seconds, 0.001)
            self.size = int(min(self._most, 2 * self.size, max(self._least, fitting)))


def most(limit: int, least: int, rate: float | None) -> int:
    """Say how much a part is at most, where each of those who do them keeps to a rate."""
    return limit if rate is None else max(least, min(limit, int(rate * SECONDS)))


class Parts(Generic[P]):
    """Has parts done, two for each of those who do them: nobody waits for the next one.

    Args:
        executor: does them.
        cut: gives the parts, in their order.
        job: makes the job of a part.
        beat: so often it is said that nothing has come yet.

    """

    def __init__(
        self, executor: Executor, cut: AsyncGenerator[P, None], job: Callable[[P], Any], *, beat: float
    ) -> None:
        self._executor, self._cut, self._job, self._beat = executor, cut, job, beat
        self._begun: deque[tuple[P, asyncio.Task[Any]]] = deque()

    async def results(self) -> AsyncGenerator[tuple[P, Any], None]:
        """Give each part with what came of it; with ``None``, that it is still waited for."""
        async with aclosing(self._cut) as cut:
            try:
                more = True
                while True:
                    while more and len(self._begun) < 2 * self._executor.width:
                        if (next_one := await anext(cut, None)) is None:
                            more = False
                        else:
                            self._begun.append((next_one, self._asked(next_one)))
                    if not self._begun:
                        return
                    part, asked = self._begun[0]
                    while not (await asyncio.wait({asked}, timeout=self._beat))[0]:
                        yield part, None
                    self._begun.popleft()
                    yield part, asked.result()
            finally:
                await end(*(asked for _, asked in self._begun), seconds=END_SECONDS)
                for _, asked in self._begun:  # the first error is the command's, the others are taken in
                    if asked.done() and not asked.cancelled():
                        asked.exception()

    def again(self, part: P) -> None:
        """Have this done before all others: it is what is left of the part that has come last."""
        self._begun.appendleft((part, self._asked(part)))

    def _asked(self, part: P) -> asyncio.Task[Any]:
        return asyncio.create_task(self._executor.run(self._job(part)))
