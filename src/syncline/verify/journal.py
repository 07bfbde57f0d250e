"""Passes under way, kept in the source (``syncline.verification``): what was found so far, and from where to go on.

A row belongs to whoever claims it, for as long as its pass goes on; when that process dies the claim expires.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.errors import SynclineError
from syncline.ports import Plan
from syncline.postgres.connection import Connection, fetch_one, identify, translated
from syncline.postgres.sql import blocks

TTL = timedelta(seconds=10)
SAVE_SECONDS = 1.0
"""A pass that is killed repeats so much of its work, and what one page takes."""


class PassLostError(SynclineError):
    """Somebody else goes on with this pass: this process was silent for too long."""

    retryable = True


@dataclass(slots=True)
class Checkpoint:
    """A row of ``syncline.verification`` that is ours."""

    id: int
    state: Mapping[str, Any] = field(default_factory=dict)
    """As the pass wrote it; empty: it begins."""
    findings: Sequence[Mapping[str, Any]] = ()


class Journal:
    """The statements on unfinished passes, for one process on one connection (which stays the caller's)."""

    def __init__(self, connection: Connection, *, owner: str | None = None, ttl: timedelta = TTL) -> None:
        self._connection = connection
        self._ttl = ttl
        self._values = {"owner": owner or str(uuid.uuid4()), "ttl": ttl}
        self._queries = blocks("verify.sql", "syncline.verify")

    async def guard(self) -> str:
        """Name what a pass is about besides its entity: this source, on this timeline, as installed now."""
        (installation,) = await fetch_one(self._connection, self._queries["guard"])
        identity = await identify(self._connection)
        return f"{installation} {identity.system} {identity.timeline}"

    async def begin(self, plan: Plan, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        """Write the first row of a pass."""
        row = await self.one("pass_begin", entity=plan.id, scope=scope, state=Jsonb(dict(state)))
        assert row is not None  # noqa: S101  it returns a row
        return Checkpoint(row[0])

    async def save(
        self, checkpoint: Checkpoint, state: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Keep how far it has come; ``findings`` is ``None`` while they are the same.

        Raises:
            PassLostError: the row is somebody else's.

        """
        text = None if findings is None else json.dumps(findings, ensure_ascii=True)
        if await self.one("pass_save", id=checkpoint.id, state=Jsonb(dict(state)), findings=text) is None:
            raise PassLostError

    async def hold(self, checkpoint: Checkpoint) -> None:
        """Keep the claim while there is nothing new to keep.

        Raises:
            PassLostError: the row is somebody else's.

        """
        if await self.one("pass_hold", id=checkpoint.id) is None:
            raise PassLostError

    async def end(self, checkpoint: Checkpoint) -> None:
        """Remove the row of a pass."""
        await self.run("pass_end", id=checkpoint.id)

    async def release(self, checkpoint: Checkpoint) -> None:
        """Let others go on with it at once; when that fails the claim expires."""
        with contextlib.suppress(SynclineError, psycopg.Error, TimeoutError):
            async with asyncio.timeout(1):
                await self._connection.execute(self._queries["pass_release"], self._values | {"id": checkpoint.id})

    async def forget(self, plans: Sequence[Plan]) -> None:
        """Drop what earlier commands left unfinished."""
        await self.run("pass_forget", entities=[plan.id for plan in plans])

    async def resume(self, plan: Plan, scope: str) -> Checkpoint | None:
        """Take the newest unfinished pass of a command over, when its process is dead; ``None``: there is none like it.

        Raises:
            SynclineError: its process lives.

        """
        until = time.monotonic() + self._ttl.total_seconds() + 2
        while (row := await self.one("pass_find", entity=plan.id)) is not None and row[1] == scope:
            if not row[2] and (mine := await self.one("pass_claim", id=row[0])) is not None:
                return Checkpoint(mine[0], mine[1], json.loads(mine[2]))
            if time.monotonic() > until:
                raise SynclineError(
                    f"another process is verifying {plan.name}", hint="let it finish, or verify without --resume"
                )
            await asyncio.sleep(0.2)
        return None

    async def run(self, name: str, **values: Any) -> None:
        """Run a statement."""
        with translated():
            await self._connection.execute(self._queries[name], self._values | values)

    async def one(self, name: str, **values: Any) -> Any:
        """Run a statement that gives a row, or none."""
        with translated():
            return await (await self._connection.execute(self._queries[name], self._values | values)).fetchone()
