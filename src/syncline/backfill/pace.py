"""How fast marks are made: never so many that the application's own changes wait long behind them."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from syncline.backfill.latency import Latency
from syncline.backfill.permit import Permit
from syncline.errors import NobodyDrainsError
from syncline.ports import Pressure, Task, Tasks

HOLD_SECONDS = 2.0
"""How often the claim is renewed while a task waits."""
PROBES = 3
LOOK_SECONDS = 0.25
"""Between two looks at how long the source takes."""
FIRST_LOOKS = 5
LONGEST_STRAIN_SECONDS = 1.0
"""A source that is always slow is marked slowly, not never."""

LONGEST_TURN_SECONDS = 1.0
MOST_BEHIND_SECONDS = 0.5
"""A source that is far away makes each turn late: the next chunk is larger by as much as this allows."""
TURNS = 50
"""Chunks a second while there is a rate: many small ones are felt less than a few large ones."""
FEW = 50
"""Keys in so small a chunk that nobody feels it."""
RATE = 10_000
"""Records a second by default: a machine that has room for the application has room for these."""
CALM = timedelta(seconds=2)
"""When none of its changes was found waiting for so long, there is no application to leave room for."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The limits of marking. The defaults keep a change of the application behind less than half a second of marks."""

    chunk: int = 4000
    """Most keys per transaction."""
    smallest: int = 500
    """Keys per transaction while the source is slow."""
    chunk_time: timedelta = timedelta(milliseconds=100)
    """A transaction that takes longer is followed by a smaller one."""
    max_queue: int = 20_000
    """Wait while so many marks wait."""
    max_lag: timedelta = timedelta(seconds=30)
    """Wait while the oldest of them is older."""
    rate: int | None = RATE
    """Records a second at most; ``None``: no limit."""
    calm: timedelta | None = None
    """When no change was found waiting for so long, the rate does not hold until one is."""
    heeds_source: bool = True
    """Stand back while the source takes longer than usual."""
    pause: timedelta = timedelta(milliseconds=100)
    """Between two looks at a full queue."""
    patience: timedelta | None = None
    """Give up when no worker lives for so long and the queue is full; ``None``: wait for ever."""

    def asked(self, options: Mapping[str, Any]) -> Pace:
        """Apply what a task asks for: ``max_queue``, ``max_lag_seconds``, ``rate``, ``full_throttle``."""
        pace = self
        if options.get("full_throttle"):
            pace = replace(
                self, chunk=20_000, chunk_time=timedelta(seconds=1), max_queue=200_000, max_lag=timedelta(hours=1),
                heeds_source=False, rate=None,
            )  # fmt: skip
        lag, rate = options.get("max_lag_seconds"), options.get("rate")
        return replace(
            pace,
            max_queue=int(options.get("max_queue") or pace.max_queue),
            max_lag=pace.max_lag if lag is None else timedelta(seconds=float(lag)),
            rate=pace.rate if rate is None else int(rate) or None,
            calm=pace.calm if rate is None else None,
        )


