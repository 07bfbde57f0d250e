"""The service that applications call: each operation is one write in MongoDB, and reaches PostgreSQL as well."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Self

from syncline.capture.documents.gate import GateOf
from syncline.config.documents import Documents, load_documents
from syncline.config.dual_write import DualWriteSettings
from syncline.documents.proving import PATIENCE, draw_token, verified
from syncline.engines.postgres.documents.coming_back import OnItsWay
from syncline.engines.postgres.documents.keys import key_text
from syncline.errors import OperationError, PhaseError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import identified
from syncline.phases import FixedPhases, Phase, Phases
from syncline.phases.dual_write.asking import answered
from syncline.phases.dual_write.audit import AuditRule
from syncline.phases.dual_write.inline import InlinePart
from syncline.phases.dual_write.left import Left
from syncline.phases.dual_write.metadata import SyncMetadata, SyncStatus
from syncline.phases.dual_write.operations import Operation, mapping_of, operation
from syncline.phases.dual_write.parts import Parts, opened_parts
from syncline.phases.switching.running import arun
from syncline.ports.document_writes import Action, Write
from syncline.ports.documents import Fate, Known, MarkedDocument, Outcome, Standing

LOG = logging.getLogger("syncline.phases.dual_write")


class AsyncDualWriteService:
    """Writes documents to the database that is the truth, and to the other one as well; for one event loop.

    Up to the ramp that is MongoDB: PostgreSQL is written in the same call, or by the worker. From live on it is
    PostgreSQL, and MongoDB is written by the way back.

        async with AsyncDualWriteService() as service:
            await service.update_document("users", user_id, {"name": "Ada"})

    ``mongo_id`` is the document's ``_id``, or its text where a collection's ids are ObjectIds or UUIDs. True says that
    the truth is written, durably, with the mark by which the other side gets it; False, that nothing is written, since
    there is such a document already (create), or none (update, delete).

    Args:
        documents: the declared collections; by default those of ``syncline.toml``.
        phases: how far each collection has come. ``syncline phase`` reaches a service that is given
            ``JournalPhases``; by default ``DUAL_WRITE_ENABLED`` says it for good: true is dual_write for all, else off.
        settings: by default of the environment.
        audit: what the audit log keeps of each collection's operations; by default who did what to which document.

    Raises:
        RefusedDocumentError: a call's document is not taken by the truth; nothing is written.
        SourceUnavailableError, TargetUnavailableError: the truth (MongoDB, PostgreSQL) does not answer; it may have
            written.
        OperationError, KeyFormatError: the call cannot be done with any document.

    """

    def __init__(
        self,
        documents: Documents | None = None,
        *,
        phases: Phases | None = None,
        settings: DualWriteSettings | None = None,
        audit: Mapping[str, AuditRule] = MappingProxyType({}),
    ) -> None:
        self._audit = audit
        self._settings = settings or DualWriteSettings.from_environment()
        self._documents = documents or load_documents()
        self._mappings: Mapping[str, DocumentMapping] = {one.collection.name: one for one in self._documents.mappings}
        self._phases: Phases = phases or _fixed(self._settings)
        self._begin()
        self._require_enabled()

    def _begin(self) -> None:
        self._left = Left()
        self._parts: Parts | None = None
        self._opening = asyncio.Lock()

    def anew(self) -> Self:
        """Make the same service, with nothing open, for a process that was forked. No file is read, nobody asked."""
        made = copy.copy(self)
        made._begin()  # noqa: SLF001  of the same class
        return made

    def _require_enabled(self) -> None:
        for name in self._mappings:
            if self._settings.enabled is False and self._phases.of(name) >= Phase.DUAL_WRITE:
                raise PhaseError(
                    f"DUAL_WRITE_ENABLED is off, and {name} is in {self._phases.of(name)}",
                    hint=f"set DUAL_WRITE_ENABLED=true, or take the collection back: syncline phase back {name}",
                )

    async def __aenter__(self) -> Self:
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _open(self) -> Parts:
        if self._parts is None:
            async with self._opening:
                if self._parts is None:
                    self._parts = await opened_parts(
                        self._documents, self._settings, self._audit, GateOf(lambda: self._phases)
                    )
        return self._parts

    async def close(self) -> None:
        """End the sessions; what PostgreSQL has not got stays marked."""
        if self._parts is not None:
            parts, self._parts = self._parts, None
            await parts.close()

    # -- operations

    async def create_document(self, collection_name: str, data: Mapping[str, Any], mongo_id: Any) -> bool:
        """Create a document; False: there is one of this id."""
        return await self._do(operation(Action.CREATE, self._mapping(collection_name), mongo_id, data))

    async def update_document(self, collection_name: str, mongo_id: Any, data: Mapping[str, Any]) -> bool:
        """Set fields at the top of a document, the others stay; False: there is none of this id."""
        return await self._do(operation(Action.UPDATE, self._mapping(collection_name), mongo_id, data))

    async def delete_document(self, collection_name: str, mongo_id: Any) -> bool:
        """Delete a document; False: there is none of this id."""
        return await self._do(operation(Action.DELETE, self._mapping(collection_name), mongo_id))

    async def _do(self, one: Operation) -> bool:
        """Do an operation where the truth is; while that changes sides, try again."""
        parts = await self._open()
        write = Write(one.action, one.id, parts.writes.new_mark(), one.data)
        return await arun(self._phases, one.collection, lambda phase: self._done(parts, one, write, phase))

    async def _done(self, parts: Parts, one: Operation, write: Write, phase: Phase) -> bool:
        if phase.postgresql_is_truth:
            return parts.counters.count(await parts.rows.do(one))
        if phase is Phase.OFF:
            return await _without_other_side(parts, one.collection, write)
        number = await parts.inline.begin() if parts.inline is not None else None
        inline = parts.inline if parts.inline is not None and not parts.inline.is_open else None
        written = parts.audited.write_carried if inline is not None else parts.audited.write_alone
        document = await written(one.collection, write)
        if not parts.counters.count(document is not None) or document is None:
            return False
        outcomes = await self._carry(parts, inline, one.collection, [document], number)
        if not _is_applied(document, outcomes):
            parts.audited.enter(one.collection, document)
        return True

    async def _carry(
        self,
        parts: Parts,
        inline: InlinePart | None,
        collection: str,
        documents: Sequence[MarkedDocument],
        number: int | None,
    ) -> Mapping[str, Outcome]:
        outcomes = await inline.carry(collection, documents, number) if inline is not None else {}
        synced = sum(_is_applied(one, outcomes) for one in documents)
        self._left.note(collection, documents, outcomes)
        parts.counters.inline += synced
        parts.counters.left += len(documents) - synced
        return outcomes

    def _mapping(self, collection: str) -> DocumentMapping:
        return mapping_of(self._mappings, collection)

    # -- questions

    async def get_sync_status(self, collection_name: str, mongo_id: Any) -> SyncStatus | None:
        """Tell how far a document is: SYNCED, PENDING or FAILED. None: there is none."""
        found = await self.get_sync_metadata(collection_name, mongo_id)
        return found.sync_status if found is not None else None

    async def get_sync_metadata(self, collection_name: str, mongo_id: Any) -> SyncMetadata | None:
        """Tell how far a document is, and why. None: there is none."""
        parts, mapping = await self._open(), self._mapping(collection_name)
        id_ = identified(mapping, mongo_id)
        if self._in_postgresql(collection_name):
            return _coming_back(*await parts.on_its_way(mapping, id_))
        standing = await parts.writes.standing(collection_name, id_)
        if standing is None or (standing.deleted and standing.mark is None):
            return None
        known = await answered(parts.known(collection_name, id_)) if parts.answers else None
        return _metadata(standing, known)

    async def token(self) -> str:
        """Give a token for everything that was written before, by whomever; see ``verified``.

        Raises:
            SourceUnavailableError: MongoDB does not answer.

        """
        return await draw_token((await self._open()).link)

    async def verified(
        self,
        token: str,
        *,
        collection_name: str | None = None,
        timeout: timedelta = PATIENCE,  # noqa: ASYNC109  it ends with an answer, not with an error
    ) -> bool:
        """Wait until all that was written before a token has been compared on both sides, and is equal there.

        A verification must run: a worker's, or `syncline verify`. What proves it is one that began after the token.

        Args:
            token: what ``token`` gave, here or in another process.
            collection_name: of this collection alone.
            timeout: how long to wait; 0: look once.

        Raises:
            TokenError: it is no token of this link.
            TargetUnavailableError: PostgreSQL does not answer.

        """
        names = self._named(collection_name)
        return await verified((await self._open()).link, token, collections=names, timeout=timeout)

    async def is_behind(self, collection_name: str) -> bool:
        """Tell whether PostgreSQL lacks a document that this service has written; while nothing is left, none is asked.

        Where PostgreSQL is the truth, it lacks none.

        Raises:
            SourceUnavailableError: MongoDB does not answer.

        """
        if self._left.is_empty(collection_name) or self._in_postgresql(collection_name):
            return False
        parts = await self._open()
        return await self._left.is_behind(collection_name, parts.writes)

    async def get_sync_failures(self, collection_name: str | None = None, *, limit: int = 1000) -> list[dict[str, Any]]:
        """List the documents that the other side, or the mapping, did not take, the newest first.

        Returns:
            ``collection``, ``mongo_id``, ``error``, ``attempts``, ``when`` (the last one), ``since`` (the first one),
            ``next_attempt`` and ``sync_status``: PENDING, or FAILED when none is to come by itself.

        Raises:
            TargetUnavailableError: PostgreSQL does not answer.

        """
        parts, (there, here) = await self._open(), self._sides(self._named(collection_name))
        found = [
            *(await parts.parked(there, limit) if there else ()),
            *(await parts.failures(here, limit) if here else ()),
        ]
        found.sort(key=lambda one: one.last_at, reverse=True)
        return [
            {
                "collection": one.collection,
                "mongo_id": one.mongo_id,
                "error": one.reason,
                "attempts": one.attempts,
                "when": one.last_at,
                "since": one.first_at,
                "next_attempt": one.next_at,
                "sync_status": SyncStatus.FAILED if one.given_up else SyncStatus.PENDING,
            }
            for one in found[:limit]
        ]

    async def retry_failed(self, collection_name: str | None = None, mongo_id: Any = None) -> int:
        """Let what was rejected be tried again by the worker, at once, with all attempts before it.

        Args:
            collection_name: of this collection alone.
            mongo_id: this document alone.

        Returns:
            How many there are.

        """
        parts = await self._open()
        names = self._named(collection_name)
        if mongo_id is not None and collection_name is None:
            raise OperationError("retry_failed: a mongo_id is one of a collection's", hint="give collection_name too")
        there, here = self._sides(names)
        id_ = None if mongo_id is None else identified(self._mapping(names[0]), mongo_id)
        key = None if id_ is None else key_text(self._mapping(names[0]), id_)
        back = await parts.again_back(there, key) if there else 0
        return back + (await parts.again(here, id_) if here else 0)

    def _sides(self, names: Sequence[str]) -> tuple[list[str], list[str]]:
        """Part collections: those whose truth is PostgreSQL, and the others."""
        there = [name for name in names if self._in_postgresql(name)]
        return there, [name for name in names if name not in there]

    def _in_postgresql(self, collection: str) -> bool:
        return self._phases.of(collection).postgresql_is_truth

    def _named(self, collection: str | None) -> list[str]:
        return [*self._mappings] if collection is None else [self._mapping(collection).collection.name]


def _is_applied(document: MarkedDocument, outcomes: Mapping[str, Outcome]) -> bool:
    """Tell whether the other side has it; a transaction has outcomes of others, too."""
    outcome = outcomes.get(document.mark)
    return outcome is not None and outcome.fate is Fate.APPLIED


async def _without_other_side(parts: Parts, collection: str, write: Write) -> bool:
    """Write MongoDB alone: a mark harms nobody, and spares a copy; a tombstone would wait for ever."""
    if write.action is Action.DELETE:
        return await parts.audited.erase(collection, write)
    return await parts.audited.write(collection, write) is not None


def _fixed(settings: DualWriteSettings) -> FixedPhases:
    """Give the phase of a service that follows no journal."""
    if settings.enabled is None:
        LOG.warning("DUAL_WRITE_ENABLED is not set, and no phases are given: MongoDB alone is written")
    return FixedPhases(Phase.DUAL_WRITE if settings.enabled else Phase.OFF)


def _coming_back(there: bool, on_its_way: OnItsWay | None) -> SyncMetadata | None:
    if on_its_way is None:  # no way back is installed: nobody follows
        return SyncMetadata(SyncStatus.SYNCED) if there else None
    if on_its_way.error is not None and not on_its_way.waits:
        return SyncMetadata(SyncStatus.FAILED, on_its_way.error, attempts=on_its_way.attempts)
    if on_its_way.waits:
        return SyncMetadata(SyncStatus.PENDING, on_its_way.error, attempts=on_its_way.attempts)
    return SyncMetadata(SyncStatus.SYNCED) if there else None


def _metadata(standing: Standing, known: Known | None) -> SyncMetadata:
    at = known.last_sync_at if known else None
    if standing.adopted and (standing.mark is None or (known and known.written == standing.mark)):
        return SyncMetadata(SyncStatus.SYNCED, last_sync_at=at)
    if known is None or standing.mark is None or known.rejected != standing.mark:
        return SyncMetadata(SyncStatus.PENDING, last_sync_at=at)
    status = SyncStatus.FAILED if known.given_up else SyncStatus.PENDING
    return SyncMetadata(status, known.reason, at, known.attempts or 0)
