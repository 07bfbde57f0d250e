"""Backfills and sweeps in parts that several can be at: tasks for ranges of keys that follow each other."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from syncline.backfill.marking import size_of
from syncline.backfill.sweep import AFTER, UNTIL, id_to_text
from syncline.errors import TargetUnavailableError
from syncline.ports import Marking, Plan, Target, Task, TaskKind
from syncline.ports.tasks import WHERE

FEWEST = 5000
"""Rows that are worth a part."""
FEWEST_SWEPT = 20_000
"""Records of the target that are worth one."""
MOST = 10**15


async def sweeps(
    marking: Marking, target: Target, plan: Plan, reason: str, options: Mapping[str, Any], *, parts: int
) -> list[Task]:
    """Ask for the sweep of an entity in parts of about as many of the target's keys; all of them or none."""
    ids: list[Any] = []
    with contextlib.suppress(TargetUnavailableError):  # it is not needed before a task is run: that one waits for it
        ids = await target.cut(plan.entity, parts, least=FEWEST_SWEPT)
    if not ids:
        return [await _asked(marking, TaskKind.SWEEP, plan, reason, options, {})]
    cuts = [id_to_text(one) for one in ids]

    async def requested() -> list[Task]:
        found = []
        for after, until in zip([None, *cuts], [*cuts, None], strict=True):
            bounds = {name: text for name, text in ((AFTER, after), (UNTIL, until)) if text is not None}
            found.append(await _asked(marking, TaskKind.SWEEP, plan, reason, {**options, **bounds}, {}))
        return found

    return await marking.together(requested)


async def _asked(
    marking: Marking, kind: TaskKind, plan: Plan, reason: str, options: Mapping[str, Any], progress: dict[str, Any]
) -> Task:
    id_ = await marking.tasks.request(kind, plan.id, reason, options, progress=progress)
    return Task(id_, kind, plan.id, reason, options, progress)


async def divided(marking: Marking, plan: Plan, reason: str, options: Mapping[str, Any], *, parts: int) -> list[Task]:
    """Ask for the backfill of an entity in parts of about as many rows; all of them or none.

    A task of a part has its progress from the beginning: it is at the end of the part before.
    """
    keys = marking.keys(plan, where=options.get(WHERE))
    last = await keys.last()
    size = await size_of(keys, plan) or await keys.count(MOST)
    parts = min(parts, size // FEWEST)
    if last is None or parts <= 1:
        return [await _asked(marking, TaskKind.BACKFILL, plan, reason, options, {})]
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
            found.append(await _asked(marking, TaskKind.BACKFILL, plan, reason, options, progress))
        return found

    return await marking.together(requested)
