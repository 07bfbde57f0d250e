"""A backfill as somebody asks for it: tasks for some entities, run here, or followed where a worker is faster."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from syncline.backfill.runner import Progress, Runner, progress_of
from syncline.backfill.tasks import Task, TaskKind
from syncline.outbox.states import Plan

REASON = "command"
LOOK_SECONDS = 0.5


async def request(
    runner: Runner, plans: Sequence[Plan], *, sweep: bool = True, options: Mapping[str, Any] | None = None
) -> list[Task]:
    """Ask for the backfill of entities, each followed by a sweep; what an earlier command left is resumed."""
    found: list[Task] = []
    for plan in plans:
        begun = {task.kind: task for task in await runner.tasks.find(entity=plan.id) if task.reason == REASON}
        for kind in (TaskKind.BACKFILL, TaskKind.SWEEP) if sweep else (TaskKind.BACKFILL,):
            if kind not in begun:
                id_ = await runner.tasks.request(kind, plan.id, REASON, options)
                begun[kind] = Task(id_, kind, plan.id, REASON)
            found.append(begun[kind])
    return found


async def complete(runner: Runner, tasks: Sequence[Task], told: Callable[[Progress], None]) -> list[Progress]:
    """Bring tasks to their end, in order: run those that nobody runs, watch the others."""
    return [await _complete(runner, task, told) for task in tasks]


async def _complete(runner: Runner, task: Task, told: Callable[[Progress], None]) -> Progress:
    plan = runner.plans[task.entity]
    while True:
        if (progress := await runner.run(task.id)) is not None:
            return progress
        rows = await runner.tasks.find(task=task.id)
        if not rows:
            progress = progress_of(task, plan, finished=True)
            told(progress)
            return progress
        task = rows[0]
        told(progress_of(task, plan, waiting="a worker runs it"))
        await asyncio.sleep(LOOK_SECONDS)


async def cancel(runner: Runner, plans: Sequence[Plan]) -> list[Task]:
    """Drop what earlier commands asked for and is not finished."""
    dropped: list[Task] = []
    for plan in plans:
        ours = [task for task in await runner.tasks.find(entity=plan.id) if task.reason == REASON]
        dropped += [task for task in ours if await runner.tasks.cancel(task.id)]
    return dropped
