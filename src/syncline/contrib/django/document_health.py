"""How both databases stand, asked by a view: what waits is in MongoDB, what was refused in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from bson import ObjectId
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from pymongo.collection import Collection
from pymongo.errors import PyMongoError

from syncline.capture.documents.field import FIELD, MARK
from syncline.capture.documents.indexes import MARKS
from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.engines.postgres.documents.coming_back import Backlog, statements
from syncline.engines.postgres.documents.coming_back import backlogs as backlogs_of
from syncline.errors import PhaseError
from syncline.model.documents.ids import shown_key
from syncline.model.strict_bson import AS_STORED
from syncline.model.thresholds import PRIMARY_DOWN, SECONDARY_DOWN, Alert, Health, Severity, Thresholds, health
from syncline.phases import Phase
from syncline.postgres.sql import blocks

T = TypeVar("T")
Held = frozenset[tuple[str, str]]
"""Marks of rejected documents, each with what is shown of the ``_id``."""


@dataclass(frozen=True, slots=True)
class CollectionHealth:
    """How a collection stands."""

    name: str
    phase: Phase | None
    """``None``: the databases do not say it."""
    pending: int
    """Documents that the other side may lack, but for those that it has refused; 0 while nobody is to carry them."""
    lag_seconds: float
    failed: int | None
    """Documents that the other side has refused; ``None``: PostgreSQL does not answer."""

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        return {
            "phase": self.phase.value if self.phase else "unknown",
            "pending": self.pending,
            "failed": self.failed,
            "lagSeconds": round(self.lag_seconds, 1),
        }


@dataclass(frozen=True, slots=True)
class DocumentHealth:
    """How both databases stand."""

    mongodb: bool
    postgresql: bool
    collections: tuple[CollectionHealth, ...]

    @property
    def needs_postgresql(self) -> bool:
        """Whether a collection is further than MongoDB alone."""
        return any(one.phase is not Phase.OFF for one in self.collections)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        queue = sum(one.pending for one in self.collections)
        lag = max((one.lag_seconds for one in self.collections), default=0.0)
        failed = sum(one.failed or 0 for one in self.collections)
        alerts = self._alerts(queue, lag, failed)
        word = health(source_up=self._primary, target_up=self._secondary, alerts=alerts)
        return {
            "status": word.value,
            "databases": {"mongodb": _word(self.mongodb), "postgresql": _word(self.postgresql)},
            "sync": {"queueSize": queue, "syncLagSeconds": round(lag, 1), "failedEvents": failed},
            "alerts": [alert.as_dict() for alert in alerts],
            "collections": {one.name: one.as_dict() for one in self.collections},
        }

    @property
    def _primary(self) -> bool:
        serving = [one.phase is not None and one.phase.postgresql_is_truth for one in self.collections]
        return (self.mongodb or all(serving)) and (self.postgresql or not any(serving))

    @property
    def _secondary(self) -> bool:
        return (self.mongodb and self.postgresql) or not self.needs_postgresql

    def _alerts(self, queue: int, lag: float, failed: int) -> list[Alert]:
        found = Thresholds().alerts({"lag_seconds": lag, "queue_size": queue, "failed_events": failed})
        if not self._primary:
            found.append(_down(PRIMARY_DOWN, "the database that is the truth does not answer"))
        elif not self._secondary:
            found.append(_down(SECONDARY_DOWN, "the database that follows does not answer"))
        return found


def read_health(databases: DocumentDatabases) -> DocumentHealth:
    """Look at both databases; one that does not answer is part of the answer."""
    names = [mapping.collection.name for mapping in databases.documents.mappings]
    phases = _known_phases(databases, names)
    serving = [name for name in names if (phase := phases[name]) is not None and phase.postgresql_is_truth]
    failed, backlogs = _asked(databases, _failed), _asked(databases, _backlogs) if serving else {}
    held = {
        name: (failed or {}).get(name, frozenset())
        for name in names
        if phases[name] is not Phase.OFF and name not in serving
    }
    waiting = _waiting(databases, held)
    back = {name: None if backlogs is None else backlogs.get(name, Backlog()) for name in serving}
    return DocumentHealth(
        waiting is not None,
        failed is not None,
        tuple(
            _coming_back(name, phases[name], back[name])
            if name in back
            else CollectionHealth(
                name,
                phases[name],
                *(waiting or {}).get(name, (0, 0.0)),
                None if failed is None else len(failed.get(name, ())),
            )
            for name in names
        ),
    )


def _coming_back(name: str, phase: Phase | None, backlog: Backlog | None) -> CollectionHealth:
    """Tell of a collection whose truth is PostgreSQL: what MongoDB lacks."""
    if backlog is None:
        return CollectionHealth(name, phase, 0, 0.0, None)
    return CollectionHealth(name, phase, backlog.waiting, backlog.oldest_seconds, backlog.parked)


def _known_phases(databases: DocumentDatabases, names: list[str]) -> dict[str, Phase | None]:
    try:
        phases = databases.phases
        return {name: phases.of(name) for name in names}
    except PhaseError:
        return dict.fromkeys(names)


def _waiting(databases: DocumentDatabases, held: dict[str, Held]) -> dict[str, tuple[int, float]] | None:
    try:
        databases.mongodb.command("ping")
        return {name: _waiting_in(databases.mongodb[name], without) for name, without in held.items()}
    except PyMongoError:
        return None


def _waiting_in(collection: Collection[Any], held: Held) -> tuple[int, float]:
    """Count what waits, and tell for how long the oldest does: what was refused waits for somebody's hand."""
    marked = {MARK: {"$exists": True}}
    count = collection.count_documents(marked, hint=MARKS["name"]) - len(held)
    if count <= 0:
        return 0, 0.0
    stored = collection.with_options(codec_options=AS_STORED)
    for one in stored.find(marked, {MARK: 1}, sort=[(MARK, 1)], limit=len(held) + 1, hint=MARKS["name"]):
        mark = one[FIELD]["mark"]
        if isinstance(mark, ObjectId) and (str(mark), shown_key(one["_id"])) not in held:
            return count, max(0.0, (datetime.now(UTC) - mark.generation_time).total_seconds())
    return count, 0.0


