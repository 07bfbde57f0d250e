"""What marks many records for a command, or for a process that does a part of its work."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from syncline.backfill.pace import CALM, Pace
from syncline.backfill.permit import MAX_PAUSE_SECONDS, PAUSE_SECONDS
from syncline.backfill.runner import Progress, Runner
from syncline.config import Settings
from syncline.engines.postgres.marking import SqlMarking
from syncline.errors import TargetUnavailableError
from syncline.ports import Plan, Plans, Same, Target, Task, TaskKind
from syncline.postgres.connection import Connection
from syncline.wiring.sides import open_plans, open_ranges, opened_source, opened_target, same_here


@dataclass(frozen=True, slots=True)
class TaskJob:
    """A task of which a process is to be the runner."""

    task: int
    entity: str
    owner: str
    """The same whoever runs it: the claim of a process that was killed is the next one's."""
    same: Same


@dataclass(frozen=True, slots=True)
class Bench:
    """What runners work with."""

    settings: Settings
    source: Connection
    ranges: Connection | None
    target: Target
    plans: Plans

    def runner(self, owner: str, on_progress: Callable[[Progress], None] = lambda _: None) -> Runner:
        """Make what runs tasks for an owner (a UUID as text)."""
        return Runner(
            SqlMarking(self.source, owner, ranges=self.ranges),
            self.plans.by_id,
            self.target,
            pace=Pace(patience=timedelta(seconds=60), calm=CALM),
            on_progress=on_progress,
            grace=self.settings.worker.grace,
        )

    async def same(self, plan: Plan, *, targets: bool) -> Same:
        """Say what whoever runs a task must share; ``targets``: the target, too."""
        return await same_here(self.source, self.target if targets else None, plan)

    async def same_when_there(self, plan: Plan, *, targets: bool, renew: Callable[[], Awaitable[object]]) -> Same:
        """Say likewise; a target that is away is waited for, with the claim kept by ``renew``."""
        pause = PAUSE_SECONDS
        while True:
            try:
                return await self.same(plan, targets=targets)
            except TargetUnavailableError:
                await renew()
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)

    def needs_target(self, task: Task) -> bool:
        """Tell whether a task asks the target anything: marks are made whether it answers or not."""
        return task.kind is TaskKind.SWEEP or self.target.reverse is not None


@contextlib.asynccontextmanager
async def opened_bench(settings: Settings) -> AsyncIterator[Bench]:
    """Open it for a block."""
    async with (
        opened_target(settings) as target,
        opened_source(settings, keyed=True) as source,
        contextlib.AsyncExitStack() as stack,
    ):
        ranges = await open_ranges(settings, stack)
        yield Bench(settings, source, ranges, target, await open_plans(settings, source))
