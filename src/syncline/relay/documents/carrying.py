"""What everybody does with marked documents once they are read: rows first, then the marks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from syncline.ports.document_writes import IntentEnd, IntentLog
from syncline.ports.documents import DocumentRows, Fate, MarkedDocument, MarkedDocuments, Outcome

Told = Callable[[str, Sequence[Outcome]], None]
"""Is given a collection, and what was rejected of it."""


class Carrier:
    """A pump and the inline part of a dual write carry documents by this; any number may at once.

    Args:
        source: where documents are marked.
        rows: where they go.
        rejected: is told of each rejection.
        log: what documents have noted goes there before their marks are cleared. None: nobody keeps one.
        ends: operations whose marks it finds are done, whatever became of who began them; otherwise he says so himself.

    """

    def __init__(
        self,
        source: MarkedDocuments,
        rows: DocumentRows,
        *,
        rejected: Told = lambda _collection, _outcomes: None,
        log: IntentLog | None = None,
        ends: bool = True,
    ) -> None:
        self._source, self._rows, self._rejected, self._log, self._ends = source, rows, rejected, log, ends

    async def carry(self, collection: str, found: Sequence[MarkedDocument], number: int) -> Sequence[Outcome]:
        """Write the rows of documents that were read under the link's ``number``, and settle their marks."""
        outcomes = await self.write(collection, found, number)
        await self.settle(collection, outcomes)
        return outcomes

    async def write(self, collection: str, found: Sequence[MarkedDocument], number: int) -> Sequence[Outcome]:
        """Write the rows. Whoever stops after it leaves the marks: others find that it is done."""
        outcomes = await self._rows.put(collection, found, number)
        if rejected := [one for one in outcomes if one.fate is Fate.REJECTED]:
            self._rejected(collection, rejected)
        return outcomes

    async def settle(self, collection: str, outcomes: Sequence[Outcome]) -> None:
        """Clear the marks of what is written, and raise what was refused, which is carried by its new mark then."""
        applied = [one.document for one in outcomes if one.fate is Fate.APPLIED]
        if self._log is not None and applied:
            await self._tell(self._log, collection, applied)
        await self._source.clear(collection, applied)
        await self._source.raise_above(collection, [one for one in outcomes if one.fate is Fate.REFUSED])

    async def _tell(self, log: IntentLog, collection: str, applied: Sequence[MarkedDocument]) -> None:
        """Write down what was done."""
        noted = [(document.id, one) for document in applied for one in document.noted]
        await log.enter(collection, noted)
        entered = {one.mark for _, one in noted}
        if self._ends and (others := {one.mark: (IntentEnd.DONE, None) for one in applied if one.mark not in entered}):
            await log.end(others)
