"""How a document link stands: marks that wait, what was rejected, who works, in the form of every link's status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC
from typing import Any, TypeVar

from syncline.config import redact
from syncline.config.documents import Documents
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.restores import require_unrestored
from syncline.documents.standing import keeping, require_standing
from syncline.engines.mongo.marked_database import MarkedDatabase, Waiting
from syncline.engines.postgres.documents.coming_back import Backlog, ComingBack
from syncline.engines.postgres.documents.keeping import Keeping, Kept, Proofs
from syncline.errors import NotInstalledError, SynclineError
from syncline.insight.reach import DatabaseState
from syncline.insight.status import Measures, Status, judge
from syncline.model.notice import Notice
from syncline.model.thresholds import NOT_INSTALLED, UNKNOWN, Alert, Severity, Thresholds
from syncline.verify.verifier import diverged

T = TypeVar("T")

DEADLINE = 2.0
"""Seconds that each side is given."""
KEPT_SECONDS = 1.0
SOURCE, TARGET = "source", "target"
"""How reports and metrics call both sides, as those of rows call a PostgreSQL that is the target: alerts go by it."""


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """How one collection stands."""

    name: str
    waiting: int
    oldest_seconds: float
    rejected: int
    back: Backlog | None = None
    """What of its rows MongoDB lacks; ``None``: no way back is installed."""

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        told = {"name": self.name, "waiting": self.waiting, "oldest_seconds": round(self.oldest_seconds, 1)}
        return {**told, "rejected": self.rejected, "back": self.back and _way_back(self.back)}


def _way_back(back: Backlog) -> dict[str, Any]:
    told = {"waiting": back.waiting, "oldest_seconds": round(back.oldest_seconds, 1)}
    return {**told, "rejected": back.parked}


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """Everything that ``syncline status`` shows of a document link."""

    whole: Status
    collections: Sequence[CollectionStatus] = ()
    """Empty while MongoDB is away."""

    def as_dict(self) -> dict[str, Any]:
        """Give everything, in JSON's types."""
        return {**self.whole.as_dict(), "collections": [one.as_dict() for one in self.collections]}


@dataclass(slots=True)
class _Kept:
    state: DatabaseState = field(default_factory=lambda: DatabaseState(connected=False))
    kept: Kept | None = None
    workers: Sequence[Mapping[str, Any]] = ()
    rejected: Mapping[str, frozenset[tuple[str, str]]] = field(default_factory=dict)
    proofs: Proofs = field(default_factory=Proofs)
    back: Mapping[str, Backlog] | None = None
    missing: NotInstalledError | None = None


