"""Ranges of a copy that other processes carry over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass

from syncline.backfill.latency import Latency
from syncline.copying.copier import LOOK_SECONDS, Copier
from syncline.copying.pace import Pacing
from syncline.ports import Executor, Plan, Same
from syncline.ports.copying import Copied, Copy, Range, RangeLostError, StoppedError, Tell

ASK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class CarryJob:
    """A range that a process is to carry over."""

    entity: str
    part: Range
    rate: int | None
    """Rows a second at most."""
    same: Same


class DistantCarrier:
    """See ``syncline.ports.copying.Carrier``: blocks its thread while somebody else carries.

    Args:
        executor: has jobs done.
        loop: where it lives.
        rate: rows a second, of all together; ``None``: no limit.
        same: says what whoever carries must share.

    """

    def __init__(
        self,
        executor: Executor,
        loop: asyncio.AbstractEventLoop,
        rate: int | None,
        same: Callable[[Plan], Awaitable[Same]],
    ) -> None:
        self._executor, self._loop, self._same = executor, loop, same
        self._rate = None if rate is None else max(1, rate // executor.width)

    def carry(self, plan: Plan, part: Range, tell: Tell) -> Copied:
        """Have a range carried over; told to stop, it has whoever carries stop."""
        asked: Future[Copied | None] = asyncio.run_coroutine_threadsafe(self._asked(plan, part), self._loop)
        try:
            while not wait([asked], ASK_SECONDS).done:
                tell(0, 0)
        except StoppedError:
            asked.cancel()
            raise
        if (copied := asked.result()) is None:
            raise RangeLostError
        return copied

    async def _asked(self, plan: Plan, part: Range) -> Copied | None:
        job = CarryJob(plan.name, part, self._rate, await self._same(plan))
        copied: Copied | None = await self._executor.run(job)
        return copied

    def close(self) -> None:
        """Nothing is open here."""


async def carried(copier: Copier, plan: Plan, job: CarryJob) -> Copied | None:
    """Carry a range over; ``None``: somebody else has done it. Who is cancelled has rolled it back."""
    await copier.ranges.describe(plan)
    pacing, latency = Pacing(job.rate), Latency()
    carrier = copier.carrier()
    copy = (await copier.copies.all())[plan.id]
    watching = asyncio.create_task(_watch(copier, copy, pacing, latency))
    running = asyncio.ensure_future(asyncio.to_thread(carrier.carry, plan, job.part, pacing.passed))
    try:
        return await asyncio.shield(running)
    except RangeLostError:
        return None
    except asyncio.CancelledError:
        pacing.stop()
        await asyncio.wait({running})
        running.exception()
        raise
    finally:
        watching.cancel()
        await asyncio.wait({watching})
        carrier.close()


async def _watch(copier: Copier, copy: Copy, pacing: Pacing, latency: Latency) -> None:
    """Stand back while the source takes longer than usual."""
    while pacing.rate is not None:
        latency.note(await copier.copies.look(copy), at=asyncio.get_running_loop().time())
        pacing.heed(strained=latency.strained)
        await asyncio.sleep(LOOK_SECONDS)
