"""The journal of a move: which side is wanted, which one serves, and which coordinator has the lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg

from syncline.errors import NotMovingError
from syncline.split.address import Address
from syncline.split.switching.gate import Session, sql

LEASE = timedelta(seconds=3)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """What the journal says."""

    number: int
    """The last coordinator's."""
    goal: str
    """The side that shall accept writes."""
    phase: str
    """The side that was last seen to."""
    leased: bool
    """A coordinator is at work."""


class Journal:
    """The journal in the database of one side; every coordinator of the move uses the same one."""

    def __init__(self, move: str, address: Address, *, lease: timedelta = LEASE) -> None:
        self.lease = lease
        self._move = move
        self._holder = uuid4().hex
        self._session = Session(address)

    async def read(self) -> JournalRow:
        """Read it as it is now.

        Raises:
            NotMovingError: there is none.

        """
        rows = await self._rows("read_journal")
        if not rows:
            raise NotMovingError(f"there is no journal of the move {self._move!r}")
        return JournalRow(*rows[0])

    async def want(self, goal: str) -> int:
        """Say which side shall accept writes; a coordinator with another goal stops before it decides.

        Gives the number of the last coordinator: a higher one may have begun with this goal.
        """
        rows = await self._rows("want", goal=goal)
        return int(rows[0][0]) if rows else 0

    async def withdraw(self, goal: str, back: str, number: int) -> bool:
        """Want a side no more, unless a coordinator after ``number`` has begun; tell whether that was done."""
        return bool(await self._rows("withdraw", goal=goal, back=back, number=number))

    async def acquire(self, goal: str, *, above: int) -> int | None:
        """Take the lease with the next number, above all known; ``None``: somebody has it, or the goal changed."""
        rows = await self._rows("acquire", goal=goal, above=above, holder=self._holder, lease=self._seconds)
        return int(rows[0][0]) if rows else None

    async def renew(self, number: int, goal: str) -> bool:
        """Keep the lease; false: it is gone, or the goal is another one."""
        return bool(await self._rows("renew", number=number, goal=goal, holder=self._holder, lease=self._seconds))

    async def turn_back(self, number: int, goal: str) -> bool:
        """Want the other side and give the lease back, so that the way back has a number of its own."""
        return bool(await self._rows("turn_back", number=number, goal=goal, holder=self._holder))

    async def reached(self, number: int, goal: str, paused_ms: int | None = None) -> None:
        """Note that a side serves, unless a later coordinator has noted something.

        Args:
            number: the coordinator's.
            goal: the side.
            paused_ms: how long nobody could write; ``None``: another coordinator closed a side before, and has died.

        """
        await self._rows("reached", number=number, goal=goal, paused=paused_ms)

    async def changes(self) -> list[dict[str, Any]]:
        """Give the last changes of sides, the newest first."""
        rows = await self._rows("changes")
        return list(rows[0][0]) if rows else []

    async def release(self, number: int) -> None:
        """Give the lease back, where it is still this one's."""
        await self._rows("release", number=number, holder=self._holder)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._session.aclose()

    @property
    def _seconds(self) -> float:
        return self.lease.total_seconds()

    async def _rows(self, statement: str, **values: Any) -> list[Any]:
        given = {"name": self._move, **values}
        async with self._session.connected() as connection:
            for last in (False, False, True):
                try:
                    cursor = await connection.execute(sql(statement), given)
                except psycopg.errors.SerializationFailure:  # where a role's transactions are not READ COMMITTED
                    if last:
                        raise
                else:
                    return await cursor.fetchall() if cursor.description else []
        return []
