"""Verification of several collections, each of which can be gone on with; and how far the rows are behind then."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from syncline.documents.opening import DocumentLink
from syncline.documents.passing import WHOLE, Part
from syncline.documents.standing import backups, keeping
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.passes import DocumentPasses
from syncline.errors import PhaseError
from syncline.model.documents import DocumentMapping
from syncline.ports import Checkpoint
from syncline.verify.progress import Phase, Recorder
from syncline.verify.report import EntityReport, VerifyReport
from syncline.verify.spool import Taker

FORM = 2
"""Of what an unfinished pass keeps: another release's is begun again."""


class VerifyRun:
    """Passes over several collections, one after the other.

    The row of a collection that is done stays until the whole run is: whoever goes on need not do it again.

    Args:
        verifier: compares.
        passes: keeps how far it has come.
        taker: takes findings as they are made; the verifier's.

    """

    def __init__(self, verifier: DocumentVerifier, passes: DocumentPasses, *, taker: Taker | None = None) -> None:
        self._verifier, self._passes, self._taker = verifier, passes, taker
        self._spooled = 0
        self._done: list[Checkpoint] = []

    async def verify(
        self, mappings: Sequence[DocumentMapping], *, part: Part = WHOLE, resume: bool = False
    ) -> VerifyReport:
        """Verify collections.

        Args:
            mappings: of the collections.
            part: what of each.
            resume: go on with the passes that an earlier run left unfinished; what it had done is not done again.

        Raises:
            SynclineError: a side does not answer, the tables are of another declaration, or another process is at the
                pass that was to be gone on with.

        """
        guard = await self._passes.guard()
        if not resume:
            await self._passes.forget([one.collection.name for one in mappings])
        report = VerifyReport()
        for mapping in mappings:
            scope = scope_text(mapping, guard, part)
            report.entities.append(await self._one(mapping, part, scope, resume=resume, several=len(mappings) > 1))
        for checkpoint in self._done:
            await self._passes.end(checkpoint)
        return report

    async def _one(
        self, mapping: DocumentMapping, part: Part, scope: str, *, resume: bool, several: bool
    ) -> EntityReport:
        name = mapping.collection.name
        checkpoint = await self._passes.resume(name, scope) if resume else None
        if resume and self._taker is not None:
            self._taker.rewind(checkpoint.state["spooled"] if checkpoint else self._spooled)
        begin = partial(self._passes.begin, name, scope)
        recorder = Recorder(self._passes, begin, checkpoint=checkpoint, taker=self._taker)
        one = await self._verifier.begun(name, recorder, part)
        if one.place.phase is not Phase.DONE:
            await self._verifier.whole(one)
            await (recorder.finish(one.report) if several else one.end())
        if self._taker is not None:
            self._spooled = self._taker.position()
        if recorder.checkpoint is not None:
            self._done.append(recorder.checkpoint)
        return one.report


def scope_text(mapping: DocumentMapping, guard: str, part: Part = WHOLE) -> str:
    """Say what a pass is about: only one about the same can go on with it."""
    of_part = [] if part == WHOLE else [part.first, part.end, part.keys_only]
    return json.dumps([FORM, mapping.fingerprint, guard, *of_part])


async def compared(link: DocumentLink, asked: Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose what is compared.

    Args:
        link: the link.
        asked: the collections that somebody named; all by default.

    Returns:
        The collections, and those that are left out, being complete.

    Raises:
        PhaseError: one that was asked for is complete, or all are.

    """
    complete = await backups(link)
    names = [name for name in asked or link.collections if name not in complete]
    left = [name for name in asked or link.collections if name in complete]
    if left and (asked or not names):
        raise PhaseError(
            f"{', '.join(left)}: complete: MongoDB is a backup of the moment when it was closed, and is not compared",
            hint=f"`syncline phase back {left[0]} --force --reason ...` has it follow PostgreSQL again",
        )
    return names, left


async def note_situation(link: DocumentLink, report: VerifyReport) -> None:
    """Note in a report how far the rows are behind, and who works."""
    kept = keeping(link)
    try:
        rejected = await kept.marks_rejected()
        report.workers = sum(bool(one["alive"]) for one in await kept.workers())
    finally:
        await kept.close()
    database = MarkedDatabase(link.database)
    waiting = [await database.waiting(name, rejected.get(name, frozenset())) for name in link.collections]
    report.queue = sum(one.documents for one in waiting)
    report.lag_seconds = max((one.oldest.total_seconds() for one in waiting), default=0.0)
    for one in report.entities:
        if one.lagging and not report.workers:
            one.obstacles.append("no worker is running")
