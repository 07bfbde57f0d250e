"""The table of tasks: asking for one, claiming it, keeping its progress, ending it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from syncline.outbox.connection import Connection, translated
from syncline.outbox.sql import blocks

KEYS = "keys"
"""The option of a task that marks a list of keys."""
WHERE = "where"
"""The option of a task that marks the rows for which a condition holds."""

GAP = "capture gap"
"""The reason of tasks that triggers ask for, one a transaction."""


class TaskKind(StrEnum):
    """What a task marks."""

    BACKFILL = "backfill"
    """Keys of the source."""
    SWEEP = "sweep"
    """Keys that only the target has."""


@dataclass(slots=True)
class Task:
    """A row of ``syncline.task``. ``progress`` is all that a run needs to go on where another one ended."""

    id: int
    kind: TaskKind
    entity: int
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)
    progress: dict[str, Any] = field(default_factory=dict)
    claimed: bool = True
    """Somebody is at it."""


class Pressure(NamedTuple):
    """How full the queue is."""

    queue: int
    """Marks that wait, counted up to a limit."""
    age: float
    """Of the oldest, in seconds."""
    workers: int
    """Live ones."""
    now: float
    """Seconds since 1970, by the source's clock."""


class ClaimLostError(Exception):
    """The task belongs to somebody else now, or is gone; never leaves this package."""


class Tasks:
    """The statements on tasks, for one worker on one connection (which stays the caller's)."""

    def __init__(self, connection: Connection, worker: str, *, ttl: timedelta = timedelta(seconds=15)) -> None:
        self._connection = connection
        self._worker = worker
        self._ttl = ttl
        self._queries = {**blocks("queries.sql"), **blocks("tasks.sql", "syncline.backfill")}

    async def request(self, kind: TaskKind, entity: int, reason: str, options: Mapping[str, Any] | None = None) -> int:
        """Ask for a task that any worker may run; return its id."""
        values = {"kind": kind.value, "entity": entity, "reason": reason, "options": Jsonb(dict(options or {}))}
        row = await self._one("request_task", **values)
        assert row is not None  # noqa: S101  it returns a row
        return int(row[0])

    async def claim(self, entities: Collection[int], only: int | None = None) -> Task | None:
        """Take the oldest task of these entities that nobody else runs (or the one named); ``None``: there is none."""
        row = await self._one("claim", entities=list(entities), only=only)
        return row and Task(row[0], TaskKind(row[1]), *row[2:])

    async def find(self, *, entity: int | None = None, task: int | None = None) -> list[Task]:
        """List the unfinished tasks; of a list of keys only its length."""
        with translated():
            cursor = await self._connection.execute(self._queries["unfinished"], {"entity": entity, "id": task})
            return [Task(row[0], TaskKind(row[1]), *row[2:]) for row in await cursor.fetchall()]

    async def advance(self, task: Task) -> None:
        """Store the progress, hold the claim for longer, and take in options that were changed meanwhile.

        Raises:
            ClaimLostError: it is held by somebody else.

        """
        row = await self._one("advance", id=task.id, progress=Jsonb(task.progress))
        if row is None:
            raise ClaimLostError
        task.options = row[0] | ({KEYS: task.options[KEYS]} if KEYS in task.options else {})

    async def cover(self, task: Task) -> None:
        """Remember what was committed when a gap's task began: it does for the gaps of all these transactions."""
        if task.reason == GAP and (row := await self._one("cover", id=task.id)) is not None:
            task.options = row[0]

    async def finish(self, task: Task) -> None:
        """Remove a task that is done, and those that it has done for."""
        if task.reason == GAP:
            await self._one("finish_covered", id=task.id)
        await self._one("finish", id=task.id)

    async def give_back(self, task: Task) -> None:
        """Let somebody else go on with it."""
        with translated():
            await self._connection.execute(self._queries["give_back"], {"id": task.id, "worker": self._worker})

    async def change(self, task: Task, options: Mapping[str, Any]) -> None:
        """Change a task's pace; whoever runs it takes that in with its next chunk."""
        await self._one("change", id=task.id, options=Jsonb(dict(options)))

    async def cancel(self, task: int) -> bool:
        """Drop a task; whoever runs it stops at its next chunk."""
        return await self._one("cancel", id=task) is not None

    async def pressure(self, limit: int) -> Pressure:
        """Measure the queue; marks are counted up to ``limit``."""
        row = await self._one("pressure", limit=limit)
        assert row is not None  # noqa: S101  a SELECT without FROM
        return Pressure(int(row[0]), float(row[1]), int(row[2]), float(row[3]))

    async def newest_mark(self, entity: int) -> int | None:
        """Give the highest ``seq`` among an entity's marks; ``None``: there are none."""
        row = await self._one("newest_mark", entity=entity)
        return None if row is None or row[0] is None else int(row[0])

    async def marks_up_to(self, entity: int, seq: int) -> bool:
        """Tell whether marks of an entity up to ``seq`` still wait or are under way."""
        row = await self._one("marks_up_to", entity=entity, seq=seq)
        return bool(row and row[0])

    async def _one(self, name: str, **values: Any) -> Any:
        values |= {"worker": self._worker, "ttl": self._ttl}
        with translated():
            return await (await self._connection.execute(self._queries[name], values)).fetchone()
