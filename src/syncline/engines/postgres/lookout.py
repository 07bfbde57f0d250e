"""A worker's look at the catalog, every second: what must be marked again, and what is not captured any more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from syncline.capture.postgres.observed import WHOLE, Difference, difference, problems, state
from syncline.ending import end
from syncline.engines.postgres.floor import Drawn
from syncline.engines.postgres.our_schema import OurSchema
from syncline.errors import SynclineError
from syncline.journal import tables
from syncline.journal.tables import WatchedEntity
from syncline.model.notice import Notice
from syncline.ports import Notices, Reinstall
from syncline.postgres.connection import Connection, translated

REINSTALL_SECONDS = 30.0
CLOSE_SECONDS = 1.0
MANY = 5
"""Partitions that come together and are still marked one by one."""


class PostgresLookout:
    """Compares the catalog with what was seen last, by whichever worker, and draws the conclusions.

    Args:
        connection: leads to the catalog.
        notices: where it is said.
        reinstall: called when something is not captured; ``None``: it is only said.
        drawn: what the session has seen of the numbers of marks.
        stopped: entities that cannot be served; an installation may be able to change that.

    """

    def __init__(
        self,
        connection: Connection,
        notices: Notices,
        reinstall: Reinstall | None = None,
        *,
        drawn: Drawn | None = None,
        stopped: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._notices = notices
        self._ours = OurSchema(connection, notices, drawn or Drawn())
        self._reinstall = reinstall
        self._entities: Sequence[WatchedEntity] = ()
        self._digest = ""
        self._stopped = stopped
        self._looked = datetime.now(UTC)
        self._broken: Mapping[str, str] = {}
        self._reinstall_due = 0.0
        self._reinstalling: asyncio.Task[Mapping[str, SynclineError]] | None = None

    async def look(self) -> bool:
        """Look; tell whether anything in the catalog is otherwise than when this worker looked last."""
        connection = self._connection
        ours = await self._ours.look()
        with translated():
            found = await tables.digest(connection, tables.tables_of(self._entities))
            if found == self._digest and not ours:
                await self._try_to_reinstall()
                return False
            self._looked = await tables.clock(connection)
            said = await tables.open_notices(connection, Notice.CAPTURE_BROKEN)
            entities = await tables.read_entities(connection)
            found = await tables.digest(connection, tables.tables_of(entities))  # before the tables: never too new
            await tables.look_at(connection, entities)
        broken = {}
        for entity in entities:
            await self._compare(entity)
            if found_problems := problems(entity, stopped=entity.name in self._stopped):
                broken[entity.name] = f"entity {entity.name}: {'; '.join(found_problems)}; run `syncline install`"
        whole = await self._tell(broken, said)
        self._entities, self._digest = entities, found if whole else ""
        await self._try_to_reinstall()
        return True

    async def _compare(self, entity: WatchedEntity) -> None:
        now = state(entity)
        if now == entity.remembered:
            return
        found = difference(entity, now)
        asked = await self._tasks(found)
        reason = "; ".join([*found.whole, *found.went, *(f"{seen.name} is new" for seen in found.came)])
        with translated():
            first = await tables.remember(self._connection, entity, now, reason=reason[:1000], tasks=asked)
        if first and asked:
            message = f"entity {entity.name}: {reason}; what that concerns is being marked"
            await self._notices.leave(Notice.TABLE_CHANGED, "info", message)

    async def _tasks(self, found: Difference) -> list[tuple[str, Mapping[str, Any]]]:
        if found.whole:
            return list(WHOLE)
        with translated():
            came = [one for one in found.came if not (one.fresh and await tables.is_empty(self._connection, one.oid))]
        if len(came) > MANY:
            return list(WHOLE)
        asked: list[tuple[str, Mapping[str, Any]]] = [
            ("backfill", {"where": f"tableoid = '{seen.oid}'::oid"}) for seen in came
        ]
        return [*asked, ("sweep", {})] if found.went else asked

    async def _tell(self, broken: Mapping[str, str], said: Mapping[int, str]) -> bool:
        """Say what is broken, end what is not; false: somebody has said more since this look began.

        Args:
            broken: message by entity.
            said: the notices that were open when the look began, with their entities.

        """
        for name, message in broken.items():
            await self._notices.leave(Notice.CAPTURE_BROKEN, "critical", message, entity=name)
        if not self._ours.amiss:  # else triggers say it, as often as they cannot mark
            with translated():
                await tables.end_seen(self._connection, said.keys(), still=list(broken))
        if not broken:
            for name in (Notice.CAPTURE_GAP, Notice.TASK_FAILED, Notice.REINSTALL_FAILED):
                with translated():
                    await tables.resolve(self._connection, name, (), before=self._looked)
        self._broken = broken
        self._reinstall_due = 0.0
        with translated():
            now = await tables.open_notices(self._connection, Notice.CAPTURE_BROKEN)
        return self._ours.amiss or all(id_ in said or entity in broken for id_, entity in now.items())

    async def _try_to_reinstall(self) -> None:
        """Have it done beside this worker's beats, which other workers wait for; say what came of it."""
        if self._reinstalling is not None:
            if self._reinstalling.done():
                ended, self._reinstalling = self._reinstalling, None
                await self._tell_of_reinstalling(ended)
            return
        if not (self._broken or self._stopped or self._ours.lacks) or self._reinstall is None:
            return
        if time.monotonic() >= self._reinstall_due:
            self._reinstall_due = time.monotonic() + REINSTALL_SECONDS
            self._reinstalling = asyncio.create_task(self._reinstall())

    async def _tell_of_reinstalling(self, ended: asyncio.Task[Mapping[str, SynclineError]]) -> None:
        try:
            failed = ended.result()
        except SynclineError as raised:
            await self._notices.leave(
                Notice.REINSTALL_FAILED, "warning", f"capture could not be put back: {raised.message}"
            )
            return
        for name, error in failed.items():
            message = f"entity {name}: capture could not be put back: {error.message}"
            await self._notices.leave(Notice.REINSTALL_FAILED, "warning", message, entity=name)
        await self._notices.end_others(Notice.REINSTALL_FAILED, still=list(failed))

    async def close(self) -> None:
        """Break off what is being put back; the next worker goes on from there."""
        if self._reinstalling is not None:
            await end(self._reinstalling, seconds=CLOSE_SECONDS)
            if self._reinstalling.done() and not self._reinstalling.cancelled():
                self._reinstalling.exception()  # nobody else asks
            self._reinstalling = None
