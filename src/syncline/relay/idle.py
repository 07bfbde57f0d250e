"""How an idle pump rests: woken by the source where that is sound, looking by itself where not."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from syncline.ports import Waker

BUSY_READS = 8
"""Reads in a row that found something, after which writers need not notify."""
FIRST_LOOK = 0.001
LAST_LOOK = 0.05
REST_SECONDS = 5.0
"""Longest sleep at rest: a connection that was lost, and with it the wake lock, is found by the look after it."""


class Idler:
    """Rests between two reads that find nothing.

    Holding the wake lock means: no writer is between its check and its commit, so whoever commits from now on
    notifies. One more read after taking it closes the gap; then the pump sleeps until it is woken, or for ``poll``
    seconds. While a writer's transaction is open the lock cannot be taken, and the pump looks again after 1, 2, 4 …
    50 ms.
    """

    def __init__(self, waker: Waker | None, *, poll: float) -> None:
        self._waker = waker
        self._poll = poll
        self.at_rest = False
        """The session renews its leases seldom, too."""
        self._event = asyncio.Event()
        self._look = FIRST_LOOK
        self._armed = False
        self._busy_reads = 0
        self._can_wake = waker is not None and waker.can_listen

    @property
    def relies_on_another(self) -> bool:
        """Whether it is another worker's wake lock that makes writers notify."""
        return self._armed and not self._holds

    @property
    def _holds(self) -> bool:
        return self._waker is not None and self._waker.holds

    def wake(self) -> None:
        """End the rest."""
        self._event.set()

    def stirred(self) -> None:
        """A read has found something."""
        self._look = FIRST_LOOK
        self._busy_reads += 1

    async def rest(self, *, retry: bool) -> None:
        """Rest after a read that found nothing.

        Args:
            retry: keys wait for their turn; look again soon.

        """
        if retry:
            await self.sleep(0.01)
        elif self._armed or await self._arm():
            if not self._armed:
                self._armed = True
                return  # read once more: what committed before the lock was taken
            self._busy_reads = 0
            await self.sleep(max(self._poll, REST_SECONDS) if self.at_rest else self._poll)
            self._armed = self._holds  # another worker's may be gone
        else:
            await self.sleep(self._look)
            self._look = min(self._look * 2, LAST_LOOK if self._can_wake else self._poll)

    async def settle(self) -> None:
        """Wait for writers instead of looking again, after a read that took everything that was there.

        Sound only while this worker holds the wake lock: it held it before that read, so whoever was not seen by the
        read notifies.
        """
        if self._armed and self._holds:
            if not self._event.is_set():
                self._busy_reads = 0
            await self.sleep(self._poll)

    async def before_read(self) -> None:
        """Give the lock back when there is so much to do that nobody needs to wake us."""
        if self._busy_reads >= BUSY_READS and self._armed:
            self._armed = False
            self._busy_reads = 0
            if self._waker is not None and self._waker.holds:
                await self._waker.disarm()
                await self._waker.notify()  # idle workers that relied on our lock take it themselves

    async def sleep(self, seconds: float) -> None:
        """Sleep until woken, at most so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()
        self._event.clear()

    async def _arm(self) -> bool:
        """Become somebody whom writers wake; another idle worker's wake reaches us as well."""
        if self._waker is None or not self._waker.can_listen:
            return False
        return await self._waker.arm() or await self._waker.another_holds()
