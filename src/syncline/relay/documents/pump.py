"""Walk over the marks, carry what they stand for, and clear them; see ``docs/explanation/documents-as-a-source.md``."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncline.breaker import CircuitBreaker
from syncline.ending import end
from syncline.errors import SynclineError, TargetRefusedError
from syncline.model.strict_bson import encoded
from syncline.ports.document_writes import IntentLog
from syncline.ports.documents import DocumentRows, Fate, MarkedDocument, MarkedDocuments, Outcome
from syncline.relay.documents.carrying import Carrier, Told

BATCH = 1000
"""Documents of a transaction: with half as many each costs a tenth more."""
_END_SECONDS = 1.0


@dataclass(slots=True)
class Tally:
    """What a walk came to."""

    applied: int = 0
    already: int = 0
    """Of these: somebody else had written them."""
    raised: int = 0
    late: int = 0
    rejected: int = 0
    more: bool = False
    """It has ended before all was read, or was full: there may be more."""
    rested: bool = False
    """A collection was left alone: which gate was open was not asked."""

    @property
    def moved(self) -> bool:
        """Whether anything went on."""
        return bool(self.applied or self.raised or self.late)


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a batch of one collection."""

    collection: str
    outcomes: Sequence[Outcome]
    took: timedelta


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A page that is being read, and the link's number from before."""

    number: int
    page: asyncio.Task[Sequence[MarkedDocument] | None]


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A walk over marks, and the link's number when it began."""

    pages: AsyncIterator[Sequence[MarkedDocument]]
    number: int


