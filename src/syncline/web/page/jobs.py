"""Verification, repair and backfill of an entity, as somebody asks for them on the page; one at a time for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import structlog

from syncline.config import Settings, redact
from syncline.errors import SynclineError
from syncline.insight import reach
from syncline.verify.one_pass import Options, Step
from syncline.verify.render import sentence
from syncline.verify.repair import Repairer
from syncline.verify.report import Verdict
from syncline.verify.verifier import verify
from syncline.web.page.records import statements
from syncline.web.problems import Problem
from syncline.wiring import opened_sides, require_right_side_of

KEPT = 8
RATE = 10_000
"""Records a second: the application feels little of it."""
PATIENCE = timedelta(seconds=60)

_log = structlog.get_logger("syncline")


@dataclass(slots=True)
class Job:
    """Something that was asked for, and what became of it."""

    id: int
    what: str
    entity: str
    who: str
    asked_at: float = field(default_factory=time.time)
    state: str = "running"
    """``running``, ``done``, ``divergent`` or ``failed``."""
    message: str = ""
    done: int = 0
    total: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Give the form that the page shows."""
        names = ("id", "what", "entity", "state", "message", "done", "total")
        return {name: getattr(self, name) for name in names} | {"askedAt": self.asked_at}


class Jobs:
    """What people asked for here, the newest first.

    Args:
        settings: both databases, and the entities as declared.
        changed: is told when a job begins or ends.

    """

    def __init__(self, settings: Settings, changed: Callable[[], Awaitable[None]]) -> None:
        self._settings = settings
        self._changed = changed
        self._jobs: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._works = {"verify": self._verify, "repair": self._repair, "backfill": self._backfill}

    def as_list(self) -> list[dict[str, Any]]:
        """List them."""
        return [job.as_dict() for job in self._jobs]

    async def ask(self, what: str, entity: str, who: str) -> Job:
        """Begin one.

        Raises:
            Problem: there is no such work or entity, or one is under way for it.

        """
        if what not in self._works:
            raise Problem(404, "an entity can be verified, repaired or backfilled")
        if self._settings.entity(entity) is None:
            raise Problem(404, f"the configuration of this page declares no entity {entity!r}")
        if any(job.entity == entity and job.state == "running" for job in self._jobs):
            raise Problem(409, f"something is under way for {entity} already", hint="wait for its end")
        job = Job(time.time_ns(), what, entity, who)
        self._jobs = [job, *self._jobs][:KEPT]
        task = asyncio.create_task(self._run(job), name=f"syncline page {what}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        _log.info("asked for on the operations page", what=what, entity=entity, who=who)
        await self._changed()
        return job

    async def close(self) -> None:
        """Cancel what is under way: nothing is lost, it can be asked for again."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=3)

    async def _run(self, job: Job) -> None:
        try:
            job.state, job.message = await self._works[job.what](job)
        except SynclineError as error:
            job.state, job.message = "failed", redact(f"{error.message}{f'; {error.hint}' if error.hint else ''}")
        except asyncio.CancelledError:
            job.state, job.message = "failed", "the page's server was stopped"
            raise
        except Exception as error:  # noqa: BLE001  whoever asked hears of it, the page goes on
            job.state, job.message = "failed", redact(f"unexpected {type(error).__name__}: {error}")
            _log.exception("a job of the operations page failed", what=job.what, entity=job.entity)
        await self._changed()

    async def _verify(self, job: Job) -> tuple[str, str]:
        async with opened_sides(self._settings, _teller(job)) as (sides, plans):
            report = await verify(sides, [plans.named(job.entity)], Options(patience=PATIENCE, rate=RATE))
        return "divergent" if report.verdict is Verdict.DIVERGENT else "done", sentence(report)

    async def _repair(self, job: Job) -> tuple[str, str]:
        async with opened_sides(self._settings, _teller(job)) as (sides, plans):
            plan = plans.named(job.entity)
            repairer = Repairer(sides, {plan.name: plan})
            await repairer.require_right_side()
            await verify(sides, [plan], Options(patience=PATIENCE, rate=RATE, taker=repairer))
            await repairer.audit()
        left = repairer.report.left_by.total()
        told = f"{repairer.report.marked_by.total():,} records marked" + (f", {left:,} left alone" if left else "")
        return (
            "divergent" if left else "done",
            f"{told}. A repair is not a verification: verify when the queue is empty.",
        )

    async def _backfill(self, job: Job) -> tuple[str, str]:
        await require_right_side_of(self._settings, [job.entity], "a backfill")
        async with reach.source(self._settings.source, purpose="page") as source:
            tasks = await reach.query(source, statements()["request"], {"entity": job.entity})
        return "done", "a worker marks every record" if tasks else "it was asked for already"


def _teller(job: Job) -> Callable[[Step], None]:
    def told(step: Step) -> None:
        job.done, job.total = step.done, step.total or 0

    return told
