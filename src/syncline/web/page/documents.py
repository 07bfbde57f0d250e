"""The page of a link whose source are documents: collections with their phases, what was rejected, what can be done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import orjson
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncline.config import redact
from syncline.config.documents import Documents
from syncline.config.urls import database_of, host_of
from syncline.documents.explaining import explained
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.repairing import DocumentRepairer
from syncline.documents.standing import opened_standing
from syncline.documents.status import DocumentHealth
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.postgres.documents.keeping import Keeping
from syncline.errors import KeyFormatError, SynclineError
from syncline.insight.health import DEADLINE
from syncline.insight.status import plain
from syncline.model.thresholds import Thresholds
from syncline.phases.enabled import default_phase
from syncline.phases.overview import CollectionPhase, Overview
from syncline.verify.render import sentence
from syncline.verify.report import EntityReport, Verdict, VerifyReport
from syncline.verify.spool import Taker
from syncline.web.auth import AdminCredential
from syncline.web.page.guard import Guard, read_body
from syncline.web.page.guarded import GuardedPage, told, who
from syncline.web.page.jobs import Job, Jobs, Work
from syncline.web.page.session import Session
from syncline.web.page.watch import PAUSE_SECONDS, Watch
from syncline.web.problems import Problem

SHOWN = 50
"""Rejected documents that are listed."""
RATE = 10_000.0
"""Documents a second: the application feels little of it."""
_log = structlog.get_logger("syncline")


class DocumentPage(GuardedPage):
    """The operations page of a document link, as an ASGI application; see ``OperationsPage``.

    Args:
        documents: the declaration.
        credential: lets people in; while it is not set nobody gets in.
        thresholds: the bounds in force.
        pause: seconds between two looks at the databases.
        deadline: limit for a look.

    """

    def __init__(
        self,
        documents: Documents,
        credential: AdminCredential,
        *,
        thresholds: Thresholds | None = None,
        pause: float = PAUSE_SECONDS,
        deadline: timedelta = DEADLINE,
    ) -> None:
        self._documents = documents
        seconds = deadline.total_seconds()
        health = DocumentHealth(documents, deadline=seconds, thresholds=thresholds)
        jobs = Jobs(DocumentWorks(documents).by_name(), _names(documents), self._look)
        watch = Watch(
            health,
            DocumentDetails(documents, health, seconds=seconds),
            thresholds=thresholds,
            pause=pause,
            deadline=3 * deadline,  # it asks both sides for each collection
            also=lambda: {"jobs": jobs.as_list(), "addresses": _addresses(documents)},
        )
        super().__init__(credential, watch, jobs, link=" of documents")

    async def _look(self) -> None:
        await self.watch.soon()

    def _routes(self, guard: Guard) -> list[Route]:
        return [Route("/rejected/retry", guard.posts(told(self._retry)), methods=["POST"])]

    async def _explained(self, entity: str, key: str) -> dict[str, Any]:
        async with opened(self._documents) as link:
            try:
                return (await explained(link, entity, key)).as_dict()
            except KeyFormatError as error:
                raise Problem(422, error.message, hint=error.hint) from error

    async def _retry(self, request: Request, _: Session) -> Response:
        collection, id_ = _named(await read_body(request))
        kept = Keeping(self._documents.url("target"))
        try:
            asked = await kept.ask(collection, [id_])
        finally:
            await kept.close()
        _log.info("rejected document", action="retry", entity=collection, documents=asked, who=who(request))
        await self.watch.soon()
        return JSONResponse({"records": asked})


class DocumentDetails:
    """What the page asks beside the health.

    Args:
        documents: the declaration.
        health: has looked just now.
        seconds: limit of a question.

    """

    of_source = False

    def __init__(self, documents: Documents, health: DocumentHealth, *, seconds: float) -> None:
        self._health, self._kept = health, Keeping(documents.url("target"), seconds=seconds)
        declared = {mapping.collection.name: mapping.fingerprint for mapping in documents.mappings}
        self._tables = {one.collection.name: [str(table.name) for table in one.tables] for one in documents.mappings}
        sides = (documents.url("source"), documents.url("target"))
        self._overview = Overview(*sides, declared, default_phase(os.environ), seconds=seconds)

    async def read(self) -> dict[str, Any]:
        """Ask."""
        found = {one.name: one.as_dict() for one in (await self._health.read_all()).collections}
        phases, phases_error = await self._phases()
        for name, phase in phases.items():
            found[name] = {**found.get(name, {}), **phase.as_dict()}
        rows = [{**found.get(name, {}), "name": name, "tables": tables} for name, tables in self._tables.items()]
        return {"collections": rows, "phases_error": phases_error, "rejected": await self._rejected()}

    async def close(self) -> None:
        """End the sessions."""
        await self._kept.close()
        await asyncio.to_thread(self._overview.close)

    async def _phases(self) -> tuple[Mapping[str, CollectionPhase], str | None]:
        try:
            return await asyncio.to_thread(self._overview.read), None
        except SynclineError as error:
            return {}, redact(error.message)

    async def _rejected(self) -> dict[str, Any] | None:
        try:
            rows = [_rejection(one) for one in await self._kept.rejected(limit=SHOWN)]
            return {"documents": await self._kept.count_rejected(), "rows": rows}
        except SynclineError:
            return None


class DocumentWorks:
    """Verification and repair.

    Args:
        documents: the declaration.

    """

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def by_name(self) -> Mapping[str, Work]:
        """Give them by name."""
        return {"verify": self.verify, "repair": self.repair}

    async def verify(self, job: Job) -> tuple[str, str]:
        """Compare both sides."""
        async with opened_standing(self._documents) as link:
            report = await _verified(link, job, None)
        return "divergent" if report.verdict is Verdict.DIVERGENT else "done", sentence(report)

    async def repair(self, job: Job) -> tuple[str, str]:
        """Compare both sides, and mark what diverges."""
        async with opened_standing(self._documents) as link:
            repairer = DocumentRepairer(link)
            await _verified(link, job, repairer)
        left, marked = repairer.report.left_by.total(), repairer.report.marked_by.total()
        said = f"{marked:,} documents marked" + (f", {left:,} left alone" if left else "")
        said += ". A repair is not a verification: verify when nothing waits."
        return "divergent" if left else "done", said


async def _verified(link: DocumentLink, job: Job, taker: Taker | None) -> VerifyReport:
    def tell(report: EntityReport, total: int) -> None:
        job.done, job.total = report.records, total

    verifier = DocumentVerifier(link, rate=RATE, taker=taker, told=tell)
    try:
        return await verifier.verify([job.entity])
    finally:
        await verifier.close()


def _rejection(row: Mapping[str, Any]) -> dict[str, Any]:
    names = {"entity": "collection", "key": "mongo_id", "error": "reason", "tries": "attempts"}
    names |= {"since": "first_at", "tried_at": "last_at", "given_up": "given_up"}
    found: dict[str, Any] = plain({name: row[column] for name, column in names.items()})
    return found


def _names(documents: Documents) -> set[str]:
    return {mapping.collection.name for mapping in documents.mappings}


def _addresses(documents: Documents) -> list[str]:
    """Say where both sides are: host and database, never a password."""
    urls = [documents.url(side) for side in ("source", "target")]
    return [f"{host_of(url)}, database {database_of(url) or 'of the role'}" for url in urls]


def _named(body: bytes) -> tuple[str, str]:
    try:
        found = orjson.loads(body)
        collection, id_ = found["entity"], found["key"]
    except (ValueError, KeyError, TypeError):
        collection = id_ = None
    if not isinstance(collection, str) or not isinstance(id_, str):
        raise Problem(422, "send the entity and the key of a rejected document")
    return collection, id_
