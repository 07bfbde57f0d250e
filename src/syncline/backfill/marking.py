"""Backfill: mark the rows of a table, range by range, in the order of its key's index; or the keys of a list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from syncline.backfill.pace import Pacer
from syncline.backfill.tasks import KEYS, WHERE, Task, Tasks
from syncline.errors import SourceError
from syncline.model.mark import Hint
from syncline.narrowing import is_of_records
from syncline.outbox.connection import Connection, translated
from syncline.outbox.key_sql import KeyStatements, chosen_keys, key_statements
from syncline.outbox.retrying import in_transaction
from syncline.outbox.sql import blocks
from syncline.ports import Plan

COUNTED = 100_000
"""Tables without statistics are counted up to so many rows."""


class Backfill:
    """Marks the rows of one entity that lie inside of its filter.

    The last key is fixed when the task begins: what is inserted later has marks of its own. So has a row that enters
    the filter later; one that is outside needs none: what the target should not have is the sweep's business (to mark
    every row of a table of which the filter takes one in a hundred would mean a hundred deletes for each write).
    Each chunk is one transaction of the marks and of the task's progress.

    A task may ask for less: rows for which a condition holds, or the keys of a list.

    Where a chunk ends a replica may say: chunks follow each other without a gap whatever it says, and what lies in them
    is looked up on the primary, where it is marked. One that fails is not asked again.
    """

    def __init__(
        self,
        connection: Connection,
        tasks: Tasks,
        pacer: Pacer,
        plan: Plan,
        told: Callable[[str], None],
        *,
        ranges: Connection | None = None,
    ) -> None:
        self._ranges = ranges
        self._connection = connection
        self._tasks = tasks
        self._pacer = pacer
        self._plan = plan
        self._told = told
        self._statements: KeyStatements

    async def run(self, task: Task) -> None:
        """Mark to the end, from where the task's progress stands.

        Raises:
            ClaimLostError: somebody else has the task, or it was cancelled.

        """
        if KEYS in task.options:
            await self._listed(task, task.options[KEYS])
            return
        self._statements = key_statements(self._plan, where=task.options.get(WHERE))
        if "last" not in task.progress:
            await self._begin(task)
        while task.progress.get("after") != task.progress["last"]:
            await self._pacer.ready(task, self._told)
            await self._chunk(task)
            self._told("")

    async def _begin(self, task: Task) -> None:
        """Note where it ends; the first chunk stores that, and whoever begins anew before then loses nothing."""
        last = await self._key(self._statements.last)
        task.progress = {"last": last, "done": 0, "marked": 0, "total": await self._size()}

    async def _chunk(self, task: Task) -> None:
        progress, codec, statements = task.progress, self._plan.projection.codec, self._statements
        last = statements.bounds(codec.parse(progress["last"]))
        after = progress.get("after")
        start = statements.bounds(codec.parse(after)) if after is not None else None
        size = self._pacer.size()
        boundary = statements.boundary if start is None else statements.boundary_after
        until = await self._boundary(boundary, *(start or ()), *last, size - 1)
        end = statements.bounds(codec.parse(until)) if until is not None else last
        mark = statements.mark if start is None else statements.mark_after

        async def marked() -> None:
            cursor = await self._connection.execute(mark, (Hint.BACKFILL.value, *(start or ()), *end))
            await self._connection.execute("/* syncline */ SELECT syncline.wake()")
            await self._advance(task, progress | {"after": until or progress["last"]}, size, cursor.rowcount)

        try:
            with translated():
                await in_transaction(self._connection, marked)
        except SourceError as error:
            if not is_of_records(error):
                raise
            await self._chunk_apart(task, start, end, until or progress["last"], size, error)
        self._pacer.took()

    async def _chunk_apart(
        self,
        task: Task,
        start: Sequence[str] | None,
        end: Sequence[str],
        until: str,
        size: int,
        error: SourceError,
    ) -> None:
        """Mark a chunk in which a condition fails at some rows.

        Whether those are to be marked nobody can say, so they are: a mark too many costs a look, and the worker parks
        the record whose filter fails.
        """
        bare = self._statements.bare if start is None else self._statements.bare_after
        with translated():
            rows = await (await self._connection.execute(bare, (*(start or ()), *end))).fetchall()
        chosen = await chosen_keys(self._connection, self._plan, self._statements, [key for (key,) in rows])
        progress = task.progress
        if WHERE in task.options and not (chosen.keys or progress["done"]):
            raise error  # nothing speaks for the condition that somebody gave: it is wrong
        keys = [*chosen.keys, *chosen.doubtful]

        async def marked() -> None:
            values = {"entity": self._plan.id, "keys": keys, "hint": Hint.BACKFILL.value}
            await self._connection.execute(blocks("queries.sql")["mark"], values)
            await self._advance(task, progress | {"after": until}, size, len(keys))

        with translated():
            await in_transaction(self._connection, marked)

    async def _listed(self, task: Task, keys: Sequence[str]) -> None:
        """Mark the keys of a list, whether they have rows or not: what has none is to go."""
        if not task.progress:
            task.progress = {"done": 0, "marked": 0, "total": len(keys)}
        while (done := task.progress["done"]) < len(keys):
            await self._pacer.ready(task, self._told)
            await self._listed_chunk(task, keys[done : done + self._pacer.size()])
            self._told("")

    async def _listed_chunk(self, task: Task, keys: Sequence[str]) -> None:
        progress = task.progress

        async def marked() -> None:
            values = {"entity": self._plan.id, "keys": list(keys), "hint": Hint.BACKFILL.value}
            await self._connection.execute(blocks("queries.sql")["mark"], values)
            await self._advance(task, progress, len(keys), len(keys))

        with translated():
            await in_transaction(self._connection, marked)
        self._pacer.took()

    async def _advance(self, task: Task, progress: dict[str, Any], done: int, marked: int) -> None:
        counts = {"done": progress["done"] + done, "marked": progress["marked"] + marked}
        task.progress = progress | counts | self._pacer.turn(marked)
        await self._tasks.advance(task)

    async def _boundary(self, statement: object, *parameters: object) -> str | None:
        """Find where a chunk ends; ``None``: no key is left beyond it, which only the primary knows."""
        if self._ranges is not None:
            try:
                if (found := await self._key(statement, *parameters, on=self._ranges)) is not None:
                    return found
            except SourceError:
                self._ranges = None
        return await self._key(statement, *parameters)

    async def _key(self, statement: object, *parameters: object, on: Connection | None = None) -> str | None:
        with translated():
            row = await (await (on or self._connection).execute(statement, parameters)).fetchone()  # type: ignore[call-overload]
        return None if row is None else str(row[0])

    async def _size(self) -> int | None:
        estimated = self._plan.projection.shape.estimated_rows
        if estimated > COUNTED:
            return estimated
        with translated():
            row = await (await self._connection.execute(self._statements.size, (COUNTED + 1,))).fetchone()
        counted = int(row[0]) if row else 0
        return counted if counted <= COUNTED else None
