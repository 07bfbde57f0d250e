"""One event loop in a thread of its own: blocking calls are the asynchronous ones, run there.

There is one implementation of a dual write. A twin for blocking drivers could not keep its deadline: they wait for a
server that does not answer, and nobody can take them back. A call costs two changes of threads, some 50 µs.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from syncline.errors import SourceUnavailableError

T = TypeVar("T")
_ENDED = "the service was closed while this call was under way; whether MongoDB has its write is not known"


class Background:
    """The loop, from the first call on; a process that was forked makes a new one."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def is_running(self) -> bool:
        """Whether there is a loop."""
        return self._loop is not None

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, in the context of the caller; an interrupted caller cancels it."""
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("a blocking call of the service within its own loop would wait for itself for ever")
        answer: Future[T] = Future()
        context = contextvars.copy_context()
        with self._starting:  # what is begun before an end is ended by it
            loop = self._started()
            loop.call_soon_threadsafe(_begin, loop, work, context, answer)
        try:
            return answer.result()
        except BaseException:
            answer.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="syncline-dual-write", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """End the loop; calls that are under way end with an error."""
        with self._starting:
            if self._loop is None or self._thread is None:
                return
            asyncio.run_coroutine_threadsafe(_end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


async def _end() -> None:
    """Cancel what runs, and wait for it: nobody may wait for an answer that does not come."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _begin(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], context: contextvars.Context, answer: Future[T]
) -> None:
    task = loop.create_task(work, context=context)

    def ended(done: asyncio.Task[T]) -> None:
        if answer.cancelled() or not answer.set_running_or_notify_cancel():
            if not done.cancelled():
                done.exception()
        elif done.cancelled():
            answer.set_exception(SourceUnavailableError(_ENDED, hint="ask for the document, or call again"))
        elif error := done.exception():
            answer.set_exception(error)
        else:
            answer.set_result(done.result())

    task.add_done_callback(ended)
    answer.add_done_callback(lambda one: loop.call_soon_threadsafe(task.cancel) if one.cancelled() else None)
