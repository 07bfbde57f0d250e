"""A worker's look at our own schema: another tool may have dropped or altered some of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from syncline.engines.postgres.floor import Drawn
from syncline.errors import StalePlanError
from syncline.journal import tables
from syncline.journal.parts import missing_parts, numbers_set_back, what_is_wrong
from syncline.model.notice import Notice, hindered
from syncline.ports import Notices
from syncline.postgres.connection import Connection, translated

LOOK_SECONDS = 5.0


class OurSchema:
    """Compares the catalog's rows about our schema with those seen last, and says what is not as it was made."""

    def __init__(self, connection: Connection, notices: Notices, drawn: Drawn) -> None:
        self._connection = connection
        self._drawn = drawn
        self._notices = notices
        self._digest = ""
        self._behind: list[str] = []
        self._due = 0.0
        self._lacks = False
        self.amiss = False
        """Something is not as it was made: triggers may not be able to mark."""

    @property
    def lacks(self) -> bool:
        """Whether `syncline install` has something to put back."""
        return self._lacks or bool(self._behind)

    async def look(self) -> bool:
        """Look, now and then; tell whether anything is otherwise than when this worker looked last.

        Raises:
            DamagedError: nobody can tell any more which installation this was.
            SourceError: not even a notice can be left.
            StalePlanError: see ``_numbers``.

        """
        if time.monotonic() < self._due and not self.amiss:  # what was said is to end at once
            return False
        self._due = time.monotonic() + LOOK_SECONDS
        with translated():
            found = await tables.own_digest(self._connection)
            if found != self._digest:
                self._lacks = bool(await missing_parts(self._connection))
        behind = [] if self._lacks else await self._numbers()
        if (found, behind) == (self._digest, self._behind):
            return False
        await self._judge(behind)
        self._digest, self._behind = found, behind
        return True

    async def _numbers(self) -> list[str]:
        """Name the tables whose numbers somebody has set back.

        Raises:
            StalePlanError: those of the marks were: new ones may stand below what this session has read.

        """
        before = self._drawn.highest  # read first: the relay raises it meanwhile
        with translated():
            numbers = await tables.numbers(self._connection)
        given = numbers["outbox"][0]
        if given < before:
            raise StalePlanError(f"the numbers of marks were set back from {before} to {given}")
        self._drawn.highest = max(self._drawn.highest, given)
        return tables.set_back(numbers)

    async def _judge(self, behind: Sequence[str]) -> None:
        connection = self._connection
        with translated():
            now = await tables.clock(connection)
            lacking = await missing_parts(connection)
            odd = None if lacking else await tables.odd_outbox(connection)
            rules = await tables.foreign_rules(connection)
        self._lacks = bool(lacking)
        told: list[str] = []
        if lacking:
            told = [f"{what_is_wrong(lacking)}: changes may not be captured; run `syncline install`"]
            await self._notices.leave(Notice.SCHEMA_DAMAGED, "critical", told[0])
        elif odd:
            told = [f"{odd}: each write takes a slower way, and is noted as a gap where that fails; take it back"]
            await self._notices.leave(Notice.SCHEMA_DAMAGED, "warning", told[0])
        if behind:
            told.append(f"{numbers_set_back(behind)}: what has one already is refused; run `syncline install`")
            await self._notices.leave(Notice.SCHEMA_DAMAGED, "critical", told[-1])
        self.amiss = bool(told)
        with translated():
            still = [*told, hindered(rules)] if rules else told  # a worker that was kept from its work has said so
            await tables.resolve(connection, Notice.SCHEMA_DAMAGED, still, before=now)
