"""Ending tasks for sure, and in time: a single cancellation is not enough.

Python 3.11's ``asyncio.wait_for``, which drivers use, drops a cancellation that arrives together with its result (the
busier the machine, the likelier), and ``asyncio.TaskGroup`` cancels its tasks once and ignores whoever cancels it a
second time. A task that has lost its cancellation then works for ever, and whoever waits for it waits for ever.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

AGAIN_SECONDS = 0.5
"""A task that was cancelled has so long for its way out (a claim is given back) before it is cancelled again."""


async def end(*tasks: asyncio.Future[Any], seconds: float, again: float | None = None) -> set[asyncio.Future[Any]]:
    """Cancel tasks until they have ended.

    Args:
        tasks: some may have ended already; their results and errors are left to the caller.
        seconds: how long to try.
        again: after so long a task is cancelled once more; ``AGAIN_SECONDS`` by default.

    Returns:
        Those that have not ended: they are left behind, cancelled.

    """
    pending = {task for task in tasks if not task.done()}
    until = time.monotonic() + seconds
    while pending and (left := until - time.monotonic()) > 0:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=min(left, AGAIN_SECONDS if again is None else again))
    return pending


class Group(asyncio.TaskGroup):
    """A task group that is cancelled again and again, until each of its tasks has ended."""

    _repeated: asyncio.TimerHandle | None = None
    _exiting: bool
    _parent_cancel_requested: bool
    _parent_task: asyncio.Task[Any]

    def _abort(self) -> None:
        """Cancel every task, and once more after a while; TaskGroup has no other door for that."""
        again = self._repeated is not None
        super()._abort()  # type: ignore[misc]
        if again and self._parent_cancel_requested and not self._exiting:
            self._parent_task.uncancel()  # it was asked because a task failed, and has lost that
            self._parent_task.cancel()
        if self._repeated is not None:
            self._repeated.cancel()
        unfinished = not self._exiting or any(not task.done() for task in self._tasks)
        self._repeated = asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._abort) if unfinished else None
