"""How both databases stand, asked by a view: what waits is in MongoDB, what was refused in PostgreSQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.http import HttpRequest, JsonResponse
from pymongo.errors import PyMongoError

from syncline.capture.documents.field import MARK
from syncline.capture.documents.indexes import MARKS
from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.errors import PhaseError
from syncline.model.thresholds import PRIMARY_DOWN, SECONDARY_DOWN, Alert, Health, Severity, Thresholds, health
from syncline.phases import Phase

_FAILED = """SELECT collection, count(*) FROM syncline_documents.rejected
WHERE collection = ANY(%s) GROUP BY collection"""


@dataclass(frozen=True, slots=True)
class CollectionHealth:
    """How a collection stands."""

    name: str
    phase: Phase | None
    """``None``: the databases do not say it."""
    pending: int
    """Documents that PostgreSQL may lack; 0 while nobody is to carry them."""
    lag_seconds: float
    failed: int | None
    """Documents that it has refused; ``None``: it does not answer."""

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
    waiting = _waiting(databases, [name for name in names if phases[name] is not Phase.OFF])
    failed = _failed(databases, names)
    return DocumentHealth(
        waiting is not None,
        failed is not None,
        tuple(
            CollectionHealth(
                name,
                phases[name],
                *(waiting or {}).get(name, (0, 0.0)),
                None if failed is None else failed.get(name, 0),
            )
            for name in names
        ),
    )


def _known_phases(databases: DocumentDatabases, names: list[str]) -> dict[str, Phase | None]:
    try:
        phases = databases.phases
        return {name: phases.of(name) for name in names}
    except PhaseError:
        return dict.fromkeys(names)


def _waiting(databases: DocumentDatabases, names: list[str]) -> dict[str, tuple[int, float]] | None:
    marked = {MARK: {"$exists": True}}
    found: dict[str, tuple[int, float]] = {}
    try:
        databases.mongodb.command("ping")
        for name in names:
            bare = databases.mongodb[name]
            oldest = bare.find_one(marked, {MARK: 1}, sort=[(MARK, 1)], hint=MARKS["name"])
            if oldest is not None:
                age = datetime.now(UTC) - oldest["_sync"]["mark"].generation_time
                found[name] = (bare.count_documents(marked, hint=MARKS["name"]), max(0.0, age.total_seconds()))
    except PyMongoError:
        return None
    return found


def _failed(databases: DocumentDatabases, names: list[str]) -> dict[str, int] | None:
    try:
        with databases.connection() as connection:
            return {name: count for name, count in connection.execute(_FAILED, [names]).fetchall()}  # noqa: C416
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
        return {}
    except psycopg.Error:
        return None


def alive(_: HttpRequest) -> JsonResponse:
    """``GET /health``: 200 while the process serves."""
    return JsonResponse({"status": "healthy"}, headers={"Cache-Control": "no-store"})


def sync_health(_: HttpRequest) -> JsonResponse:
    """``GET /api/health/sync``: both databases, queue, lag and failures, and each collection; 503 when unhealthy."""
    from syncline.contrib.django.project import document_databases

    found = read_health(document_databases()).as_dict()
    status = 503 if found["status"] == Health.UNHEALTHY.value else 200
    return JsonResponse(found, status=status, headers={"Cache-Control": "no-store"})


def _down(kind: tuple[str, Severity], message: str) -> Alert:
    return Alert(kind[0], kind[1], 1, 0, message)


def _word(connected: bool) -> str:
    return "connected" if connected else "disconnected"
