"""The part of a dual write that reaches PostgreSQL within the call: under a deadline, and only while it answers.

What was written in MongoDB waits in a queue for one of a few sessions; a session takes all that waits for a collection
in one transaction. A caller waits for its own, no longer than the deadline; what it no longer waits for goes on by
itself, since a driver that is cancelled waits for the server. Nothing here can lose anything: the marks are there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncline.errors import SynclineError
from syncline.model.strict_bson import encoded
from syncline.ports.document_writes import IntentLog
from syncline.ports.documents import DocumentRows, Fate, MarkedDocument, MarkedDocuments, Outcome
from syncline.relay.documents.carrying import Carrier, Told

LOG = logging.getLogger("syncline.phases.dual_write")
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 5.0
"""Between two looks at a PostgreSQL that does not answer; they cost no caller anything."""
_TOGETHER = 500
"""So many documents of a transaction."""
_SETTLE_SECONDS = 0.1
"""Marks are cleared so much later, together: nobody waits for it, and one by one they cost as much as the write."""
Outcomes = Mapping[str, Outcome]
"""By mark; what is not there is left to the worker."""


@dataclass(frozen=True, slots=True)
class _Job:
    """Documents of one call; without any, it asks for the link's number."""

    collection: str
    documents: Sequence[MarkedDocument]
    number: int | None
    """The link's, of before the documents were written: those that were deleted and forgotten since are not."""
    done: asyncio.Future[Outcomes | None]
    """None: nobody waits any more."""


