"""Verification of collections that never ends: one worker at a time, slowly. It repairs nothing.

The one row of origin ``worker`` in ``syncline_documents.verification`` says whose turn it is and how far that pass has
come. Whoever claims it verifies; when that worker dies, another one goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from syncline.config import redact
from syncline.documents.opening import DocumentLink
from syncline.documents.standing import backups
from syncline.documents.verify_run import scope_text
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.engines.postgres.documents.passes import DocumentRounds
from syncline.errors import SynclineError, TargetRefusedError
from syncline.model.documents import DocumentMapping
from syncline.ports import Checkpoint
from syncline.verify.continuous import IDLE_SECONDS, SHARE, SLOWEST, STAND_BACK_SECONDS, TROUBLE_SECONDS
from syncline.verify.progress import Recorder


@dataclass(slots=True)
class _Around:
    """What stands around a turn."""

    guard: str
    copies: Mapping[str, tuple[str, bool]]
    held: frozenset[str] = field(default_factory=frozenset)
    """Collections that cannot be verified yet: they are being copied, or an installation goes on."""


class ContinuousVerification:
    """Verifies every collection once in a period, until cancelled.

    Args:
        link: the link; its ``rows`` are not used.
        owner: the worker.

    """

    def __init__(self, link: DocumentLink, owner: str) -> None:
        self._link, self._owner = link, owner
        settings = link.documents.verify
        assert settings.period is not None  # noqa: S101  the settings are checked
        self._period, self._rate = settings.period.total_seconds(), float(settings.rate)
        self._struck: dict[str, float] = {}

    async def run(self) -> None:
        """Verify; trouble with either side is waited out, the worker's own work goes on meanwhile."""
        while True:
            rounds = DocumentRounds(self._link.documents.url("target"), owner=self._owner)
            try:
                while True:
                    if not await self._turn(rounds):
                        await asyncio.sleep(IDLE_SECONDS)
            except SynclineError:
                await asyncio.sleep(TROUBLE_SECONDS)
            finally:
                await rounds.close()

    async def _turn(self, rounds: DocumentRounds) -> bool:
        """Do the next pass; false: another worker does, or there is none to do yet."""
        claimed = await rounds.claim()
        if claimed is None:
            return False
        checkpoint, name, scope = claimed
        around = await _look(self._link, rounds)
        mapping = next((one for one in self._link.mappings if one.collection.name == name), None)
        if mapping is None or scope != _scope(mapping, around) or not self._is_ready(name, around):
            mapping = await self._due(rounds, around)
            if mapping is None:
                return False
            name = mapping.collection.name
            checkpoint = await rounds.turn(checkpoint, name, _scope(mapping, around))
        try:
            await self._verify(rounds, name, checkpoint, around)
        except SynclineError as error:
            if error.retryable and not isinstance(error, TargetRefusedError):
                raise
            self._struck[name] = time.monotonic() + STAND_BACK_SECONDS
            said = redact(error.message)
            structlog.get_logger("syncline").warning("a collection cannot be verified", entity=name, error=said)
            await rounds.failed(name, f"{name}: cannot be verified: {said}")
            await rounds.turn(checkpoint)
        return True

    async def _verify(self, rounds: DocumentRounds, name: str, checkpoint: Checkpoint, around: _Around) -> None:
        verifier = DocumentVerifier(self._link, rate=await self._pace())
        try:
            one = await verifier.begun(name, Recorder(rounds, checkpoint=checkpoint))
            await verifier.compare(one)
            if (await rounds.copies()).get(name) == around.copies.get(name):  # else it may have seen half a copy
                await verifier.certify(one)
        finally:
            await verifier.close()
        await rounds.turn(checkpoint)

    async def _due(self, rounds: DocumentRounds, around: _Around) -> DocumentMapping | None:
        """Choose the collection that was not verified for the longest time, and for a period at least."""
        ages, never = await rounds.ages(), float("inf")
        waiting = [one for one in self._link.mappings if self._is_ready(one.collection.name, around)]
        oldest = max(waiting, key=lambda one: ages.get(one.collection.name, never), default=None)
        if oldest is None or ages.get(oldest.collection.name, never) < self._period:
            return None
        return oldest

    def _is_ready(self, name: str, around: _Around) -> bool:
        return name not in around.held and self._struck.get(name, 0.0) <= time.monotonic()

    async def _pace(self) -> float:
        """Spread all documents over the period, as far as the rate allows."""
        stored = StoredMarks(self._link.database)
        documents = sum([await stored.count(name) for name in self._link.collections])
        return min(self._rate, max(SLOWEST, documents / (SHARE * self._period)))


async def _look(link: DocumentLink, rounds: DocumentRounds) -> _Around:
    copies = await rounds.copies()
    copied = {name for name, (_, under_way) in copies.items() if under_way}
    held = await rounds.unmarked() | copied | await backups(link)
    return _Around(await rounds.guard(), copies, held)


def _scope(mapping: DocumentMapping, around: _Around) -> str:
    """Say what a pass is about; one from before a copy of the collection is begun again."""
    copy, _ = around.copies.get(mapping.collection.name, ("", False))
    return f"{scope_text(mapping, around.guard)} {copy}"
