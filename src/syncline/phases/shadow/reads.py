"""Reading the other side beside the truth, in tasks of their own."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar

from syncline.breaker import CircuitBreaker
from syncline.phases.shadow.differences import differences, kept, same
from syncline.phases.shadow.report import Mismatch, Outcome, Report
from syncline.phases.shadow.rules import Read, Rules, Standing, Standings

T = TypeVar("T")
Call = Callable[[], Awaitable[object]]
_LOG = logging.getLogger("syncline.phases.shadow")


class ShadowReads:
    """Answers from the truth at once, and compares the other side's answer afterwards.

    A request never waits for the other side, is not failed by it, and may be cancelled: the comparison goes on. It
    runs without the request's context variables, so that it takes no part in its transaction.

    Args:
        rules: how much is read.
        report: where the outcomes go.
        standings: tells which side of a record is newer.
        chance: gives a number from 0 to 1 for each read.

    """

    def __init__(
        self,
        rules: Rules | None = None,
        report: Report | None = None,
        *,
        standings: Standings | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.rules, self.report = rules or Rules(), report or Report()
        self._standings, self._chance = standings, chance
        self._breaker = CircuitBreaker(self.rules.rest.total_seconds())
        self._tasks: set[asyncio.Task[None]] = set()
        self._reading = self._looking = 0
        self._closed = False

    async def read(self, what: Read, truth: Callable[[], Awaitable[T]], other: Call) -> T:
        """Give the truth's answer; compare the other side's later.

        Args:
            what: names the call in the report.
            truth: reads the side that serves; called again if the answers differ.
            other: reads the other side.

        Raises:
            Exception: what ``truth`` raises; the other side is not read then.

        """
        answer = await truth()
        self.compare(what, answer, truth, other)
        return answer

    def compare(self, what: Read, answer: object, truth: Call, other: Call) -> None:
        """Compare an answer as it is now, later; returns at once. Call it in the running loop."""
        if self.chosen():
            self.begin(what, kept(answer), truth, other)

    def chosen(self) -> bool:
        """Tell by chance whether a read is to be compared."""
        return not self._closed and self._chance() < self.rules.share

    def begin(self, what: Read, answer: object, truth: Call, other: Call) -> None:
        """Compare an answer that nobody changes any more; see ``compare``."""
        if self._closed:
            return
        if self._reading >= self.rules.at_once or self._breaker.refuses():
            self.report.add(what, Outcome.SHED)
            return
        self._reading += 1
        coroutine = self._compared(what, answer, truth, other)
        task = asyncio.get_running_loop().create_task(coroutine, context=contextvars.Context())
        self._tasks.add(task)
        task.add_done_callback(functools.partial(self._ended, what))

    async def close(self, patience: float = 0.0) -> None:
        """Start nothing new; wait so many seconds for what is under way, and leave the rest."""
        self._closed = True
        tasks = set(self._tasks)
        if tasks and patience:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _compared(self, what: Read, answer: object, truth: Call, other: Call) -> None:
        outcome, mismatch = await self._looked(what, answer, truth, other)
        self.report.add(what, outcome, mismatch)
        if mismatch is not None:
            _LOG.warning("shadow read differs: %s", mismatch)

    def _ended(self, what: Read, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            self.report.add(what, Outcome.SHED)
        elif error := task.exception():
            _LOG.error("answers of %s.%s cannot be compared: %r", what.collection, what.method, error)
            self.report.add(what, Outcome.ERROR)

    async def _looked(self, what: Read, answer: object, truth: Call, other: Call) -> tuple[Outcome, Mismatch | None]:
        try:
            shadow = await self._asked(other)
        except TimeoutError:
            return Outcome.TIMEOUT, None
        except Exception as error:  # noqa: BLE001  whatever the other side's code raises
            _LOG.info("shadow read of %s.%s: %r", what.collection, what.method, error)
            return Outcome.ERROR, None
        finally:
            self._reading -= 1
        if same(answer, shadow):
            return Outcome.EQUAL, None
        if self._looking >= self.rules.looking:
            return Outcome.UNSETTLED, None
        self._looking += 1
        try:
            return await self._looked_again(what, answer, shadow, truth, other)
        finally:
            self._looking -= 1

    async def _asked(self, other: Call) -> object:
        try:
            async with asyncio.timeout(self.rules.deadline.total_seconds()):
                found = await other()
        except Exception:
            self._breaker.failed()
            raise
        self._breaker.succeeded()
        return found

    async def _looked_again(
        self, what: Read, answer: object, shadow: object, truth: Call, other: Call
    ) -> tuple[Outcome, Mismatch | None]:
        """Read both again until they agree, or until neither has moved between the last two looks.

        What the truth has said since the request counts as well: of a record that is written all the time, the other
        side is always a moment behind.
        """
        said, still = [answer], False
        for pause in self.rules.looks:
            await asyncio.sleep(pause)
            try:
                before, (answer, shadow) = (said[-1], shadow), (await truth(), await self._asked(other))
            except Exception:  # noqa: BLE001  it is asked again at the next look
                still = False
                continue
            said.append(answer)
            if any(same(one, shadow) for one in said):
                return Outcome.CAUGHT_UP, None
            still = same(before[0], answer) and same(before[1], shadow)
        if not still:
            return Outcome.UNSETTLED, None
        try:
            async with asyncio.timeout(self.rules.deadline.total_seconds()):
                standing = await self._standing(what)
        except Exception:  # noqa: BLE001  whoever cannot tell proves nothing
            return Outcome.UNSETTLED, None
        if standing is not None and standing.waiting:
            return Outcome.UNSETTLED, None
        found = differences(answer, shadow, self.rules.hidden(what.collection))
        newer = None if standing is None else str(standing)
        return Outcome.MISMATCH, Mismatch(what, datetime.now(UTC), found, newer)

    async def _standing(self, what: Read) -> Standing | None:
        if self._standings is None or what.key is None:
            return None
        return await self._standings.standing(what.collection, what.key)
