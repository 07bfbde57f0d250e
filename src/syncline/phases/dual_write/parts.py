"""What a service works with, opened in one place."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from syncline.capture.documents.gate import WriteGate
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.standing import require_sides
from syncline.documents.telling import tell_rejections
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.coming_back import Backlog, ComingBack, OnItsWay
from syncline.engines.postgres.documents.failures import DocumentFailures
from syncline.engines.postgres.documents.keys import key_text
from syncline.errors import SynclineError
from syncline.model.documents import DocumentMapping
from syncline.phases.dual_write.audit import AuditedWrites, AuditRule
from syncline.phases.dual_write.in_live import RowWrites
from syncline.phases.dual_write.inline import InlinePart
from syncline.ports.document_writes import IntentLog, WritableDocuments
from syncline.ports.documents import Failure, Known, Trouble

_ASK_SECONDS = 2.0


@dataclass(slots=True)
class Counters:
    """What this process has done since it opened the service."""

    written: int = 0
    """Operations that the truth has written."""
    refused: int = 0
    """Of which nothing is written: there was such a document, or none."""
    inline: int = 0
    """Of those written: in PostgreSQL before the call returned."""
    left: int = 0
    """Of those written: left to the worker."""

    def count(self, done: bool) -> bool:
        """Count an operation; tell whether it was done."""
        self.written += done
        self.refused += not done
        return done


@dataclass(slots=True)
class Parts:
    """Both sides, and what this process brings from one to the other."""

    link: DocumentLink
    writes: WritableDocuments
    audited: AuditedWrites
    inline: InlinePart | None
    """None: the deadline is 0, the worker does it."""
    rows: RowWrites
    """Writes while PostgreSQL is the truth."""
    records: DocumentFailures
    back: ComingBack
    counters: Counters
    _stack: AsyncExitStack
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def answers(self) -> bool:
        """Whether PostgreSQL is worth a question: it was not found to be away."""
        return self.inline is None or not self.inline.is_open

    async def mongodb_answers(self) -> bool:
        """Ask MongoDB whether it is there."""
        try:
            await MarkedDatabase(self.link.database, seconds=_ASK_SECONDS).server()
        except SynclineError:
            return False
        return True

    async def known(self, collection: str, id_: Any) -> Known:
        """Ask for a document; one question at a time."""
        async with self._asking:
            return await self.records.known(collection, id_)

    async def failures(self, collections: Sequence[str], limit: int) -> Sequence[Failure]:
        """Ask for what is rejected."""
        async with self._asking:
            return await self.records.failures(collections, limit)

    async def counts(self) -> Mapping[str, Trouble]:
        """Count what is rejected."""
        async with self._asking:
            return await self.records.counts()

    async def again(self, collections: Sequence[str], id_: Any) -> int:
        """Let rejected documents be tried again."""
        async with self._asking:
            return await self.records.again(collections, id_)

    async def on_its_way(self, mapping: DocumentMapping, id_: Any) -> tuple[bool, OnItsWay | None]:
        """Tell whether there is a row of a document, and how far it is on its way to MongoDB."""
        key = key_text(mapping, id_) or ""
        async with self._asking:
            tables = self.link.rows.tables(mapping.collection.name)
            there = await tables.is_there(await self.link.rows.session(), key)
            return there, await self.back.of(mapping.collection.name, key)

    async def parked(self, collections: Sequence[str], limit: int) -> Sequence[Failure]:
        """Ask for what MongoDB does not take."""
        async with self._asking:
            return await self.back.failures(collections, limit)

    async def backlogs(self) -> Mapping[str, Backlog]:
        """Count what MongoDB lacks."""
        async with self._asking:
            return await self.back.counts() or {}

    async def again_back(self, collections: Sequence[str], key: str | None) -> int:
        """Let what MongoDB did not take be tried again."""
        async with self._asking:
            return await self.back.again(collections, key)

    async def close(self) -> None:
        """End all sessions."""
        await self._stack.aclose()


async def opened_parts(
    documents: Documents,
    settings: DualWriteSettings,
    rules: Mapping[str, AuditRule],
    gate: WriteGate | None = None,
) -> Parts:
    """Open what a service needs; neither side needs to answer yet.

    Args:
        documents: the declaration.
        settings: of dual writes.
        rules: what the audit log keeps.
        gate: whom each write of MongoDB asks.

    Raises:
        ConfigError: a URL is missing, or leads to another kind of database.

    """
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(opened(documents))
        writes = MongoDocumentWrites(link.database, gate)
        log = MongoIntentLog(link.database)
        audited = AuditedWrites(writes, log, rules)
        stack.push_async_callback(audited.close)
        inline = await _inline(link, settings, log, stack)
        rows = RowWrites(documents.url("target"), link.mappings, rules, sessions=settings.sessions)
        stack.push_async_callback(rows.close)
        failures, back = DocumentFailures(link.rows), ComingBack(link.rows.session)
        return Parts(link, writes, audited, inline, rows, failures, back, Counters(), stack.pop_all())
    raise AssertionError


async def _inline(
    link: DocumentLink, settings: DualWriteSettings, log: IntentLog, stack: AsyncExitStack
) -> InlinePart | None:
    if settings.deadline <= timedelta(0):
        return None
    links = [await stack.enter_async_context(link.apart()) for _ in range(settings.sessions)]
    for one in links:
        one.rows.at_once = True
    inline = InlinePart(
        link.source,
        [one.rows for one in links],
        deadline=settings.deadline,
        rejected=tell_rejections,
        log=log,
        require=[partial(require_sides, one) for one in links],
    )
    stack.push_async_callback(inline.close)
    return inline
