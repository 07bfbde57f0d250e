"""Passes under way, and whose turn it is: rows of ``syncline.verification``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.errors import PassLostError, SynclineError
from syncline.journal.named import Statements
from syncline.ports import Checkpoint, Passes, Plan, Turn
from syncline.postgres.connection import Connection, identify
from syncline.postgres.sql import blocks

TTL = timedelta(seconds=10)


class PassRows(ABC):
    """Passes kept as rows, whatever of: a subclass has their statements, which all are named alike.

    Args:
        ttl: so long after its last word a process is dead.

    """

    def __init__(self, ttl: timedelta) -> None:
        self._ttl = ttl

    @abstractmethod
    async def _rows(self, name: str, /, **values: Any) -> list[Any]:
        """Run a statement; give its rows, if it has any."""

    async def _begin(self, of: int | str, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        """Write the first row of a pass."""
        rows = await self._rows("pass_begin", of=of, scope=scope, state=Jsonb(dict(state)))
        return Checkpoint(rows[0][0])

    async def save(
        self, checkpoint: Checkpoint, state: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Keep how far it has come; ``findings`` is ``None`` while they are the same.

        Raises:
            PassLostError: the row is somebody else's.

        """
        text = None if findings is None else json.dumps(findings, ensure_ascii=True)
        if not await self._rows("pass_save", id=checkpoint.id, state=Jsonb(dict(state)), findings=text):
            raise PassLostError

    async def hold(self, checkpoint: Checkpoint) -> None:
        """Keep the claim while there is nothing new to keep.

        Raises:
            PassLostError: the row is somebody else's.

        """
        if not await self._rows("pass_hold", id=checkpoint.id):
            raise PassLostError

    async def end(self, checkpoint: Checkpoint) -> None:
        """Remove the row of a pass."""
        await self._rows("pass_end", id=checkpoint.id)

    async def release(self, checkpoint: Checkpoint) -> None:
        """Let others go on with it at once; when that fails the claim expires."""
        with contextlib.suppress(SynclineError, psycopg.Error, TimeoutError):
            async with asyncio.timeout(1):
                await self._rows("pass_release", id=checkpoint.id)

    async def _resume(self, of: int | str, name: str, scope: str) -> Checkpoint | None:
        """Take the newest unfinished pass of a command over, when its process is dead; ``None``: there is none like it.

        Raises:
            SynclineError: its process lives.

        """
        until = time.monotonic() + self._ttl.total_seconds() + 2
        while (rows := await self._rows("pass_find", of=of)) and rows[0][1] == scope:
            id_, _, busy = rows[0]
            if not busy and (mine := await self._rows("pass_claim", id=id_)):
                return Checkpoint(mine[0][0], mine[0][1], json.loads(mine[0][2]))
            if time.monotonic() > until:
                raise SynclineError(
                    f"another process is verifying {name}", hint="let it finish, or verify without --resume"
                )
            await self._rows("trim_claims")
            await asyncio.sleep(0.2)
        return None


class SqlPasses(PassRows):
    """See ``syncline.ports.Passes``; the connection stays the caller's."""

    def __init__(self, connection: Connection, *, owner: str | None = None, ttl: timedelta = TTL) -> None:
        super().__init__(ttl)
        self._connection = connection
        self._statements = Statements(connection, blocks("verification.sql"), owner=owner or str(uuid.uuid4()), ttl=ttl)

    async def _rows(self, name: str, /, **values: Any) -> list[Any]:
        return await self._statements.all(name, **values)

    async def guard(self) -> str:
        """Name what a pass is about besides its entity: this source, on this timeline, as installed now."""
        (installation,) = await self._statements.one("guard")
        identity = await identify(self._connection)
        return f"{installation} {identity.system} {identity.timeline}"

    async def begin(self, plan: Plan, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        """Write the first row of a pass."""
        return await self._begin(plan.id, scope, state)

    async def forget(self, plans: Sequence[Plan]) -> None:
        """Drop what earlier commands left unfinished."""
        await self._rows("pass_forget", entities=[plan.id for plan in plans])

    async def resume(self, plan: Plan, scope: str) -> Checkpoint | None:
        """Take over as ``Passes`` says."""
        return await self._resume(plan.id, plan.name, scope)


class SqlRounds:
    """See ``syncline.ports.Rounds``: the one row of origin ``worker``."""

    def __init__(self, connection: Connection, owner: str) -> None:
        self.passes: Passes = SqlPasses(connection, owner=owner)
        self._statements = Statements(connection, blocks("verification.sql"), owner=owner, ttl=TTL)

    async def claim(self) -> Turn | None:
        """Take the row, or keep it; ``None``: another worker has it."""
        row = await self._statements.row("round_claim")
        if row is None:
            await self._statements.run("round_create")
            row = await self._statements.row("round_claim")
        return None if row is None else Turn(Checkpoint(row[0], row[3], json.loads(row[4])), row[1], row[2])

    async def begin(self, turn: Turn, plan: Plan, scope: str) -> Turn:
        """Give the turn to an entity."""
        await self._statements.run("round_turn", id=turn.checkpoint.id, entity=plan.id, scope=scope)
        return Turn(Checkpoint(turn.checkpoint.id), plan.id, scope)

    async def done(self, turn: Turn) -> None:
        """Give the turn to nobody."""
        await self._statements.run("round_turn", id=turn.checkpoint.id, entity=0, scope="")

    async def ages(self) -> dict[int, float]:
        """Tell how many seconds ago each entity's newest full pass began."""
        return dict(await self._statements.all("last_passes"))

    async def copies(self) -> Mapping[int, tuple[str, bool]]:
        """Tell which copy of an entity's table was the last one, and whether it is under way."""
        return {entity: (copy, under_way) for entity, copy, under_way in await self._statements.all("copies")}
