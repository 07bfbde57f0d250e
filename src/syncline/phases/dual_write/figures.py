"""The service's figures, in the shape of ``GET /api/health/sync``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from syncline.errors import SourceError
from syncline.model.documents import DocumentMapping
from syncline.model.thresholds import PRIMARY_DOWN, SECONDARY_DOWN, Alert, Thresholds, health
from syncline.phases import Phases
from syncline.phases.dual_write.asking import answered
from syncline.phases.dual_write.parts import Parts
from syncline.ports.documents import Trouble


async def figures(parts: Parts, mappings: Mapping[str, DocumentMapping], phases: Phases) -> dict[str, Any]:
    """Ask both sides; one that is away is said to be."""
    trouble = await answered(parts.counts()) if parts.answers else None
    collections: dict[str, dict[str, Any]] = {}
    connected = True
    for name in mappings:
        ours = (trouble or {}).get(name, Trouble())
        failed = ours.given_up if trouble is not None else None
        collections[name] = {"phase": phases.of(name).value, "pending": None, "failed": failed, "lagSeconds": None}
        try:
            pending, lag = await parts.writes.waiting(name, ours.marks)
        except SourceError:
            connected = False
        else:
            collections[name] |= {"pending": pending, "lagSeconds": lag}
    return _shaped(parts, collections, mongodb=connected, postgresql=trouble is not None)


def _shaped(
    parts: Parts, collections: Mapping[str, Mapping[str, Any]], *, mongodb: bool, postgresql: bool
) -> dict[str, Any]:
    sync = {
        "queueSize": _sum(collections, "pending"),
        "syncLagSeconds": max((one["lagSeconds"] or 0.0 for one in collections.values()), default=0.0),
        "failedEvents": _sum(collections, "failed"),
    }
    alerts = _alerts(sync, mongodb=mongodb, postgresql=postgresql)
    word = health(source_up=mongodb, target_up=postgresql, alerts=alerts)
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


def _alerts(sync: Mapping[str, float | None], *, mongodb: bool, postgresql: bool) -> list[Alert]:
    names = {"queueSize": "queue_size", "syncLagSeconds": "lag_seconds", "failedEvents": "failed_events"}
    alerts = Thresholds().alerts({names[name]: value for name, value in sync.items() if value is not None})
    if not mongodb:
        alerts.append(Alert(*PRIMARY_DOWN, 1, 0, "MongoDB does not answer"))
    if not postgresql:
        alerts.append(Alert(*SECONDARY_DOWN, 1, 0, "PostgreSQL does not answer; nothing is lost, it is written later"))
    return alerts
