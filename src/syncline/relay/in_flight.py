"""The batches in flight: how many there may be, how large they are together, and waiting until one has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from syncline.relay.work import Work

DEPTH = 4
"""Batches under way: one being read, two being written, one being acknowledged."""


class InFlight:
    """Keeps the batches that are under way within a number and about a size."""

    def __init__(self, *, most_bytes: int) -> None:
        self.works: set[Work] = set()
        self._most = most_bytes
        self._bytes = 0
        self._places = asyncio.Semaphore(DEPTH)
        self._stirred = asyncio.Event()

    @property
    def has_room(self) -> bool:
        """Whether another batch may be read: the last one always ends."""
        return self._bytes <= self._most or not self.works

    async def take_place(self) -> None:
        """Wait for a place; ``end`` of a batch, or ``give_back`` without one, frees it."""
        await self._places.acquire()

    def give_back(self) -> None:
        """Free a place in which there is no batch."""
        self._places.release()

    def weigh(self, work: Work) -> None:
        """Count a batch's bytes, once they are known."""
        self._bytes += work.bytes

    def end(self, work: Work) -> None:
        """Forget a batch, and free its place."""
        self.works.discard(work)
        self._bytes -= work.bytes
        self._places.release()
        self.stir()

    def stir(self) -> None:
        """Have everybody look whether what they wait for holds now."""
        self._stirred.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; it is looked at whenever something has changed."""
        while not holds():
            self._stirred.clear()
            await self._stirred.wait()

    def lanes(self) -> Collection[int]:
        """List the lanes of these batches."""
        return {lane for work in self.works for lane in work.leases}

    def unfinished(self) -> dict[int, set[str]]:
        """List the keys, by entity, whose writes may be on their way to the target without anybody waiting for them."""
        keys: dict[int, set[str]] = {}
        for work in self.works:
            for entity, touched in work.touched.items() if work.sent else ():
                keys.setdefault(entity, set()).update(touched.hints)
        return keys
