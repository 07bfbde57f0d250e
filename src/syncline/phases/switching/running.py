"""Running a unit of work again where it was refused as a collection changes sides, on the side that serves then."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

from syncline.capture.documents.gate import Unit, one_unit
from syncline.errors import GateClosedError, MovedError, UnknownOutcomeError
from syncline.phases.phase import Phase, Phases
from syncline.split.switching.refusals import refusal_of

Result = TypeVar("Result")
DEADLINE = timedelta(seconds=10)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.004, 0.05
_LATER = "send it again later; `syncline phase status` says what is going on"


def run(phases: Phases, collection: str, work: Callable[[Phase], Result], *, deadline: timedelta = DEADLINE) -> Result:
    """Run a unit of work, reads and writes, and again as long as a gate refuses it and nothing of it is written.

    Args:
        phases: ``JournalPhases``.
        collection: whose documents, or rows, it writes.
        work: is given the phase. It may be called several times; one transaction, where it writes PostgreSQL, and one
            write, where it writes MongoDB.
        deadline: how long to try.

    Raises:
        GateClosedError: no side has accepted it in time; nothing is written.
        UnknownOutcomeError: the gate was closed while MongoDB was written, or between two writes of the unit. It is not
            run again: it may be written, or a part of it.

    """
    attempts = _Attempts(collection, deadline)
    while True:
        with one_unit() as unit:
            try:
                return work(phases.of(collection))
            except Exception as error:  # noqa: BLE001  judged, and raised again
                rest = attempts.after(error, unit)
        time.sleep(rest)


async def arun(
    phases: Phases, collection: str, work: Callable[[Phase], Awaitable[Result]], *, deadline: timedelta = DEADLINE
) -> Result:
    """Do the same for asyncio."""
    attempts = _Attempts(collection, deadline)
    while True:
        with one_unit() as unit:
            try:
                return await work(phases.of(collection))
            except Exception as error:  # noqa: BLE001  judged, and raised again
                rest = attempts.after(error, unit)
        await asyncio.sleep(rest)


class _Attempts:
    """The attempts of one unit."""

    def __init__(self, collection: str, deadline: timedelta) -> None:
        self._collection = collection
        self._until, self._rest = time.monotonic() + deadline.total_seconds(), _FIRST_SECONDS

    def after(self, error: Exception, unit: Unit) -> float:
        """Judge one that has failed; give the seconds to rest before the next."""
        if not isinstance(error, GateClosedError | MovedError) and refusal_of(error) is None:
            raise error
        if unit.writes:
            raise UnknownOutcomeError(
                f"{self._collection} changed sides between the writes of one unit: those before are written",
                hint="look at what is there before it is done again; in MongoDB let a unit be one write",
            ) from error
        if time.monotonic() >= self._until:
            raise GateClosedError(f"no side has accepted a write of {self._collection}", hint=_LATER) from error
        rest = random.uniform(self._rest / 2, self._rest)  # noqa: S311  so that writers do not come back together
        self._rest = min(self._rest * 2, _LONGEST_SECONDS)
        return rest
