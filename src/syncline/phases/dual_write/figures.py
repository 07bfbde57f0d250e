"""The service's figures, in the shape of ``GET /api/health/sync``."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncline.engines.postgres.documents.coming_back import Backlog
from syncline.errors import SourceError
from syncline.model.documents import DocumentMapping
from syncline.model.thresholds import PRIMARY_DOWN, SECONDARY_DOWN, Alert, Thresholds, health
from syncline.phases import Phases
from syncline.phases.dual_write.asking import answered
from syncline.phases.dual_write.parts import Parts
from syncline.ports.documents import Trouble


async def figures(parts: Parts, mappings: Mapping[str, DocumentMapping], phases: Phases) -> dict[str, Any]:
    """Ask both sides; one that is away is said to be."""
    serving = {name for name in mappings if phases.of(name).postgresql_is_truth}
    trouble = await answered(parts.counts()) if parts.answers else None
    backlogs = await answered(parts.backlogs()) if serving and trouble is not None else None
    connected = await parts.mongodb_answers()
    collections: dict[str, dict[str, Any]] = {}
    for name in mappings:
        found = _back(name, backlogs) if name in serving else await _forward(parts, name, trouble, connected)
        collections[name] = {"phase": phases.of(name).value, **found}
    truths = _Truths(len(serving) < len(mappings), bool(serving))
    return _shaped(parts, collections, truths, mongodb=connected, postgresql=trouble is not None)


@dataclass(frozen=True, slots=True)
class _Truths:
    """Which databases are the truth of a collection."""

    mongodb: bool
    postgresql: bool


async def _forward(parts: Parts, name: str, trouble: Mapping[str, Trouble] | None, connected: bool) -> dict[str, Any]:
    """Tell what PostgreSQL lacks."""
    ours = (trouble or {}).get(name, Trouble())
    found = {"pending": None, "failed": ours.given_up if trouble is not None else None, "lagSeconds": None}
    if connected:
        with contextlib.suppress(SourceError):
            pending, lag = await parts.writes.waiting(name, ours.marks)
            return {**found, "pending": pending, "lagSeconds": lag}
    return found


def _back(name: str, backlogs: Mapping[str, Backlog] | None) -> dict[str, Any]:
    """Tell what MongoDB lacks."""
    if backlogs is None:
        return dict.fromkeys(("pending", "failed", "lagSeconds"))
    one = backlogs.get(name, Backlog())
    return {"pending": one.waiting, "failed": one.parked, "lagSeconds": one.oldest_seconds}


def _shaped(
    parts: Parts,
    collections: Mapping[str, Mapping[str, Any]],
    truths: _Truths,
    *,
    mongodb: bool,
    postgresql: bool,
) -> dict[str, Any]:
    sync = {
        "queueSize": _sum(collections, "pending"),
        "syncLagSeconds": max((one["lagSeconds"] or 0.0 for one in collections.values()), default=0.0),
        "failedEvents": _sum(collections, "failed"),
    }
    primary = (mongodb or not truths.mongodb) and (postgresql or not truths.postgresql)
    alerts = _alerts(sync, truths, mongodb=mongodb, postgresql=postgresql)
    word = health(source_up=primary, target_up=mongodb and postgresql, alerts=alerts)
    states = {"mongodb": mongodb, "postgresql": postgresql}
    return {
        "status": word.value,
        "databases": {name: "connected" if up else "disconnected" for name, up in states.items()},
        "sync": sync,
        "alerts": [one.as_dict() for one in alerts],
        "collections": collections,
        "operations": dataclasses.asdict(parts.counters),
    }


def _sum(collections: Mapping[str, Mapping[str, Any]], name: str) -> int | None:
    known = [one[name] for one in collections.values() if one[name] is not None]
    return sum(known) if len(known) == len(collections) else None


def _alerts(sync: Mapping[str, float | None], truths: _Truths, *, mongodb: bool, postgresql: bool) -> list[Alert]:
    names = {"queueSize": "queue_size", "syncLagSeconds": "lag_seconds", "failedEvents": "failed_events"}
    alerts = Thresholds().alerts({names[name]: value for name, value in sync.items() if value is not None})
    for name, up, serves in (("MongoDB", mongodb, truths.mongodb), ("PostgreSQL", postgresql, truths.postgresql)):
        if not up and serves:
            alerts.append(Alert(*PRIMARY_DOWN, 1, 0, f"{name} does not answer"))
        elif not up:
            said = f"{name} does not answer; nothing is lost, it is written later"
            alerts.append(Alert(*SECONDARY_DOWN, 1, 0, said))
    return alerts
