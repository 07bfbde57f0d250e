"""Tasks: work that marks many records, asked for by somebody and done by whichever worker is free."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

KEYS = "keys"
"""The option of a task that marks a list of keys."""
WHERE = "where"
"""The option of a task that marks the rows for which a condition holds."""
SHARED = "shared"
"""The option of tasks that are at work together: all of them keep to one rate."""

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
    sharing: int = 1
    """Tasks that share its rate and are at work, when it was advanced last."""


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
    others: bool = False
    """Some of these marks are of changes, not of tasks."""


class ClaimLostError(Exception):
    """The task belongs to somebody else now, or is gone; never leaves this package."""


class Tasks(Protocol):
    """The tasks, for one worker; its claim of one runs out unless it advances. What was done is durable."""

    async def request(
        self,
        kind: str,
        entity: int,
        reason: str,
        options: Mapping[str, Any] | None = None,
        *,
        progress: Mapping[str, Any] | None = None,
    ) -> int:
        """Ask for a backfill or a sweep; whichever worker is free does it. Returns the task's id.

        One that nobody has begun yet does for all who ask for the same; ``progress`` says where another one begins.
        """
        ...

    async def claim(self, entities: Collection[int], only: int | None = None, *, held: bool = False) -> Task | None:
        """Take the oldest task of these entities that nobody else runs (or the one named); ``None``: there is none.

        ``held``: only one that is claimed under this name already, and was not given back.
        """
        ...

    async def find(self, *, entity: int | None = None, task: int | None = None) -> list[Task]:
        """List the unfinished tasks; of a list of keys only its length."""
        ...

    async def advance(self, task: Task) -> None:
        """Store the progress, hold the claim for longer, and take in options that were changed meanwhile.

        Raises:
            ClaimLostError: it is held by somebody else.

        """
        ...

    async def cover(self, task: Task) -> None:
        """Remember what was committed when a gap's task began: it does for the gaps of all these transactions."""
        ...

    async def finish(self, task: Task) -> None:
        """Remove a task that is done, and those that it has done for."""
        ...

    async def give_back(self, task: Task) -> None:
        """Let somebody else go on with it."""
        ...

    async def change(self, task: Task, options: Mapping[str, Any]) -> None:
        """Change a task's pace; whoever runs it takes that in with its next chunk."""
        ...

    async def cancel(self, task: int) -> bool:
        """Drop a task; whoever runs it stops at its next chunk."""
        ...

    async def pressure(self, limit: int) -> Pressure:
        """Measure the queue; marks are counted up to ``limit``."""
        ...

    async def newest_mark(self, entity: int) -> int | None:
        """Give the highest ``seq`` among an entity's marks; ``None``: there are none."""
        ...

    async def marks_up_to(self, entity: int, seq: int) -> bool:
        """Tell whether marks of an entity up to ``seq`` still wait or are under way."""
        ...