class InlinePart:
    """What brings a call's documents to PostgreSQL.

    Args:
        source: where they are marked.
        sessions: each for one transaction at a time.
        deadline: how long a call waits.
        rejected: is told of each rejection.
        log: of operations.
        require: of each session, raises where its PostgreSQL is not the one to which the documents go.

    """

    def __init__(
        self,
        source: MarkedDocuments,
        sessions: Sequence[DocumentRows],
        *,
        deadline: timedelta,
        rejected: Told,
        log: IntentLog | None = None,
        require: Sequence[Callable[[], Awaitable[None]]] = (),
    ) -> None:
        self._require = require
        self._deadline = deadline.total_seconds()
        self._source, self._sessions = source, sessions
        self._carriers = [Carrier(source, rows, rejected=rejected, log=log, ends=False) for rows in sessions]
        self._number: int | None = None
        self._jobs: deque[_Job] = deque()
        self._free: deque[asyncio.Future[None]] = deque()
        self._unsettled: deque[tuple[str, Sequence[Outcome]]] = deque()
        self._tasks: list[asyncio.Task[None]] = []
        self._looking: asyncio.Task[None] | None = None
        self._settling: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._pause = _FIRST_SECONDS

    @property
    def answers(self) -> bool:
        """Whether PostgreSQL answered in time when it was asked last; while it did not, no call asks."""
        return self._number is not None

    @property
    def is_open(self) -> bool:
        """Whether PostgreSQL was asked, and did not answer in time."""
        return self._looked.is_set() and self._number is None

    async def begin(self) -> int | None:
        """Give the link's number, before anything is written under it; the first call waits for PostgreSQL's answer.

        Returns:
            What ``carry`` is given; None: PostgreSQL does not answer.

        """
        if not self._tasks:
            self._tasks = [asyncio.create_task(self._serve(place)) for place in range(len(self._sessions))]
            self._looking = asyncio.create_task(self._look())
        if not self._looked.is_set():
            await _within(asyncio.ensure_future(self._looked.wait()), self._deadline, cancel=True)
        return self._number

    async def carry(self, collection: str, documents: Sequence[MarkedDocument], number: int | None) -> Outcomes:
        """Write documents; give what is known at the deadline.

        Args:
            collection: theirs.
            documents: written in MongoDB after ``begin``.
            number: what ``begin`` gave. A later one would let what was deleted and forgotten since come back.

        """
        if number is None or self._number is None or not documents:
            return {}
        job = self._ask(collection, documents, number)
        # One turn of the loop less than ``_within``: what is cancelled here is the caller's future alone.
        limit = asyncio.get_running_loop().call_later(self._deadline, _expire, job.done)
        try:
            outcomes = await job.done
        finally:
            limit.cancel()
        if outcomes is None:
            self._lost(f"it did not answer within {self._deadline * 1000:.0f} ms")
            return {}
        return outcomes

    async def close(self) -> None:
        """Stop: what was not written stays marked."""
        for task in (*self._tasks, self._looking, self._settling):
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in self._tasks), return_exceptions=True)
        while self._unsettled:
            await self._settle_some()

    def _ask(self, collection: str, documents: Sequence[MarkedDocument], number: int | None = None) -> _Job:
        job = _Job(collection, documents, number, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        while self._free:
            if not (waiting := self._free.popleft()).done():
                waiting.set_result(None)
                break
        return job

    # -- what goes on by itself

    async def _serve(self, place: int) -> None:
        while True:
            while not self._jobs:
                self._free.append(waiting := asyncio.get_running_loop().create_future())
                await waiting
            jobs = self._next()
            outcomes: Outcomes = {}
            try:
                outcomes = await self._done(place, jobs)
            except Exception as error:  # noqa: BLE001  the session goes on: the next look says when
                self._lost(str(error), unexpected=not isinstance(error, SynclineError))
            for job in jobs:
                if not job.done.done():
                    job.done.set_result(outcomes)

    def _next(self) -> list[_Job]:
        """Take what waits for one collection under one number, in the order of the calls."""
        jobs = [first := self._jobs.popleft()]
        size = len(first.documents)
        while self._jobs and (self._jobs[0].collection, self._jobs[0].number) == (first.collection, first.number):
            size += len(self._jobs[0].documents)
            if size > _TOGETHER or not self._jobs[0].documents:
                break
            jobs.append(self._jobs.popleft())
        return jobs

    async def _done(self, place: int, jobs: Sequence[_Job]) -> Outcomes:
        documents = [one for job in jobs for one in job.documents]
        if not documents:
            number = await self._sessions[place].number()
            if self._require:
                await self._require[place]()
            self._number = number
            return {}
        if self._number is None or (known := jobs[0].number) is None:
            return {}
        newest = {encoded({"": one.id}): one for one in sorted(documents, key=lambda one: one.version)}
        outcomes = await self._carriers[place].write(jobs[0].collection, list(newest.values()), known)
        if any(one.fate is Fate.LATE for one in outcomes):
            self._number = await self._sessions[place].number()  # the worker has those that were read before
        self._pause = _FIRST_SECONDS
        self._settle(jobs[0].collection, outcomes)
        by_mark = {one.document.mark: one for one in outcomes}
        return {one.mark: by_mark[newest[encoded({"": one.id})].mark] for one in documents}

    def _settle(self, collection: str, outcomes: Sequence[Outcome]) -> None:
        self._unsettled.append((collection, outcomes))
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_soon())

    async def _settle_soon(self) -> None:
        while self._unsettled:
            await asyncio.sleep(_SETTLE_SECONDS)
            await self._settle_some()

    async def _settle_some(self) -> None:
        by: dict[str, list[Outcome]] = {}
        while self._unsettled:
            collection, outcomes = self._unsettled.popleft()
            by.setdefault(collection, []).extend(outcomes)
        for collection, outcomes in by.items():
            try:
                await self._carriers[0].settle(collection, outcomes)
            except SynclineError as error:
                LOG.info("marks of %s are left to the worker: %s", collection, error)

    def _lost(self, why: str, *, unexpected: bool = False) -> None:
        """Open the circuit: until PostgreSQL answers again, no call asks it."""
        if self._number is not None or not self._looked.is_set():
            level = logging.ERROR if unexpected else logging.WARNING
            LOG.log(level, "PostgreSQL is not written in the call until it answers, the worker does it: %s", why)
        self._number = None
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Ask until there is an answer in time; the first time at once."""
        if self._looked.is_set():
            await self._rest()
        while True:
            asked = self._ask("", ())
            in_time = await _within(asked.done, self._deadline)
            if not in_time:
                self._looked.set()
                await asyncio.wait({asked.done})
                self._number = None
            elif self._number is not None:
                break
            self._looked.set()
            await self._rest()
        if self._looked.is_set():
            LOG.info("PostgreSQL answers, and is written in the call")
        self._looked.set()

    async def _rest(self) -> None:
        await asyncio.sleep(self._pause)
        self._pause = min(self._pause * 2, _LONGEST_SECONDS)


def _expire(done: asyncio.Future[Outcomes | None]) -> None:
    if not done.done():
        done.set_result(None)


async def _within(future: asyncio.Future[Any], seconds: float, *, cancel: bool = False) -> bool:
    """Wait for a future, without cancelling it when its time is over, or when this is cancelled."""
    try:
        return bool((await asyncio.wait({future}, timeout=seconds))[0])
    finally:
        if cancel and not future.done():
            future.cancel()