class Pacer:
    """Holds a task back: while the queue is full or old, while the source is slow, and to the rate that was given.

    What is usual of the source is the same for all tasks of a runner: to learn it takes commits, which would be most of
    the work of a small table.
    """

    def __init__(
        self,
        tasks: Tasks,
        pace: Pace,
        options: Mapping[str, Any] | None = None,
        *,
        latency: Latency | None = None,
        permit: Permit | None = None,
    ) -> None:
        self._tasks = tasks
        self._permit = permit
        self._asked = pace
        self.pace = pace.asked(options or {})
        """As the task asks for it now."""
        self._size = self.pace.chunk
        self._latency = latency or Latency()
        self._began = 0.0
        self._ahead = 0.0
        """By how much the source's clock is ahead of ours, when it was asked last."""
        self._going = False
        """A chunk was marked here under the rate: what is behind since is made up for; a restart gives none extra."""
        self._due = 0.0
        self._behind = 0.0
        self._sharing = 1
        self._others = time.monotonic()
        """When marks of changes were found waiting, or the first look is yet to come."""

    @property
    def _rate(self) -> int | None:
        """Its part of the rate that it shares with others, while there is one."""
        rate, calm = self.pace.rate, self.pace.calm
        if rate is None or (calm is not None and time.monotonic() - self._others > calm.total_seconds()):
            return None
        return max(1, rate // self._sharing)

    async def ready(self, task: Task, waiting: Callable[[str], None]) -> None:
        """Return when the next chunk may be marked; the claim is kept meanwhile.

        Args:
            task: the task that wants to go on; its options may have changed.
            waiting: told why it waits.

        Raises:
            ClaimLostError: the task was taken over or cancelled.
            NobodyDrainsError: patience has run out.
            ReverseServesError: the link's way back serves the entity.

        """
        await self._has_room(task, waiting)
        if self.pace.heeds_source:
            await self._has_recovered(task, waiting)
        self._sharing = task.sharing
        await self._has_turn(task, waiting)
        if self._permit is not None:
            await self._permit.need(task)
        self._began = time.monotonic()

    def size(self, most: int | None = None) -> int:
        """Give the size of the next chunk: never more than the part of the rate that a turn has."""
        size = min(self._size, self.pace.chunk) if most is None else most
        rate = self._rate
        return size if rate is None else min(size, max(1, int(rate * (1 / TURNS + self._behind)), min(FEW, rate // 2)))

    def turn(self, count: int) -> dict[str, float]:
        """Give what to note in the task's progress after marking: no next chunk before this time of the source."""
        rate = self._rate
        self._going = rate is not None
        return {} if rate is None else {"not_before": self._due + count / rate}

    def took(self) -> None:
        """Fit the next chunk's size to the time that this one took."""
        most = self.pace.chunk_time.total_seconds()
        took = max(time.monotonic() - self._began, 1e-6)
        self._resize(min(1.25, max(0.5, most / took)))

    def _resize(self, factor: float) -> None:
        pace = self.pace
        self._size = min(pace.chunk, max(min(pace.smallest, pace.chunk), int(self._size * factor) + 1))

    async def _has_room(self, task: Task, waiting: Callable[[str], None]) -> None:
        alone_since: float | None = None
        held = time.monotonic()
        while True:
            pace = self.pace = self._asked.asked(task.options)
            found = await self._tasks.pressure(pace.max_queue)
            self._ahead = found.now - time.monotonic()
            if found.others:
                self._others = time.monotonic()
            if found.queue < pace.max_queue and (found.age <= pace.max_lag.total_seconds() or found.queue == 0):
                return
            now = time.monotonic()
            alone_since = None if found.workers else alone_since or now
            if alone_since and pace.patience and now - alone_since > pace.patience.total_seconds():
                raise _nobody_drains(found, task)
            waiting("waits for the queue" if found.workers else "waits for a worker to start")
            if now - held > HOLD_SECONDS:
                await self._tasks.advance(task)
                held = now
            await asyncio.sleep(pace.pause.total_seconds())

    async def _has_recovered(self, task: Task, waiting: Callable[[str], None]) -> None:
        looked = self._latency.looked
        if looked is not None and not self._latency.strained and time.monotonic() - looked < LOOK_SECONDS:
            return
        for _ in range(FIRST_LOOKS if looked is None else 1):
            await self._look(task)
        began, pause = time.monotonic(), self.pace.pause.total_seconds()
        if self._latency.strained:
            self._resize(0.5)
        while self._latency.strained and time.monotonic() - began < LONGEST_STRAIN_SECONDS:
            waiting("lets the source recover")
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)
            await self._look(task)

    async def _look(self, task: Task) -> None:
        """Take a sample: a commit of one row, as durable as the application's."""
        took = []
        for _ in range(PROBES):
            began = time.monotonic()
            await self._tasks.advance(task)
            took.append(time.monotonic() - began)
        self._latency.note(statistics.median(took), at=time.monotonic())

    async def _has_turn(self, task: Task, waiting: Callable[[str], None]) -> None:
        rate = self._rate
        if rate is None:
            return
        now = time.monotonic() + self._ahead
        due = float(task.progress.get("not_before", now))
        left = min(due - now, LONGEST_TURN_SECONDS)  # the clock may have been set back
        self._behind = min(max(-left, 0.0), MOST_BEHIND_SECONDS) if self._going else 0.0
        self._due = now + left if left > 0 else now - self._behind
        if left > 0:
            waiting(f"keeps to {rate:,} a second")
            await asyncio.sleep(left)


def _nobody_drains(found: Pressure, task: Task) -> NobodyDrainsError:
    return NobodyDrainsError(
        f"{found.queue} marks wait and no worker is running",
        hint=f"start one with `syncline worker`; task {task.id} stays and is resumed",
    )