def _asked(databases: DocumentDatabases, ask: Callable[[Any], dict[str, T]]) -> dict[str, T] | None:
    """Ask PostgreSQL for what is kept of collections; nothing, where nothing is installed. ``None``: no answer."""
    try:
        with databases.connection() as connection:
            return ask(connection)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return {}
    except psycopg.Error:
        return None


def _failed(connection: Any) -> dict[str, Held]:
    asked = blocks("failures.sql", "syncline.engines.postgres.documents")["counts"]
    rows = connection.execute(asked).fetchall()
    return {name: frozenset(zip(marks, ids, strict=True)) for name, _, _, marks, ids in rows}


def _backlogs(connection: Any) -> dict[str, Backlog]:
    return backlogs_of(connection.execute(statements()["counts"]).fetchall())


def alive(_: HttpRequest) -> JsonResponse:
    """``GET /health``: 200 while the process serves."""
    return JsonResponse({"status": "healthy"}, headers={"Cache-Control": "no-store"})


def sync_health(_: HttpRequest) -> JsonResponse:
    """``GET /api/health/sync``: both databases, queue, lag and failures, and each collection; 503 when unhealthy."""
    from syncline.contrib.django.project import document_databases

    found = read_health(document_databases()).as_dict()
    status = 503 if found["status"] == Health.UNHEALTHY.value else 200
    return JsonResponse(found, status=status, headers={"Cache-Control": "no-store"})


def metrics(_: HttpRequest) -> HttpResponse:
    """``GET /metrics``: what this process counted; with ``PROMETHEUS_MULTIPROC_DIR``, all of the application's.

    Raises:
        Http404: the manager has no ``metrics``.

    """
    from syncline.contrib.django.project import document_databases

    if (counts := document_databases().metrics) is None:
        raise Http404
    from syncline.web.exposition import CONTENT_TYPE, counted

    page = counted(counts.registry, shared=True)
    return HttpResponse(page, content_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})


def _down(kind: tuple[str, Severity], message: str) -> Alert:
    return Alert(kind[0], kind[1], 1, 0, message)


def _word(connected: bool) -> str:
    return "connected" if connected else "disconnected"
