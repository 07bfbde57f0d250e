"""The bodies of our routes, for the OpenAPI document: camelCase, with the words of the handbook."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

StatusWord = Literal["healthy", "degraded", "unhealthy"]
StateWord = Literal["connected", "disconnected"]

HEALTHY: dict[str, Any] = {
    "status": "healthy",
    "databases": {"postgresql": "connected", "mongodb": "connected"},
    "sync": {"queueSize": 45, "syncLagSeconds": 2, "failedEvents": 0},
    "alerts": [],
}
UNHEALTHY: dict[str, Any] = {
    "status": "unhealthy",
    "databases": {"postgresql": "connected", "mongodb": "connected"},
    "sync": {"queueSize": 812, "syncLagSeconds": 93.4, "failedEvents": 0},
    "alerts": [
        {
            "name": "SyncLagCritical",
            "severity": "critical",
            "value": 93.4,
            "threshold": 60,
            "message": "the oldest waiting change is 93 s old (limit 60 s)",
        }
    ],
}

DATABASES: dict[str, Any] = {
    "status": "degraded",
    "databases": {
        "postgresql": {
            "state": "connected",
            "latencyMs": 0.4,
            "version": "18.1",
            "error": None,
            "pool": {"size": 5, "inUse": 2, "idle": 3},
        },
        "mongodb": {
            "state": "disconnected",
            "latencyMs": None,
            "version": None,
            "error": "no answer; the admin credential shows why",
            "pool": None,
        },
    },
}
RESYNC: dict[str, Any] = {
    "id": "12",
    "state": "running",
    "progress": 0.31,
    "message": "full resync of todo, user",
    "requestedAt": "2026-01-31T12:00:00Z",
    "finishedAt": None,
    "tasks": 4,
    "left": [
        {"kind": "sweep", "entity": "todo", "done": 4000, "total": None, "marked": 0, "running": True},
        {"kind": "backfill", "entity": "user", "done": 250, "total": 1000, "marked": 250, "running": False},
        {"kind": "sweep", "entity": "user", "done": 0, "total": None, "marked": 0, "running": False},
    ],
    "queueSize": 1730,
    "workers": 2,
}


class Shape(BaseModel):
    """A body in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, use_attribute_docstrings=True)


class Alive(Shape):
    """The process serves."""

    status: Literal["healthy"] = "healthy"


class AlertShape(Shape):
    """Something that exceeds a threshold."""

    name: str
    severity: Literal["warning", "critical"]
    value: float
    threshold: float
    message: str


class SyncShape(Shape):
    """The measures; ``null`` while they are not known."""

    queue_size: int | None
    """Captured, not applied, not parked."""
    sync_lag_seconds: float | None
    """Age of the oldest of these; 0 when there is none."""
    failed_events: int | None
    """Parked changes, those that wait behind them included."""


class SyncHealth(Shape):
    """How the synchronisation stands."""

    model_config = ConfigDict(json_schema_extra={"examples": [HEALTHY]})

    status: StatusWord
    databases: dict[str, StateWord]
    sync: SyncShape
    alerts: list[AlertShape]


class DatabaseShape(Shape):
    """One database."""

    state: StateWord
    latency_ms: float | None
    """Of one round trip, in milliseconds."""
    version: str | None
    error: str | None = None
    """Why it is disconnected; only told to who has the admin credential."""
    pool: dict[str, int] | None
    """The application's connections: ``size``, ``inUse``, ``idle``, as far as known."""


class DatabasesHealth(Shape):
    """Each database."""

    model_config = ConfigDict(json_schema_extra={"examples": [DATABASES]})

    status: StatusWord
    databases: dict[str, DatabaseShape]


class Triggered(Shape):
    """The workers were told to look at once."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"queueSize": 45, "workers": 2}]})

    queue_size: int
    """Changes that wait for them."""
    workers: int
    """Workers that live; with none the changes go on waiting."""


class PartShape(Shape):
    """One task that is left."""

    kind: Literal["backfill", "sweep"]
    entity: str
    done: int
    total: int | None
    marked: int
    running: bool


class ResyncShape(Shape):
    """A full resync."""

    model_config = ConfigDict(json_schema_extra={"examples": [RESYNC]})

    id: Annotated[str, BeforeValidator(str)]
    state: Literal["running", "applying", "finished", "cancelled"]
    """``running``: records are being marked; ``applying``: all are marked, the worker still writes them."""
    progress: float = Field(ge=0, le=1)
    """How much is marked, from 0 to 1."""
    message: str
    requested_at: datetime
    finished_at: datetime | None
    tasks: int
    """Tasks in all; 0 when none is left."""
    left: list[PartShape]
    queue_size: int
    workers: int


class ProblemShape(Shape):
    """Problem details (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    hint: str | None = None
    """What to do next."""


def problems(**described: str) -> dict[int | str, dict[str, Any]]:
    """Document the problems of a route: ``problems(_404="there is no such resync")``."""
    return {
        int(status.removeprefix("_")): {
            "description": text,
            "content": {"application/problem+json": {"schema": ProblemShape.model_json_schema()}},
        }
        for status, text in described.items()
    }


GUARDED = problems(
    _401="the credential is missing or wrong",
    _403="no admin credential is set on the server",
    _503="the source does not answer; try again later",
)
