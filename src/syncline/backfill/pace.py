"""How fast marks are made: never so many that the application's own changes wait long behind them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from syncline.backfill.tasks import Task, Tasks
from syncline.errors import SynclineError


@dataclass(frozen=True, slots=True)
class Pace:
    """The limits of marking. The defaults keep a change of the application behind less than half a second of marks."""

    chunk: int = 4000
    """Keys per transaction."""
    max_queue: int = 20_000
    """Wait while so many marks wait."""
    max_lag: timedelta = timedelta(seconds=30)
    """Wait while the oldest of them is older."""
    pause: timedelta = timedelta(milliseconds=100)
    """Between two looks at a full queue."""
    patience: timedelta | None = None
    """Give up when no worker lives for so long and the queue is full; ``None``: wait for ever."""

    def asked(self, options: Mapping[str, Any]) -> Pace:
        """Apply what a task asks for: ``max_queue``, ``max_lag_seconds``."""
        lag = options.get("max_lag_seconds")
        return replace(
            self,
            max_queue=int(options.get("max_queue", self.max_queue)),
            max_lag=self.max_lag if lag is None else timedelta(seconds=float(lag)),
        )


class NobodyDrainsError(SynclineError):
    """The queue is full and no worker is running."""


class Pacer:
    """Holds a task back while the queue is full or old."""

    def __init__(self, tasks: Tasks, pace: Pace) -> None:
        self._tasks = tasks
        self.pace = pace

    async def ready(self, task: Task, waiting: Callable[[str], None]) -> None:
        """Return when the next chunk may be marked; the claim is kept meanwhile.

        Args:
            task: the task that wants to go on.
            waiting: told why it waits.

        Raises:
            ClaimLostError: the task was taken over or cancelled.
            NobodyDrainsError: patience has run out.

        """
        pace = self.pace
        alone_since: float | None = None
        held = time.monotonic()
        while True:
            queue, age, workers = await self._tasks.pressure(pace.max_queue)
            if queue < pace.max_queue and (age <= pace.max_lag.total_seconds() or queue == 0):
                return
            now = time.monotonic()
            alone_since = None if workers else alone_since or now
            if alone_since and pace.patience and now - alone_since > pace.patience.total_seconds():
                raise NobodyDrainsError(
                    f"{queue} marks wait and no worker is running",
                    hint=f"start one with `syncline worker`; task {task.id} stays and is resumed",
                )
            waiting("waits for a worker to start" if not workers else "waits for the queue")
            if now - held > 2:
                await self._tasks.advance(task)
                held = now
            await asyncio.sleep(pace.pause.total_seconds())
