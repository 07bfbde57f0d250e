"""A worker's look at our own schema: another tool may have dropped or altered some of it."""

from __future__ import annotations

import time

from syncline.journal import tables
from syncline.journal.parts import missing_parts, what_is_wrong
from syncline.model.notice import Notice, hindered
from syncline.ports import Notices
from syncline.postgres.connection import Connection, translated

LOOK_SECONDS = 5.0


class OurSchema:
    """Compares the catalog's rows about our schema with those seen last, and says what is not as it was made."""

    def __init__(self, connection: Connection, notices: Notices) -> None:
        self._connection = connection
        self._notices = notices
        self._digest = ""
        self._due = 0.0
        self.lacks = False
        """`syncline install` has something to put back."""
        self.amiss = False
        """Something is not as it was made: triggers may not be able to mark."""

    async def look(self) -> bool:
        """Look, now and then; tell whether anything is otherwise than when this worker looked last.

        Raises:
            DamagedError: nobody can tell any more which installation this was.
            SourceError: not even a notice can be left.

        """
        if time.monotonic() < self._due and not self.amiss:  # what was said is to end at once
            return False
        self._due = time.monotonic() + LOOK_SECONDS
        with translated():
            found = await tables.own_digest(self._connection)
        if found == self._digest:
            return False
        await self._judge()
        self._digest = found
        return True

    async def _judge(self) -> None:
        connection = self._connection
        with translated():
            now = await tables.clock(connection)
            lacking = await missing_parts(connection)
            odd = None if lacking else await tables.odd_outbox(connection)
            rules = await tables.foreign_rules(connection)
        self.lacks = bool(lacking)
        told: list[str] = []
        if lacking:
            told = [f"{what_is_wrong(lacking)}: changes may not be captured; run `syncline install`"]
            await self._notices.leave(Notice.SCHEMA_DAMAGED, "critical", told[0])
        elif odd:
            told = [f"{odd}: each write takes a slower way, and is noted as a gap where that fails; take it back"]
            await self._notices.leave(Notice.SCHEMA_DAMAGED, "warning", told[0])
        self.amiss = bool(told)
        with translated():
            still = [*told, hindered(rules)] if rules else told  # a worker that was kept from its work has said so
            await tables.resolve(connection, Notice.SCHEMA_DAMAGED, still, before=now)
