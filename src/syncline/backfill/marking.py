"""Backfill: mark the rows of a table, range by range, in the order of its key's index; or the keys of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from syncline.backfill.pace import Pacer
from syncline.errors import SourceError
from syncline.model.mark import Hint
from syncline.narrowing import is_of_records
from syncline.ports import Keys, Marking, Plan, Task
from syncline.ports.tasks import KEYS, WHERE

COUNTED = 100_000
"""Tables without statistics are counted up to so many rows."""


class Backfill:
    """Marks the rows of one entity that lie inside of its filter.

    The last key is fixed when the task begins: what is inserted later has marks of its own. So has a row that enters
    the filter later; one that is outside needs none: what the target should not have is the sweep's business (to mark
    every row of a table of which the filter takes one in a hundred would mean a hundred deletes for each write).
    Each chunk is one transaction of the marks and of the task's progress.

    A task may ask for less: rows for which a condition holds, or the keys of a list.
    """

    def __init__(self, marking: Marking, pacer: Pacer, plan: Plan, on_wait: Callable[[str], None]) -> None:
        self._marking, self._tasks = marking, marking.tasks
        self._pacer = pacer
        self._plan = plan
        self._on_wait = on_wait

    async def run(self, task: Task) -> None:
        """Mark to the end, from where the task's progress stands.

        Raises:
            ClaimLostError: somebody else has the task, or it was cancelled.

        """
        self._keys = self._marking.keys(self._plan, where=task.options.get(WHERE))
        if KEYS in task.options:
            await self._listed(task, task.options[KEYS])
            return
        if "last" not in task.progress:
            await self._begin(task)
        while task.progress.get("after") != task.progress["last"]:
            await self._pacer.ready(task, self._on_wait)
            await self._chunk(task)
            self._on_wait("")

    async def _begin(self, task: Task) -> None:
        task.progress = {
            "last": await self._keys.last(),
            "done": 0,
            "marked": 0,
            "total": await size_of(self._keys, self._plan),
        }
        await self._tasks.advance(task)

    async def _chunk(self, task: Task) -> None:
        progress = task.progress
        after, last = progress.get("after"), progress["last"]
        size = self._pacer.size()
        until = await self._keys.boundary(after, last, size) or last

        async def marked(count: int) -> None:
            await self._advance(task, progress | {"after": until}, size, count)

        try:
            await self._keys.mark_range(after, until, and_=marked)
        except SourceError as error:
            if not is_of_records(error):
                raise
            await self._chunk_apart(task, until, size, error)
        self._pacer.took()

    async def _chunk_apart(self, task: Task, until: str, size: int, error: SourceError) -> None:
        """Mark a chunk in which a condition fails at some rows.

        Whether those are to be marked nobody can say, so they are: a mark too many costs a look, and the worker parks
        the record whose filter fails.
        """
        progress = task.progress
        chosen = await self._keys.chosen(progress.get("after"), until)
        if WHERE in task.options and not (chosen.keys or progress["done"]):
            raise error  # nothing speaks for the condition that somebody gave: it is wrong
        keys = [*chosen.keys, *chosen.doubtful]

        async def marked() -> None:
            await self._advance(task, progress | {"after": until}, size, len(keys))

        await self._keys.mark(keys, Hint.BACKFILL.value, and_=marked)

    async def _listed(self, task: Task, keys: Sequence[str]) -> None:
        """Mark the keys of a list, whether they have rows or not: what has none is to go."""
        if not task.progress:
            task.progress = {"done": 0, "marked": 0, "total": len(keys)}
        while (done := task.progress["done"]) < len(keys):
            await self._pacer.ready(task, self._on_wait)
            await self._listed_chunk(task, keys[done : done + self._pacer.size()])
            self._on_wait("")

    async def _listed_chunk(self, task: Task, keys: Sequence[str]) -> None:
        progress = task.progress

        async def marked() -> None:
            await self._advance(task, progress, len(keys), len(keys))

        await self._keys.mark(keys, Hint.BACKFILL.value, and_=marked)
        self._pacer.took()

    async def _advance(self, task: Task, progress: dict[str, Any], done: int, marked: int) -> None:
        counts = {"done": progress["done"] + done, "marked": progress["marked"] + marked}
        task.progress = progress | counts | self._pacer.turn(marked)
        await self._tasks.advance(task)


async def size_of(keys: Keys, plan: Plan) -> int | None:
    """Tell about how many rows an entity has; ``None``: nobody knows, and they are many."""
    estimated = plan.projection.shape.estimated_rows
    if estimated > COUNTED:
        return estimated
    counted = await keys.count(COUNTED + 1)
    return counted if counted <= COUNTED else None
