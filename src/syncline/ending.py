"""Ending tasks for sure, and in time: a single cancellation is not enough.

Python 3.11's ``asyncio.wait_for``, which drivers use, drops a cancellation that arrives together with its result (the
busier the machine, the likelier), and ``asyncio.TaskGroup`` cancels its tasks once and ignores whoever cancels it a
second time. A task that has lost its cancellation then works for ever, and whoever waits for it waits for ever.
What runs on a thread cannot be cancelled at all: nobody waits for it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

AGAIN_SECONDS = 0.5
"""A task that was cancelled has so long for its way out (a claim is given back) before it is cancelled again."""


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run asynchronous work to its end, as ``asyncio.run`` does; threads that it has left behind are not waited for."""
    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(Threads())
        return runner.run(work)


async def quiet_when_cancelled(work: Coroutine[Any, Any, T]) -> T:
    """See that no callback of a driver's prints a traceback after Ctrl-C: psycopg's may find its future cancelled."""
    task = asyncio.current_task()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if task is None or not task.cancelling():
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle)
    return await work


class Threads(ThreadPoolExecutor):
    """Makes each call on a thread of its own that keeps no process from ending.

    asyncio resolves names by such calls; a resolver that does not answer takes its time, and nothing interrupts it.
    """

    def submit(self, call: Callable[..., T], /, *arguments: Any, **named: Any) -> Future[T]:
        """Begin a call; its result is the future's."""
        result: Future[T] = Future()

        def make() -> None:
            if result.set_running_or_notify_cancel():
                try:
                    result.set_result(call(*arguments, **named))
                except BaseException as error:  # noqa: BLE001  it is raised where the result is asked for
                    result.set_exception(error)

        Thread(target=make, name="syncline call", daemon=True).start()
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Leave behind what has not ended."""


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
