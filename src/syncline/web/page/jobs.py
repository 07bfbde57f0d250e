"""Verification, repair and the like of an entity, as somebody asks for them on the page; one at a time for each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from syncline.config import redact
from syncline.errors import SynclineError
from syncline.web.problems import Problem

KEPT = 8

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


Work = Callable[[Job], Awaitable[tuple[str, str]]]
"""Does what was asked for; gives the state and the message that remain."""


class Jobs:
    """What people asked for here, the newest first.

    Args:
        works: what can be asked for, by name.
        entities: for which entities.
        changed: is told when a job begins or ends.

    """

    def __init__(
        self, works: Mapping[str, Work], entities: Collection[str], changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._works, self._entities = works, entities
        self._changed = changed
        self._jobs: list[Job] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def as_list(self) -> list[dict[str, Any]]:
        """List them."""
        return [job.as_dict() for job in self._jobs]

    async def ask(self, what: str, entity: str, who: str) -> Job:
        """Begin one.

        Raises:
            Problem: there is no such work or entity, or one is under way for it.

        """
        if what not in self._works:
            raise Problem(404, f"what can be asked for of an entity: {', '.join(self._works)}")
        if entity not in self._entities:
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
