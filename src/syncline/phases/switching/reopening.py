"""Opening MongoDB again where PostgreSQL was lost after MongoDB was closed, and has certainly not been opened.

A coordinator announces in the document of the phases that PostgreSQL will be read before it opens it. As long as that
is not announced, one update of the same document opens MongoDB under a number that no coordinator has, and keeps every
coordinator of before from announcing anything. Once it is announced only PostgreSQL knows who serves.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from syncline.ending import end
from syncline.engines.mongo.gates import NOBODY
from syncline.errors import NamedDatabaseUnavailableError, SwitchAbortedError, SwitchError
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.phase import Phase
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.sides import asked
from syncline.split.switching.gate import Session

Result = TypeVar("Result")
PATIENCE = timedelta(seconds=3)
"""How long PostgreSQL may be away before."""
_EVERY_SECONDS = 0.25
_LOG = logging.getLogger("syncline.phases")


class Reopening:
    """Looks for collections that nobody can write, while PostgreSQL does not answer.

    Args:
        mongodb: has the gates.
        patience: how long PostgreSQL may be away; by default ``PATIENCE``.

    """

    def __init__(self, mongodb: InMongoDB, *, patience: timedelta | None = None) -> None:
        self._mongodb, self._gates = mongodb, GatesInMongoDB(mongodb)
        self._patience = (PATIENCE if patience is None else patience).total_seconds()
        self._closed: dict[str, tuple[int, float]] = {}
        self._refused: set[str] = set()

    def answered(self) -> None:
        """Note that PostgreSQL answers."""
        self._closed, self._refused = {}, set()

    async def away(self, collections: Sequence[str]) -> Sequence[str]:
        """Note that PostgreSQL does not answer; open what has been closed since then for long enough.

        Returns:
            The collections that were opened.

        Raises:
            NamedDatabaseUnavailableError: MongoDB does not answer either.

        """
        standings, gates = await asked(self._mongodb.read_all)
        closed = {
            name: gates[name].change
            for name in collections
            if name in gates
            and gates[name].mode == NOBODY
            and name in standings
            and standings[name].phase is not Phase.COMPLETE
        }
        now = time.monotonic()
        before, self._closed = self._closed, {}
        for name, change in closed.items():
            was = before.get(name)
            self._closed[name] = was if was and was[0] == change else (change, now)
        due = [name for name, (_, since) in self._closed.items() if now - since >= self._patience]
        return [name for name in due if await self._opened(name, closed[name])]

    async def _opened(self, collection: str, change: int) -> bool:
        try:
            await asked(lambda: self._gates.reopen(collection, change))
        except SwitchError as error:
            if collection not in self._refused:
                self._refused.add(collection)
                _LOG.error("%s (%s)", error.message, error.hint)
            return False
        _LOG.warning("PostgreSQL is away: %s is written in MongoDB again, its change of sides is given up", collection)
        return True


async def unless_away(
    work: Coroutine[Any, Any, Result], reopening: Reopening, session: Session, collection: str
) -> Result:
    """Do a coordinator's work for as long as PostgreSQL is not away for too long.

    Raises:
        SwitchAbortedError: it was, and MongoDB serves as before.

    """
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=_EVERY_SECONDS))[0]:
            if await answers(session):
                reopening.answered()
                continue
            with contextlib.suppress(NamedDatabaseUnavailableError):
                if await reopening.away([collection]):
                    raise given_up(collection)
        return task.result()
    finally:
        await end(task, seconds=1.0)


async def answers(session: Session) -> bool:
    """Tell whether PostgreSQL answers."""
    try:
        await session.rows("SELECT", {})
    except NamedDatabaseUnavailableError:
        return False
    return True


def given_up(collection: str) -> SwitchAbortedError:
    """Say that a change of sides was given up."""
    return SwitchAbortedError(
        f"PostgreSQL does not answer, and {collection} is written in MongoDB again",
        hint="try again when it answers; a running `syncline worker` has its gate follow",
    )
