"""A process's metrics as text: what it counted, and what a look at the databases finds within the probes' deadline."""

from __future__ import annotations

import os
from collections import Counter

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector

from syncline.insight.health import HealthReader
from syncline.insight.status import Status
from syncline.telemetry.metrics import Snapshot, SnapshotCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST


class Exposition:
    """Writes the metrics of a process as text.

    Args:
        registry: what the process counted.
        reader: looks at the databases.
        shared: several processes of one application (``PROMETHEUS_MULTIPROC_DIR``) show their counts together.

    """

    def __init__(self, registry: CollectorRegistry, reader: HealthReader, *, shared: bool = False) -> None:
        self._registry = registry
        self._shared = shared and "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self._reader = reader
        self._looks = CollectorRegistry()
        self._collector = SnapshotCollector(self._looks)

    async def text(self) -> bytes:
        """Look at the databases, and write."""
        self._collector.snapshot = snapshot_of(await self._reader.read())
        return generate_latest(self._counted()) + generate_latest(self._looks)

    def _counted(self) -> CollectorRegistry:
        if not self._shared:
            return self._registry
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return together


def snapshot_of(status: Status) -> Snapshot:
    """Turn a status into what the metrics show of it."""
    found = status.measures
    measures: dict[str, float] = {}
    if found is not None:
        names = ("queue_size", "lag_seconds", "failed_events", "deferred_deletes")
        measures = {name: float(getattr(found, name)) for name in names}
        measures["workers"] = float(sum(bool(worker["alive"]) for worker in status.workers))
    latencies = {n: s.latency_ms / 1000 for n, s in status.databases.items() if s.latency_ms is not None}
    lanes = {state: status.lanes[state] for state in ("owned", "free") if state in status.lanes}
    up = {name: state.connected for name, state in status.databases.items()}
    open_ones = (one for one in status.notices if not one["resolved"] and one["severity"] != "info")
    notices = Counter((str(one["name"]), str(one["severity"])) for one in open_ones)
    divergent = {str(one["entity"]): sum((one["divergent"] or {}).values()) for one in status.certificates}
    return Snapshot(status.health.value, up, latencies, measures, lanes, notices, divergent)
