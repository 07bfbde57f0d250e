"""Asking something that may never answer: whoever asks gets a reply in time, and a server that hangs is not flooded."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")

AT_ONCE = 2
"""Looks that nobody waits for any more; beyond these nothing new is begun."""


class Patience(Generic[T]):
    """Runs one kind of work, each run within a deadline.

    What does not end in time is cancelled and left behind: a frozen server delays even the cancelling.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._left: set[asyncio.Future[T]] = set()

    @property
    def exhausted(self) -> bool:
        """Whether so much was left behind that nothing new is begun."""
        return len(self._left) >= AT_ONCE

    async def within(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work, or raise ``TimeoutError``: after the deadline, or at once while earlier work still hangs."""
        if self.exhausted:
            raise TimeoutError
        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait({task}, timeout=self.seconds)
        finally:
            if not task.done():
                self._left.add(task)
                task.add_done_callback(self._forget)
                task.cancel()
        if not task.done():
            raise TimeoutError
        return task.result()

    async def settle(self, seconds: float = 1.0) -> None:
        """Wait a moment for what was left behind."""
        if self._left:
            with contextlib.suppress(ValueError):  # another event loop's
                await asyncio.wait(set(self._left), timeout=seconds)

    def _forget(self, task: asyncio.Future[T]) -> None:
        self._left.discard(task)
        if not task.cancelled():
            task.exception()