class DocumentHealth:
    """Reads the status again and again, over sessions that it keeps; for one event loop.

    Args:
        documents: the declaration.
        deadline: seconds that each side is given.

    """

    def __init__(
        self, documents: Documents, *, deadline: float = DEADLINE, thresholds: Thresholds | None = None
    ) -> None:
        self._documents, self._deadline, self._thresholds = documents, deadline, thresholds
        self._stack: AsyncExitStack | None = None
        self._link: DocumentLink | None = None
        self._kept: Keeping | None = None
        self._last: tuple[float, DocumentStatus] | None = None
        self._turn = asyncio.Lock()

    async def read(self) -> Status:
        """Look, or give a look that is young enough; never raises what a database can cause."""
        return (await self.read_all()).whole

    async def read_all(self) -> DocumentStatus:
        """Look, with what is known of each collection."""
        async with self._turn:
            if self._last is None or time.monotonic() - self._last[0] > KEPT_SECONDS:
                self._last = time.monotonic(), await self._look()
            return self._last[1]

    async def close(self) -> None:
        """Close the sessions; asking again opens them anew."""
        if self._stack is not None:
            await self._stack.aclose()
        self._stack = self._link = self._kept = self._last = None

    async def _open(self) -> tuple[DocumentLink, Keeping]:
        if self._link is None or self._kept is None:
            self._stack = AsyncExitStack()
            self._link = await self._stack.enter_async_context(opened(self._documents))
            self._kept = keeping(self._link)
            self._stack.push_async_callback(self._kept.close)
        return self._link, self._kept

    async def _look(self) -> DocumentStatus:
        link, kept = await self._open()
        theirs = await self._look_at_target(kept)
        state, collections, alerts = await self._look_at_source(link, kept, theirs)
        measures = None
        if state.connected:
            measures = _measured(collections)
        databases = {SOURCE: state, TARGET: theirs.state}
        workers = [{**one, "lanes": 0} for one in theirs.workers]
        if theirs.missing is not None:
            alerts.append(Alert(*NOT_INSTALLED, 1, 0, f"{theirs.missing.message}; {theirs.missing.hint}"))
        proofs = theirs.proofs
        facts: dict[str, Any] = {"measures": measures, "workers": workers, "notices": [*_noticed(proofs)]}
        facts |= {"certificates": proofs.certificates, "verifying": proofs.verifying}
        whole = judge(databases, facts, thresholds=self._thresholds, alerts=alerts)
        if not theirs.state.connected:  # whether somebody works is not known then
            whole = _without(whole, "NoWorker")
        return DocumentStatus(whole, collections)

    async def _look_at_target(self, kept: Keeping) -> _Kept:
        found = _Kept()

        async def look() -> None:
            started = time.perf_counter()
            about = await kept.about()
            latency = round((time.perf_counter() - started) * 1000, 1)
            found.state = DatabaseState(connected=True, latency_ms=latency, version=about["version"])
            found.kept = await kept.kept()
            found.workers = await kept.workers()
            found.rejected = await kept.marks_rejected()
            found.proofs = await kept.proofs()
            found.back = await ComingBack(kept.session).counts()

        try:
            await self._within(look())
        except NotInstalledError as error:
            found.missing = error
        except SynclineError as error:
            found.state = DatabaseState(connected=False, error=redact(error.message))
        return found

    async def _look_at_source(
        self, link: DocumentLink, kept: Keeping, theirs: _Kept
    ) -> tuple[DatabaseState, list[CollectionStatus], list[Alert]]:
        database, collections, alerts = MarkedDatabase(link.database, seconds=self._deadline), [], []
        started = time.perf_counter()
        try:
            server = await self._within(database.server())
        except SynclineError as error:
            return DatabaseState(connected=False, error=redact(error.message)), [], []
        latency = round((time.perf_counter() - started) * 1000, 1)
        try:
            if theirs.kept is not None:
                await self._within(require_standing(link, theirs.kept))
                await self._within(require_unrestored(link, kept))
            for name in link.collections:
                rejected = theirs.rejected.get(name, frozenset())
                back = None if theirs.back is None else theirs.back.get(name, Backlog())
                waiting = await self._within(database.waiting(name, rejected))
                collections.append(_of(name, waiting, len(rejected), back))
        except NotInstalledError as error:
            alerts.append(Alert(*NOT_INSTALLED, 1, 0, f"{error.message}; {error.hint}"))
        except SynclineError as error:
            alerts.append(
                Alert(UNKNOWN[0], Severity.CRITICAL, 1, 0, f"{error.message}; {error.hint or ''}".rstrip("; "))
            )
        return DatabaseState(connected=True, latency_ms=latency, version=server.version), collections, alerts

    async def _within(self, look: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(look, self._deadline)
        except TimeoutError:
            raise SynclineError(f"no answer within {self._deadline:g} s") from None


def _noticed(proofs: Proofs) -> Iterator[Mapping[str, Any]]:
    """Say what is wrong by the newest verifications, as notices: each is there until a newer one disproves it."""
    for number, one in enumerate(proofs.failures, 1):
        about = {"id": number, "at": one["at"], "entity": one["collection"], "message": one["message"]}
        yield {**about, "name": str(Notice.VERIFY_FAILED), "severity": "warning", "resolved": False}
    for number, one in enumerate(proofs.certificates, len(proofs.failures) + 1):
        if sum(one["divergent"].values()):
            told = diverged(one["entity"], one["divergent"], one["as_of"].astimezone(UTC))
            about = {"id": number, "at": one["finished_at"], "entity": one["entity"], "message": told}
            yield {**about, "name": str(Notice.DIVERGED), "severity": "warning", "resolved": False}


def _measured(collections: Sequence[CollectionStatus]) -> Measures:
    """Count what either side lacks."""
    backs = [one.back for one in collections if one.back is not None]
    queue = sum(one.waiting for one in collections) + sum(one.waiting for one in backs)
    ages = [one.oldest_seconds for one in collections] + [one.oldest_seconds for one in backs]
    lag = max(ages, default=0.0)
    return Measures(queue, lag, sum(one.rejected for one in collections) + sum(one.parked for one in backs), 0)


def _of(name: str, waiting: Waiting, rejected: int, back: Backlog | None) -> CollectionStatus:
    return CollectionStatus(name, waiting.documents, waiting.oldest.total_seconds(), rejected, back)


def _without(status: Status, name: str) -> Status:
    return replace(status, alerts=[one for one in status.alerts if one.name != name])


async def read_status(documents: Documents) -> DocumentStatus:
    """Look once.

    Raises:
        ConfigError: a URL is missing, or leads to another kind of database.

    """
    health = DocumentHealth(documents)
    try:
        return await health.read_all()
    finally:
        await health.close()
