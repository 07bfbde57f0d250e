"""A backfill in parts that several can be at: tasks for ranges of keys that follow each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from syncline.backfill.marking import size_of
from syncline.ports import Marking, Plan, Task, TaskKind
from syncline.ports.tasks import WHERE

FEWEST = 5000
"""Rows that are worth a part."""
MOST = 10**15


async def divided(marking: Marking, plan: Plan, reason: str, options: Mapping[str, Any], *, parts: int) -> list[Task]:
    """Ask for the backfill of an entity in parts of about as many rows; all of them or none.

    A task of a part has its progress from the beginning: it is at the end of the part before.
    """
    keys = marking.keys(plan, where=options.get(WHERE))
    last = await keys.last()
    size = await size_of(keys, plan) or await keys.count(MOST)
    parts = min(parts, size // FEWEST)
    if last is None or parts <= 1:
        id_ = await marking.tasks.request(TaskKind.BACKFILL, plan.id, reason, options)
        return [Task(id_, TaskKind.BACKFILL, plan.id, reason, options)]
    ends: list[str | None] = []
    after: str | None = None
    while len(ends) < parts - 1 and (after := await keys.boundary(after, last, size // parts)) not in (None, last):
        ends.append(after)
    starts = [None, *ends]

    async def requested() -> list[Task]:
        found = []
        for start, until in zip(starts, [*ends, last], strict=True):
            begun = {} if start is None else {"after": start}
            progress = {**begun, "last": until, "done": 0, "marked": 0, "total": size // len(starts)}
            id_ = await marking.tasks.request(TaskKind.BACKFILL, plan.id, reason, options, progress=progress)
            found.append(Task(id_, TaskKind.BACKFILL, plan.id, reason, options, progress))
        return found

    return await marking.together(requested)
