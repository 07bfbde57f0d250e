"""A worker's look at the catalog, every second: what must be marked again, and what is not captured any more."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from syncline.capture.observed import WHOLE, Difference, difference, problems, state
from syncline.errors import SynclineError
from syncline.outbox import tables
from syncline.outbox.connection import translated
from syncline.outbox.source import PostgresSource
from syncline.outbox.tables import WatchedEntity

BROKEN, GAP, FAILED = "CaptureBroken", "CaptureGap", "TaskFailed"
"""Notices: of this look and of triggers; of triggers of earlier releases; of tasks, which fail again."""
UNMENDED = "MendFailed"
MEND_SECONDS = 30.0
MANY = 5
"""Partitions that come together and are still marked one by one."""

Mend = Callable[[], Awaitable[None]]
"""Puts back what captures changes, as an installation would."""


class Lookout:
    """Compares the catalog with what was seen last, by whichever worker, and draws the conclusions.

    Args:
        source: whose catalog.
        mend: called when something is not captured; ``None``: it is only said.
        stopped: entities that cannot be served, and why; an installation may be able to change that.

    """

    def __init__(
        self, source: PostgresSource, mend: Mend | None = None, *, stopped: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._source = source
        self._mend = mend
        self._entities: Sequence[WatchedEntity] = ()
        self._digest = ""
        self._stopped = stopped
        self._looked = datetime.now(UTC)
        self._broken: Mapping[str, str] = {}
        self._mend_due = 0.0

    async def look(self) -> bool:
        """Look; tell whether anything in the catalog is otherwise than when this worker looked last."""
        connection = self._source.control
        with translated():
            found = await tables.digest(connection, tables.tables_of(self._entities))
            if found == self._digest:
                await self._try_to_mend()
                return False
            self._looked = await tables.clock(connection)
            entities = await tables.read_entities(connection)
            found = await tables.digest(connection, tables.tables_of(entities))  # before the tables: never too new
            await tables.look_at(connection, entities)
        broken = {}
        for entity in entities:
            await self._compare(entity)
            if found_problems := problems(entity, stopped=entity.name in self._stopped):
                broken[entity.name] = f"entity {entity.name}: {'; '.join(found_problems)}; run `syncline install`"
        await self._tell(broken)
        self._entities, self._digest = entities, found
        await self._try_to_mend()
        return True

    async def _compare(self, entity: WatchedEntity) -> None:
        now = state(entity)
        if now == entity.remembered:
            return
        found = difference(entity, now)
        asked = await self._tasks(found)
        reason = "; ".join([*found.whole, *found.went, *(f"{seen.name} is new" for seen in found.came)])
        with translated():
            first = await tables.remember(self._source.control, entity, now, reason=reason[:1000], tasks=asked)
        if first and asked:
            message = f"entity {entity.name}: {reason}; what that concerns is being marked"
            await self._source.notice("TableChanged", "info", message)

    async def _tasks(self, found: Difference) -> list[tuple[str, Mapping[str, Any]]]:
        if found.whole:
            return list(WHOLE)
        came = [
            seen for seen in found.came if not (seen.fresh and await tables.is_empty(self._source.control, seen.oid))
        ]
        if len(came) > MANY:
            return list(WHOLE)
        asked: list[tuple[str, Mapping[str, Any]]] = [
            ("backfill", {"where": f"tableoid = '{seen.oid}'::oid"}) for seen in came
        ]
        return [*asked, ("sweep", {})] if found.went else asked

    async def _tell(self, broken: Mapping[str, str]) -> None:
        for name, message in broken.items():
            await self._source.notice(BROKEN, "critical", message, entity=name)
        await self._source.end_notices(BROKEN, still=list(broken))
        if not broken:
            for name in (GAP, FAILED, UNMENDED):
                with translated():
                    await tables.resolve(self._source.control, name, (), before=self._looked)
        self._broken = broken
        self._mend_due = 0.0

    async def _try_to_mend(self) -> None:
        if not (self._broken or self._stopped) or self._mend is None or time.monotonic() < self._mend_due:
            return
        self._mend_due = time.monotonic() + MEND_SECONDS
        try:
            await self._mend()
        except SynclineError as error:
            message = f"capture could not be put back: {error.message}"
            await self._source.notice("MendFailed", "warning", message)
