"""One load for everybody who wants the same thing at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class _Flight:
    task: asyncio.Task[Any]
    waiting: int = 0


class Flights:
    """Loads under way, by what they load.

    A waiter that is cancelled leaves the others alone; the load is cancelled when nobody waits any more.
    """

    def __init__(self) -> None:
        self._flights: dict[Hashable, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def wait(
        self, key: Hashable, load: Callable[[], Awaitable[Any]], patience: float | None
    ) -> asyncio.Task[Any]:
        """Join the load of this key or start it; return its task, done, or still running when the patience is over.

        A load that is still running then goes on for those who come later.
        """
        flight = self._flights.get(key) or self._start(key, load)
        flight.waiting += 1
        try:
            await asyncio.wait({flight.task}, timeout=patience)
        except asyncio.CancelledError:
            if flight.waiting == 1:
                self._leave(key, flight.task)  # at once: who comes now must not join what is being cancelled
                flight.task.cancel()
            raise
        finally:
            flight.waiting -= 1
        return flight.task

    def begin(
        self, key: Hashable, load: Callable[[], Awaitable[Any]], *, failed: Callable[[BaseException], Any]
    ) -> None:
        """Start the load of this key, if it is not under way, for nobody in particular; who comes may join.

        Args:
            key: what is loaded.
            load: makes the value.
            failed: called with the error when it fails.

        """
        if key in self._flights:
            return

        def landed(task: asyncio.Task[Any]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                failed(error)

        self._start(key, load).task.add_done_callback(landed)

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [flight.task for flight in self._flights.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, key: Hashable, load: Callable[[], Awaitable[Any]]) -> _Flight:
        async def run() -> Any:
            return await load()

        flight = self._flights[key] = _Flight(asyncio.create_task(run()))
        flight.task.add_done_callback(lambda task: self._land(key, task))
        return flight

    def _leave(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]

    def _land(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self._leave(key, task)
        if not task.cancelled():
            task.exception()  # seen, also when its waiters have left
