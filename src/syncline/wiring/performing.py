"""Doing jobs of bulk work in a process that has settings of its own."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from syncline.config import Settings
from syncline.copying.copier import Copier
from syncline.copying.pace import Pacing
from syncline.errors import SourceUnavailableError, TargetUnavailableError, UnlikeWorkerError
from syncline.ports import Plan, Plans
from syncline.postgres.connection import Connection
from syncline.verify.part import Part, look_at, require_same
from syncline.verify.sides import Sides
from syncline.wiring.backfilling import Bench, TaskJob, opened_bench
from syncline.wiring.carrying import CarryJob, carried
from syncline.wiring.copying import opened_copier
from syncline.wiring.sides import opened_sides, opened_source, same_here


class LinkPerformer:
    """See ``syncline.ports.Performer``.

    What jobs need is opened with the first one, in the task that asks for it, and closed with the stack; or after a job
    for which a side did not answer, so that the next one has connections that are not lost.

    Args:
        settings: where the databases are, and what is synced.
        stack: closes what was opened.

    """

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._opened = AsyncExitStack()
        stack.push_async_callback(self._close)
        self._sides: tuple[Sides, Plans] | None = None
        self._bench: Bench | None = None
        self._copier: tuple[Copier, Plans, Connection] | None = None

    async def perform(self, job: Any) -> Any:
        """Do a job.

        Raises:
            SynclineError: as of the job.

        """
        try:
            return await self._done(job)
        except (SourceUnavailableError, TargetUnavailableError):
            await self._close()
            raise

    async def _close(self) -> None:
        self._sides = self._bench = self._copier = None
        await self._opened.aclose()

    async def _done(self, job: Any) -> Any:
        if isinstance(job, Part):
            if self._sides is None:
                self._sides = await self._opened.enter_async_context(opened_sides(self._settings))
            sides, plans = self._sides
            return await look_at(sides, _named(plans, job.entity), job)
        if isinstance(job, TaskJob):
            if self._bench is None:
                self._bench = await self._opened.enter_async_context(opened_bench(self._settings))
            plan = _named(self._bench.plans, job.entity)
            runner = self._bench.runner(job.owner)
            renew = partial(runner.tasks.claim, [plan.id], job.task, held=True)
            here = await self._bench.same_when_there(plan, targets=bool(job.same.owner), renew=renew)
            require_same(plan.name, job.same, here)
            return await runner.resume(job.task)
        if isinstance(job, CarryJob):
            if self._copier is None:
                source = await self._opened.enter_async_context(opened_source(self._settings))
                opened = await self._opened.enter_async_context(opened_copier(self._settings, Pacing(None)))
                self._copier = *opened, source
            copier, plans, source = self._copier
            plan = _named(plans, job.entity)
            require_same(plan.name, job.same, await same_here(source, copier.target, plan))
            return await carried(copier, plan, job)
        raise TypeError(f"no job: {type(job).__name__}")


def _named(plans: Plans, name: str) -> Plan:
    for plan in plans.by_id.values():
        if plan.name == name:
            return plan
    said = plans.problems.get(name, "its configuration declares no such entity")
    raise UnlikeWorkerError(f"{name}: {said}", hint="give it the configuration of the command, and start again")
