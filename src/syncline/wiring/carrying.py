"""Ranges of a copy that other processes carry over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field

from syncline.backfill.latency import Latency
from syncline.copying.copier import LOOK_SECONDS, Copier
from syncline.copying.pace import Pacing
from syncline.copying.strain import Strain
from syncline.errors import SynclineError
from syncline.ports import Executor, Plan, Same
from syncline.ports.copying import Copied, Copy, Range, RangeLostError, StoppedError, Tell

ASK_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class CarryJob:
    """A range that a process is to carry over."""

    entity: str
    part: Range
    rate: float | None
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
        rate: float | None,
        same: Callable[[Plan], Awaitable[Same]],
    ) -> None:
        self._executor, self._loop, self._same = executor, loop, same
        self._rate = None if rate is None else rate / executor.width

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
    """Carry a range over; ``None``: somebody else has done it, or has given the copy up.

    Who is cancelled has rolled it back.
    """
    await copier.ranges.describe(plan)
    if (copy := (await copier.copies.all()).get(plan.id)) is None:
        return None
    known = _known_of(job.same.guard)
    pacing = Pacing(job.rate, share=known.share)
    carrier = copier.carrier()
    watching = asyncio.create_task(_watch(copier, copy, pacing, known.latency))
    running = asyncio.ensure_future(asyncio.to_thread(carrier.carry, plan, job.part, pacing.passed))
    copied: Copied | None
    try:
        copied = await asyncio.shield(running)
    except RangeLostError:
        copied = None
    except asyncio.CancelledError:
        pacing.stop()
        await asyncio.wait({running})
        running.exception()
        raise
    finally:
        watching.cancel()
        (failed,) = await asyncio.gather(watching, return_exceptions=True)
        known.share = pacing.share
        carrier.close()
    if isinstance(failed, Exception) and not isinstance(failed, SynclineError):  # the range is done all the same
        raise failed
    return copied


async def _watch(copier: Copier, copy: Copy, pacing: Pacing, latency: Latency) -> None:
    """Stand back while the source takes longer than usual."""
    strain = Strain(copier.copies, copy, latency)
    while pacing.rate is not None:
        pacing.heed(strained=await strain.lasts())
        await asyncio.sleep(LOOK_SECONDS)


@dataclass(slots=True)
class _Known:
    """What ranges that were carried over before have shown of a source."""

    latency: Latency = field(default_factory=Latency)
    share: float = 1.0


_of_thread = threading.local()


def _known_of(guard: str) -> _Known:
    """Give what this thread knows of a source: it carries one range at a time, whoever opens connections for it."""
    known: dict[str, _Known] = _of_thread.__dict__
    return known.setdefault(guard, _Known())
