"""The runner of tasks: in the background of a worker, and in the foreground of ``syncline backfill``."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from syncline.backfill.latency import Latency
from syncline.backfill.marking import Backfill
from syncline.backfill.pace import CALM, Pace, Pacer
from syncline.backfill.permit import Permit
from syncline.backfill.sweep import Sweep
from syncline.errors import SourceError, SynclineError, TaskDroppedError
from syncline.ports import ClaimLostError, Marking, Plan, Target, Task, TaskKind
from syncline.ports.tasks import WHERE

STAND_BACK_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a task has come."""

    task: int
    kind: TaskKind
    entity: str
    done: int
    """Rows passed by a backfill, documents looked at by a sweep."""
    marked: int
    total: int | None
    """About so many rows there are in all; ``None``: not known."""
    foreign: int = 0
    """Documents whose ``_id`` no row can have; left alone."""
    waiting: str = ""
    """Why it does not go on at the moment."""
    finished: bool = False
    by_worker: bool = False
    """A worker has finished it; how many it marked is not known."""


SWEPT = 10
"""Documents that are looked up at the price of one record that is marked."""


class Runner:
    """Runs tasks, one after the other.

    Args:
        marking: what marks, on connections of its own.
        plans: the compiled entities by id.
        target: walked by sweeps.
        pace: limits; a task's own options win.
        on_progress: called after each step with the progress; must be quick.
        grace: the worker's: how long a write may be on its way.

    """

    def __init__(
        self,
        marking: Marking,
        plans: Mapping[int, Plan],
        target: Target,
        *,
        pace: Pace | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        grace: timedelta = timedelta(seconds=30),
    ) -> None:
        self.marking, self.tasks = marking, marking.tasks
        self.plans = plans
        """May be exchanged when the entities' tables change; a running task keeps the plan that it began with."""
        self.target = target
        self.reverse = target.reverse
        self._pace = pace or Pace(calm=CALM)
        self._on_progress = on_progress or (lambda _: None)
        self._grace = grace
        self._latency = Latency()
        self.entity = ""
        """Name of the entity whose task was begun last."""
        self._struck: dict[int, float] = {}
        """Entities whose last task failed for good, and until when (monotonic) theirs stand back."""

    async def run_next(self) -> Progress | None:
        """Claim the oldest waiting task and run it to its end; ``None``: there is none, or it was taken away.

        Raises:
            SynclineError: the task stays; call again later. (After one that is not retryable the entity's tasks stand
                back for a while, so that those of others have their turn.)

        """
        now = time.monotonic()
        task = await self.tasks.claim([entity for entity in self.plans if self._struck.get(entity, now) <= now])
        if task is None:
            return None
        try:
            return await self._run(task)
        except SynclineError as error:
            if not error.retryable:
                self._struck[task.entity] = time.monotonic() + STAND_BACK_SECONDS
            raise

    async def run(self, task_id: int) -> Progress | None:
        """Claim this task, or go on with it when it is ours; ``None``: somebody else runs it, or it is gone."""
        task = await self.tasks.claim(self.plans, task_id)
        return None if task is None else await self._run(task)

    async def resume(self, task_id: int) -> Progress | None:
        """Run a task that was claimed under our name; ``None``: it was given back meanwhile, or is somebody else's."""
        task = await self.tasks.claim(self.plans, task_id, held=True)
        return None if task is None else await self._run(task)

    async def _run(self, task: Task) -> Progress | None:
        plan = self.plans[task.entity]
        self.entity = plan.name
        try:
            await self._work(task, plan)
            await self.tasks.finish(task)
        except ClaimLostError:
            return None
        except SourceError as error:
            if error.retryable or WHERE not in task.options:
                await self._give_back(task)
                raise
            await self.tasks.finish(task)  # it would fail again, at the same record
            raise TaskDroppedError(
                f"{plan.name}: the condition ({task.options[WHERE]}) failed: {error.message}",
                hint="the task is dropped; records that it has marked stay marked",
            ) from error
        except BaseException:
            await self._give_back(task)
            raise
        progress = progress_of(task, plan, finished=True)
        self._on_progress(progress)
        return progress

    async def _work(self, task: Task, plan: Plan) -> None:
        def on_wait(waiting: str) -> None:
            self._on_progress(progress_of(task, plan, waiting=waiting))

        pace = self._pace
        if task.kind is TaskKind.SWEEP and pace.rate is not None:
            pace = replace(pace, rate=SWEPT * pace.rate)
        permit = Permit(self.tasks, self.reverse, plan, on_wait)
        await permit.need(task, fresh=True)
        await self.tasks.cover(task)
        pacer = Pacer(self.tasks, pace, task.options, latency=self._latency, permit=permit)
        if task.kind is TaskKind.BACKFILL:
            await Backfill(self.marking, pacer, plan, on_wait).run(task)
        else:
            await Sweep(self.marking, pacer, plan, self.target, on_wait, grace=self._grace).run(task)

    async def _give_back(self, task: Task) -> None:
        """Let others go on at once; when that fails the claim expires."""
        with contextlib.suppress(SynclineError):
            await self.tasks.give_back(task)


def progress_of(task: Task, plan: Plan, *, waiting: str = "", finished: bool = False) -> Progress:
    """Read how far a task has come out of its row."""
    known = task.progress
    total, done = known.get("total"), known.get("done", 0)
    return Progress(
        task.id,
        task.kind,
        plan.name,
        done if total is None else total if finished else min(done, total),
        known.get("marked", 0),
        total,
        known.get("foreign", 0),
        waiting,
        finished,
    )
