"""The table of tasks: asking for one, claiming it, keeping its progress, ending it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from psycopg.types.json import Jsonb

from syncline.journal.named import Statements
from syncline.ports import ClaimLostError, Pressure, Task, TaskKind
from syncline.ports.tasks import GAP, KEYS
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import dialect_of, statements
from syncline.postgres.sql import blocks


class SqlTasks:
    """See ``syncline.ports.Tasks``; for one worker on one connection, which stays the caller's."""

    def __init__(self, connection: Connection, worker: str, *, ttl: timedelta = timedelta(seconds=15)) -> None:
        queries = {**statements("queries.sql", dialect_of(connection)), **blocks("tasks.sql")}
        self._statements = Statements(connection, queries, worker=worker, ttl=ttl)

    async def request(
        self,
        kind: str,
        entity: int,
        reason: str,
        options: Mapping[str, Any] | None = None,
        *,
        progress: Mapping[str, Any] | None = None,
    ) -> int:
        """Ask for a task that any worker may run; return its id."""
        asked = {"options": Jsonb(dict(options or {})), "progress": Jsonb(dict(progress or {}))}
        return int(
            (await self._statements.one("request_task", kind=str(kind), entity=entity, reason=reason, **asked))[0]
        )

    async def claim(self, entities: Collection[int], only: int | None = None, *, held: bool = False) -> Task | None:
        """Take the oldest task of these entities that nobody else runs (or the one named); ``None``: there is none.

        ``held``: only one that is claimed under this name already, and was not given back.
        """
        row = await self._statements.row("claim", entities=list(entities), only=only, held=held)
        return None if row is None else Task(row[0], TaskKind(row[1]), *row[2:])

    async def find(self, *, entity: int | None = None, task: int | None = None) -> list[Task]:
        """List the unfinished tasks; of a list of keys only its length."""
        rows = await self._statements.all("unfinished", entity=entity, id=task)
        return [Task(row[0], TaskKind(row[1]), *row[2:]) for row in rows]

    async def advance(self, task: Task) -> None:
        """Store the progress, hold the claim for longer, and take in options that were changed meanwhile.

        Raises:
            ClaimLostError: it is held by somebody else.

        """
        row = await self._statements.row("advance", id=task.id, progress=Jsonb(task.progress))
        if row is None:
            raise ClaimLostError
        task.options = row[0] | ({KEYS: task.options[KEYS]} if KEYS in task.options else {})
        task.sharing = max(1, row[1])

    async def cover(self, task: Task) -> None:
        """Remember what was committed when a gap's task began: it does for the gaps of all these transactions."""
        if task.reason == GAP and (row := await self._statements.row("cover", id=task.id)) is not None:
            task.options = row[0]

    async def finish(self, task: Task) -> None:
        """Remove a task that is done, and those that it has done for."""
        if task.reason == GAP:
            await self._statements.row("finish_covered", id=task.id)
        await self._statements.row("finish", id=task.id)

    async def give_back(self, task: Task) -> None:
        """Let somebody else go on with it."""
        await self._statements.run("give_back", id=task.id)

    async def change(self, task: Task, options: Mapping[str, Any]) -> None:
        """Change a task's pace; whoever runs it takes that in with its next chunk."""
        await self._statements.row("change", id=task.id, options=Jsonb(dict(options)))

    async def cancel(self, task: int) -> bool:
        """Drop a task; whoever runs it stops at its next chunk."""
        return await self._statements.row("cancel", id=task) is not None

    async def pressure(self, limit: int) -> Pressure:
        """Measure the queue; marks are counted up to ``limit``."""
        row = await self._statements.one("pressure", limit=limit)
        return Pressure(int(row[0]), float(row[1]), int(row[2]), float(row[3]), bool(row[4]))

    async def newest_mark(self, entity: int) -> int | None:
        """Give the highest ``seq`` among an entity's marks; ``None``: there are none."""
        row = await self._statements.row("newest_mark", entity=entity)
        return None if row is None or row[0] is None else int(row[0])

    async def marks_up_to(self, entity: int, seq: int) -> bool:
        """Tell whether marks of an entity up to ``seq`` still wait or are under way."""
        row = await self._statements.row("marks_up_to", entity=entity, seq=seq)
        return bool(row and row[0])