class DocumentPump:
    """One of the carriers of a link's collections.

    Args:
        source: where documents are marked.
        rows: where they go.
        collections: their names.
        batch: documents of a transaction.
        told: is given what each walk came to, and errors after which it goes on.
        rejected: is told of each rejection.
        log: of operations, those of the marks that are found are done.
        carried: is given each batch.
        before: called before documents of a collection are written.
        rest: a collection that cannot be carried is left alone for so many seconds.
        turn: after so many seconds the next collection has its turn; the walk goes on where it was with the next one.

    """

    def __init__(
        self,
        source: MarkedDocuments,
        rows: DocumentRows,
        collections: Sequence[str],
        *,
        batch: int = BATCH,
        told: Callable[[Tally | SynclineError], None] = lambda _: None,
        rejected: Told = lambda _collection, _outcomes: None,
        log: IntentLog | None = None,
        carried: Callable[[Carried], None] = lambda _: None,
        before: Callable[[str], Awaitable[None]] | None = None,
        rest: float = 0.0,
        turn: float = math.inf,
    ) -> None:
        self._source, self._rows, self._collections = source, rows, collections
        self.batch, self._told, self._carried = batch, told, carried
        self._before = before
        self._stopping = False
        self._resting = {name: CircuitBreaker(rest) for name in collections}
        self._turn = turn
        self._under_way: dict[str, _UnderWay] = {}
        self._carrier = Carrier(source, rows, rejected=rejected, log=log)

    def stop(self) -> None:
        """Have the walk that is under way end with its batch."""
        self._stopping = True

    async def run(self, stop: asyncio.Event, *, poll: timedelta = timedelta(seconds=2)) -> None:
        """Walk until ``stop``, more rarely while there is nothing to do; what may pass is tried again.

        Raises:
            SynclineError: what somebody has to correct.

        """
        pause, longest = 0.01, poll.total_seconds()
        while not stop.is_set():
            try:
                tally = await self.walk()
            except SynclineError as error:
                if not error.retryable:
                    raise
                self._told(error)
                tally = Tally()
            else:
                self._told(tally)
            pause = 0.01 if tally.moved else min(pause * 2, longest)
            if not tally.moved:
                await _any(stop, pause)

    async def walk(self, collections: Sequence[str] | None = None) -> Tally:
        """Carry every document that is marked now, once; a collection that cannot be carried does not hold up others.

        Args:
            collections: of these; by default of all.

        Raises:
            SynclineError: one cannot; the others were carried.
            SourceUnavailableError, TargetUnavailableError: a side does not answer; what is left is not tried.

        """
        tally = Tally()
        failed: SynclineError | None = None
        for collection in self._collections if collections is None else collections:
            rest = self._resting[collection]
            if rest.refuses():
                tally.rested = True
                continue
            try:
                await self._walked(collection, tally)
            except SynclineError as error:
                if error.retryable and not isinstance(error, TargetRefusedError):
                    raise  # a side is away
                rest.failed()
                failed = failed or error
            else:
                rest.succeeded()
        if failed is not None:
            raise failed
        return tally

    async def _walked(self, collection: str, tally: Tally) -> None:
        """Write page by page; meanwhile the next one is read, and the marks of the one before are cleared.

        Under another number of the link it begins anew: which gate was open, a walk asks only as it begins.
        """
        kept = self._under_way.pop(collection, None)
        pages = kept.pages if kept else self._source.pages(collection, self.batch)
        until = time.monotonic() + self._turn
        begun: set[asyncio.Task[Any]] = set()
        settling: asyncio.Task[None] | None = None
        carried: deque[Sequence[MarkedDocument]] = deque(maxlen=2)
        """Whose marks may have been there when the next page was read."""
        try:
            ahead = await self._ahead(pages, begun)
            number = kept.number if kept else ahead.number
            while not self._stopping and ahead.number == number and (found := await ahead.page) is not None:
                # A page that is not full is the last one: nobody waits for another before it is written.
                full = len(found) >= self.batch and time.monotonic() < until
                following = await self._ahead(pages, begun) if full else None
                tally.more = tally.more or full
                outcomes = await self.write(collection, others(found, carried), ahead.number, tally)
                carried.append(found)
                if settling is not None:
                    await settling
                settling = asyncio.create_task(self.settle(collection, outcomes))
                if following is None and time.monotonic() > until:
                    self._under_way[collection], tally.more = _UnderWay(pages, number), True
                    break
                ahead = following or await self._ahead(pages, begun)
            tally.late += ahead.number != number
        finally:
            await end(*begun, seconds=_END_SECONDS)
            if settling is not None:  # what is written is settled, whatever was in the way of the next page
                await settling

    async def _ahead(self, pages: AsyncIterator[Sequence[MarkedDocument]], begun: set[asyncio.Task[Any]]) -> _Ahead:
        number = await self._rows.number()  # before the page is read
        page = asyncio.create_task(_next(pages))
        begun.add(page)
        page.add_done_callback(begun.discard)
        page.add_done_callback(lambda one: one.cancelled() or one.exception())  # nobody may wait for it any more
        return _Ahead(number, page)

    async def settle(self, collection: str, outcomes: Sequence[Outcome]) -> None:
        """Settle the marks of what was written; see ``Carrier.settle``."""
        await self._carrier.settle(collection, outcomes)

    async def write(
        self, collection: str, found: Sequence[MarkedDocument], number: int, tally: Tally
    ) -> Sequence[Outcome]:
        """Write what may be tried of documents that were read under a number of the link, and count it."""
        started = time.monotonic()
        due = await self._rows.due(collection, found) if found else ()
        if due and self._before is not None:
            await self._before(collection)
        outcomes = await self._carrier.write(collection, due, number) if due else ()
        by = {fate: sum(one.fate is fate for one in outcomes) for fate in Fate}
        tally.applied += by[Fate.APPLIED]
        tally.already += sum(one.already for one in outcomes)
        tally.raised += by[Fate.REFUSED]
        tally.late += by[Fate.LATE]
        tally.rejected += by[Fate.REJECTED]
        if outcomes:
            self._carried(Carried(collection, outcomes, timedelta(seconds=time.monotonic() - started)))
        return outcomes


def others(found: Sequence[MarkedDocument], carried: Iterable[Sequence[MarkedDocument]]) -> Sequence[MarkedDocument]:
    """Leave out what was carried as it is: it is met again until its mark is cleared."""
    marks = {one.mark for page in carried for one in page}
    if marks.isdisjoint(one.mark for one in found):
        return found
    done = {key_of(one) for page in carried for one in page}
    return [one for one in found if key_of(one) not in done]


def key_of(one: MarkedDocument) -> tuple[str, bytes]:
    """Tell a write of a document from all others: a mark may be of many documents."""
    return one.mark, encoded({"": one.id})


async def _next(pages: AsyncIterator[Sequence[MarkedDocument]]) -> Sequence[MarkedDocument] | None:
    return await anext(pages, None)


async def _any(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
