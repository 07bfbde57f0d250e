"""Repair: documents that a verification found get a mark, keys without one a tombstone; a pump does the rest."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.documents.opening import DocumentLink
from syncline.documents.standing import backups
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.verify.repair import RepairReport
from syncline.verify.report import Finding, Kind

UNTOUCHED = {
    Kind.FOREIGN: "no _id of the collection has this key: whose row it is, only you know",
    Kind.UNREADABLE: "it cannot become rows: correct the document, or the declaration",
}
"""What no mark can correct, and why."""
_BACKUP = "the collection is in complete: MongoDB is a backup of that moment, and nothing is written there"


class DocumentRepairer:
    """Repairs what a verification finds, while it goes on: it takes the findings (``verify.spool.Taker``).

    Args:
        link: the link.
        dry_run: only say what would be done.

    """

    def __init__(self, link: DocumentLink, *, dry_run: bool = False) -> None:
        self._link, self._stored = link, StoredMarks(link.database)
        self.report = RepairReport(dry_run=dry_run)

    async def take(self, findings: Sequence[Finding]) -> None:
        """Mark documents, and leave tombstones where there are rows only."""
        complete = await backups(self._link)
        for name in {one.entity for one in findings}:
            of = [one for one in findings if one.entity == name]
            for one in of:
                if (why := _BACKUP if name in complete else UNTOUCHED.get(one.kind)) is not None:
                    self.report.leave(one, why)
                else:
                    self.report.mark(one)
            if not self.report.dry_run and name not in complete:
                there = [one.id for one in of if one.kind in {Kind.MISSING, Kind.DIFFERENT}]
                await self._stored.mark(name, there)
                await self._link.source.leave_tombstones(name, [one.id for one in of if one.kind is Kind.EXTRA])

    def position(self) -> int:
        """Say nothing: what is marked stays marked."""
        return 0

    def rewind(self, position: int) -> None:
        """Forget nothing, likewise."""
