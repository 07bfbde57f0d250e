"""Sweep: walk the target's keys and mark those that the source lacks."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from syncline.backfill.pace import Pacer
from syncline.errors import TargetUnavailableError
from syncline.model.mark import Hint
from syncline.model.strict_bson import decoded, encoded
from syncline.ports import ClaimLostError, Document, Marking, Plan, Target, Task

PAGE = 2000
MAX_PAUSE_SECONDS = 10.0
LOOK_SECONDS = 0.2
PATIENCE = 20
"""Times the grace that a sweep waits for writes of live workers; an entity that is not served must not stop others."""
AFTER, UNTIL = "after", "until"
"""The options of a part: between which documents it is.

It has no progress until it has waited for writes, as any sweep; so a worker of an older release waits, too.
"""


class Sweep:
    """Marks what the target has of one entity and the source has not.

    A record that is inserted meanwhile has a mark of its own, and wins: a mark never says what the state is. A document
    whose ``_id`` no row can have is removed when it is ours, of a key that the table had before; those of others are
    counted and never touched.

    A write that is on its way may bring a record that is gone by now, behind the place where the sweep has been. Its
    mark still stands: the sweep first waits until the marks that it finds are gone: while
    a worker lives for many times the grace, else once.
    """

    def __init__(
        self,
        marking: Marking,
        pacer: Pacer,
        plan: Plan,
        target: Target,
        on_wait: Callable[[str], None],
        *,
        grace: timedelta,
    ) -> None:
        self._tasks = marking.tasks
        self._pacer = pacer
        self._plan = plan
        self._target = target
        self._on_wait = on_wait
        self._grace = grace
        self._keys = marking.keys(plan)

    async def run(self, task: Task) -> None:
        """Walk to the end, from where the task's progress stands; an outage of the target is waited for.

        Raises:
            ClaimLostError: somebody else has the task, or it was cancelled.

        """
        if not task.progress:
            await self._writes_landed(task)
            task.progress = {"done": 0, "marked": 0, "foreign": 0}
        pause = 0.2
        while True:
            before = task.progress["done"]
            try:
                await self._walk(task)
            except TargetUnavailableError as error:
                pause = 0.2 if task.progress["done"] != before else min(pause * 2, MAX_PAUSE_SECONDS)
                self._on_wait(f"waits for the target: {error.message}")
                await self._tasks.advance(task)
                await asyncio.sleep(pause)
            else:
                return

    async def _writes_landed(self, task: Task) -> None:
        newest = await self._tasks.newest_mark(self._plan.id)
        began, grace = time.monotonic(), self._grace.total_seconds()
        while newest is not None and await self._tasks.marks_up_to(self._plan.id, newest):
            found = await self._tasks.pressure(1)
            if time.monotonic() - began > (PATIENCE * grace if found.workers else grace):
                return
            self._on_wait("waits for writes that are on their way")
            await self._tasks.advance(task)
            await asyncio.sleep(LOOK_SECONDS)

    async def _walk(self, task: Task) -> None:
        after = task.progress.get("after", task.options.get(AFTER))
        first = None if after is None else id_from_text(after)
        until = id_from_text(task.options[UNTIL]) if UNTIL in task.options else ...
        size = self._pacer.size(PAGE)
        pages = self._target.walk(self._plan.entity, after=first, size=size, resume=after is not None, until=until)
        async for page in pages:
            await self._pacer.ready(task, self._on_wait)
            await self._page(task, page)
            self._on_wait("")

    async def _page(self, task: Task, page: Sequence[Document]) -> None:
        ids = [document["_id"] for document in page]
        texts = list(map(self._plan.projection.codec.equal_text, ids))
        keys = [key for key in texts if key is not None]
        found = await self._keys.absent(keys)
        impossible = {None, *found.impossible}
        others = [id_ for id_, key in zip(ids, texts, strict=True) if key in impossible]
        progress = task.progress
        task.progress = {
            **progress,
            "after": id_to_text(page[-1]["_id"]),
            "done": progress["done"] + len(page),
            "marked": progress["marked"] + len(found.keys),
            "foreign": progress["foreign"] + len(others),
            **self._pacer.turn(len(page)),
        }

        async def marked() -> None:
            await self._tasks.advance(task)
            await self._discard(task, others)

        await self._keys.mark(found.keys, Hint.REPAIR.value, and_=marked)

    async def _discard(self, task: Task, others: Sequence[Any]) -> None:
        """Remove documents of ours whose ``_id`` no row can have.

        Inside the transaction that has advanced the task, which keeps the key from becoming another one meanwhile: that
        takes the task away.
        """
        if not others:
            return
        if not await self._keys.are_still_the_key():
            raise ClaimLostError
        removed = await self._target.discard(self._plan.entity, others)
        task.progress["marked"] += removed
        task.progress["foreign"] -= removed


def id_to_text(document_id: Any) -> str:
    """Write any ``_id`` as text that gives it back exactly."""
    return base64.b64encode(encoded({"_id": document_id})).decode("ascii")


def id_from_text(text: str) -> Any:
    """Read what ``id_to_text`` wrote."""
    (document_id,) = decoded(base64.b64decode(text)).values()
    return document_id
