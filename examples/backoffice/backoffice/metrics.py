"""What Prometheus is told, beside request times and events of the session cache: databases, pools, the mode."""

from __future__ import annotations

from prometheus_client import Gauge, generate_latest

from backoffice.health import Health
from backoffice.services import Services


class Metrics:
    """The gauges of a process, set when they are asked for."""

    def __init__(self, services: Services) -> None:
        self._registry = services.metrics.registry

        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(f"backoffice_{name}", about, labels, registry=self._registry)

        self._up = gauge("database_up", "1: the database answers.", "database")
        self._latency = gauge("database_latency_seconds", "Of a query that reads nothing.", "database")
        self._pool = gauge("pool_connections", "Connections of the pool; size: at most.", "database", "state")
        self._split = gauge("split_mode", "1: split mode, 0: single mode.")
        self._current = gauge("sessions_current", "0: sessions are not kept; each request asks PRIMARY.")

    def exposition(self, health: Health) -> bytes:
        """Give everything in Prometheus' format."""
        for name, database in health.databases.items():
            self._up.labels(name).set(database.up)
            if database.latency_ms is not None:
                self._latency.labels(name).set(database.latency_ms / 1000)
            for state, key in (("size", "size"), ("in_use", "inUse"), ("idle", "idle")):
                self._pool.labels(name, state).set(database.pool.get(key, 0))
        self._split.set(health.mode == "split")
        self._current.set(health.sessions.current)
        return generate_latest(self._registry)
