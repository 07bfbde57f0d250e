"""Whether a task may run: not while the link's way back serves its records, unless an operator says why it is right."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from syncline.errors import TargetUnavailableError
from syncline.ports import DESPITE, Plan, Reverse, Task, TaskKind, Tasks

PAUSE_SECONDS, MAX_PAUSE_SECONDS = 0.2, 2.0
_WORK = {TaskKind.BACKFILL: "a backfill", TaskKind.SWEEP: "a sweep"}


class Permit:
    """Asks before each chunk; the way back may have been installed since the last one."""

    def __init__(self, tasks: Tasks, reverse: Reverse | None, plan: Plan, on_wait: Callable[[str], None]) -> None:
        self._tasks = tasks
        self._reverse = reverse
        self._plan = plan
        self._on_wait = on_wait

    async def need(self, task: Task, *, fresh: bool = False) -> None:
        """Return when the task may go on; an outage of the target is waited for, with the claim kept.

        Raises:
            ReverseServesError: it may not.
            ClaimLostError: somebody else has the task, or it was cancelled.

        """
        if self._reverse is None:
            return
        pause = PAUSE_SECONDS
        while True:
            try:
                found = await self._reverse.serving(self._plan.entity, fresh=fresh)
            except TargetUnavailableError as error:
                self._on_wait(f"waits for the target: {error.message}")
                await self._tasks.advance(task)
                await asyncio.sleep(pause)
                pause = min(2 * pause, MAX_PAUSE_SECONDS)
                continue
            if found is None or (found.link is not None and task.options.get(DESPITE)):
                return
            raise found.refusal(self._plan.name, f"{_WORK[task.kind]} ({task.reason})")
