"""Walk over the marks, carry what they stand for, and clear them; see ``docs/explanation/documents-as-a-source.md``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from syncline.errors import SynclineError, TargetUnavailableError
from syncline.ports.documents import DocumentRows, Fate, MarkedDocument, MarkedDocuments
from syncline.relay.documents.carrying import Carrier, Told


@dataclass(slots=True)
class Tally:
    """What a walk came to."""

    applied: int = 0
    raised: int = 0
    late: int = 0
    rejected: int = 0

    @property
    def moved(self) -> bool:
        """Whether anything went on."""
        return bool(self.applied or self.raised or self.late)


class DocumentPump:
    """One of the carriers of a link's collections.

    Args:
        source: where documents are marked.
        rows: where they go.
        collections: their names.
        batch: documents of a transaction.
        told: is given what each walk came to, and errors after which it goes on.
        rejected: is told of each rejection.

    """

    def __init__(
        self,
        source: MarkedDocuments,
        rows: DocumentRows,
        collections: Sequence[str],
        *,
        batch: int = 500,
        told: Callable[[Tally | SynclineError], None] = lambda _: None,
        rejected: Told = lambda _collection, _outcomes: None,
    ) -> None:
        self._source, self._rows, self._collections = source, rows, collections
        self._batch, self._told = batch, told
        self._carrier = Carrier(source, rows, rejected=rejected)

    async def run(self, stop: asyncio.Event, *, poll: timedelta = timedelta(seconds=2)) -> None:
        """Walk until ``stop``, more rarely while there is nothing to do; what may pass is tried again.

        Raises:
            SynclineError: what somebody has to mend.

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

    async def walk(self) -> Tally:
        """Carry every document that is marked now, once; a collection that cannot be carried does not hold up others.

        Raises:
            SynclineError: one cannot; the others were carried.
            TargetUnavailableError: the other side does not answer; what is left is not tried.

        """
        tally = Tally()
        failed: SynclineError | None = None
        for collection in self._collections:
            try:
                await self._walked(collection, tally)
            except TargetUnavailableError:
                raise
            except SynclineError as error:
                failed = failed or error
        if failed is not None:
            raise failed
        return tally

    async def _walked(self, collection: str, tally: Tally) -> None:
        pages = self._source.pages(collection, self._batch)
        while True:
            number = await self._rows.number()
            found = await anext(pages, None)
            if found is None:
                break
            await self._carry(collection, found, number, tally)

    async def _carry(self, collection: str, found: Sequence[MarkedDocument], number: int, tally: Tally) -> None:
        resting = await self._rows.resting(collection, [one.mark for one in found])
        due = [one for one in found if one.mark not in resting]
        outcomes = await self._carrier.carry(collection, due, number) if due else ()
        by = {fate: sum(one.fate is fate for one in outcomes) for fate in Fate}
        tally.applied += by[Fate.APPLIED]
        tally.raised += by[Fate.REFUSED]
        tally.late += by[Fate.LATE]
        tally.rejected += by[Fate.REJECTED]


async def _any(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
