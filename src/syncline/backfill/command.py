"""A backfill as somebody asks for it: tasks for some entities, run here, or followed where a worker is faster."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from syncline.backfill.dividing import divided, sweeps
from syncline.backfill.runner import Progress, Runner, progress_of
from syncline.ending import end
from syncline.errors import SynclineError, TargetUnavailableError
from syncline.ports import DESPITE, Plan, Task, TaskKind, require_right_side
from syncline.ports.tasks import KEYS, SHARED, WHERE

REASON = "command"
LOOK_SECONDS = 0.5
LISTED = 20_000
"""Keys of one task."""
END_SECONDS = 5.0

Run = Callable[[Task], Awaitable[Progress | None]]
"""Runs a task somewhere; ``None``: somebody else runs it, or it is gone."""


async def request(
    runner: Runner,
    plans: Sequence[Plan],
    *,
    sweep: bool = True,
    where: str | None = None,
    pace: Mapping[str, Any] | None = None,
    parts: int = 1,
) -> list[Task]:
    """Ask for the backfill of entities, each followed by a sweep; what an earlier command left is resumed.

    Args:
        runner: what would run them.
        plans: the entities.
        sweep: also look for documents that have no row.
        where: only rows for which this SQL condition holds; never with a sweep.
        pace: see ``Pace.asked``; given for a task that is there already, it changes that one's. With ``DESPITE``, a
            reason, all tasks of these entities run although the link's way back serves.
        parts: how many are at it at once: tables of many rows become so many tasks, and all tasks share one rate. What
            is resumed stays divided as it is.

    Raises:
        ConditionError: it is not a condition.
        ReverseServesError: the link's way back serves, and there is no reason.

    """
    await _permitted(runner, plans, pace)
    kinds = (TaskKind.BACKFILL, TaskKind.SWEEP) if sweep and where is None else (TaskKind.BACKFILL,)
    pace = _shared(pace, parts)
    options = dict(pace)
    if where is not None:
        for plan in plans:
            await runner.marking.check_condition(plan, where)
        options[WHERE] = where
    found: list[Task] = []
    for plan in plans:
        begun = [task for task in await unfinished(runner, plan) if _same(task, where)]
        for kind in kinds:
            if resumed := [task for task in begun if task.kind is kind]:
                if pace:
                    for task in resumed:
                        await runner.tasks.change(task, pace)
                found += resumed
            elif kind is TaskKind.BACKFILL and parts > 1:
                found += await divided(runner.marking, plan, REASON, options, parts=parts)
            elif parts > 1:
                found += await sweeps(runner.marking, runner.target, plan, REASON, options, parts=parts)
            else:
                id_ = await runner.tasks.request(kind, plan.id, REASON, options)
                found.append(Task(id_, kind, plan.id, REASON, options))
    return found


async def _permitted(runner: Runner, plans: Sequence[Plan], pace: Mapping[str, Any] | None) -> None:
    """Refuse while the way back serves; a reason to do it all the same holds for what waits for one, too."""
    reason = (pace or {}).get(DESPITE)
    with contextlib.suppress(TargetUnavailableError):  # whoever runs the task asks again, and waits
        await require_right_side(runner.reverse, [plan.entity for plan in plans], "a backfill", despite=reason)
    if reason:
        for plan in plans:
            for task in await runner.tasks.find(entity=plan.id):
                await runner.tasks.change(task, {DESPITE: reason})


async def request_keys(
    runner: Runner, plan: Plan, keys: Iterable[str], *, pace: Mapping[str, Any] | None = None, parts: int = 1
) -> list[Task]:
    """Ask for the records of these key texts to be marked; all of them or, when this fails, none.

    ``parts``: how many tasks are run at once.

    Raises:
        ReverseServesError: as of ``request``.

    """
    await _permitted(runner, [plan], pace)

    async def requested() -> list[Task]:
        found: list[Task] = []
        left = iter(keys)
        while part := list(islice(left, LISTED)):
            options = {**_shared(pace, parts), KEYS: part}
            id_ = await runner.tasks.request(TaskKind.BACKFILL, plan.id, REASON, options)
            found.append(Task(id_, TaskKind.BACKFILL, plan.id, REASON, {**options, KEYS: len(part)}))
        return found

    return await runner.marking.together(requested)


async def complete(
    runner: Runner,
    tasks: Sequence[Task],
    on_progress: Callable[[Progress], None],
    *,
    run: Run | None = None,
    at_once: int = 1,
) -> list[Progress]:
    """Bring tasks to their end: run those that nobody runs, watch the others; backfills before sweeps.

    Args:
        runner: knows the tasks, and runs them unless somebody else does.
        tasks: in their order.
        on_progress: called with each step; must be quick.
        run: runs a task elsewhere under the runner's name; the task's row tells how far it is.
        at_once: how many are run at once.

    """
    if run is None:
        return [await _complete(runner, task, on_progress, lambda one: runner.run(one.id)) for task in tasks]
    found: list[Progress] = []
    turns = asyncio.Semaphore(at_once)

    async def elsewhere(task: Task) -> Progress | None:
        """Claim it here: whoever is asked goes on with what is claimed, and begins nothing that was given back."""
        return None if await runner.tasks.claim(runner.plans, task.id) is None else await run(task)

    async def completed(task: Task) -> Progress:
        async with turns:
            watching = asyncio.create_task(_watch(runner, task, on_progress))
            try:
                progress = await _complete(runner, task, on_progress, elsewhere)
            except BaseException:
                with contextlib.suppress(
                    SynclineError
                ):  # whoever runs it there under our name ends with its next chunk
                    await runner.tasks.give_back(task)
                raise
            finally:
                await end(watching, seconds=END_SECONDS)
            on_progress(progress)
            return progress

    for kind in TaskKind:
        running = [asyncio.create_task(completed(task)) for task in tasks if task.kind is kind]
        try:
            found += await asyncio.gather(*running)
        finally:
            await end(*running, seconds=END_SECONDS)
    return found


async def _complete(runner: Runner, task: Task, on_progress: Callable[[Progress], None], run: Run) -> Progress:
    plan = runner.plans[task.entity]
    while True:
        if (progress := await run(task)) is not None:
            return progress
        rows = await runner.tasks.find(task=task.id)
        if not rows:
            progress = replace(progress_of(task, plan, finished=True), by_worker=True)
            on_progress(progress)
            return progress
        task = rows[0]
        on_progress(progress_of(task, plan, waiting="a worker runs it"))
        await asyncio.sleep(LOOK_SECONDS)


async def _watch(runner: Runner, task: Task, on_progress: Callable[[Progress], None]) -> None:
    """Tell how far a task is that is run elsewhere."""
    while True:
        for found in await runner.tasks.find(task=task.id):
            on_progress(progress_of(found, runner.plans[found.entity]))
        await asyncio.sleep(LOOK_SECONDS)


async def cancel(runner: Runner, plans: Sequence[Plan]) -> list[Task]:
    """Drop what earlier commands asked for and is not finished, and what waits because the link's way back serves."""
    dropped = []
    for plan in plans:
        held = False
        with contextlib.suppress(TargetUnavailableError):  # what was asked for is dropped whether it answers or not
            held = runner.reverse is not None and await runner.reverse.serving(plan.entity) is not None
        tasks = await runner.tasks.find(entity=plan.id) if held else await unfinished(runner, plan)
        dropped += [task for task in tasks if await runner.tasks.cancel(task.id)]
    return dropped


async def unfinished(runner: Runner, plan: Plan) -> list[Task]:
    """List what earlier commands asked for."""
    return [task for task in await runner.tasks.find(entity=plan.id) if task.reason == REASON]


def _shared(pace: Mapping[str, Any] | None, parts: int) -> dict[str, Any]:
    return {**(pace or {}), **({SHARED: True} if parts > 1 else {})}


def _same(task: Task, where: str | None) -> bool:
    """Whether a task marks the same records."""
    return KEYS not in task.options and task.options.get(WHERE) == where
