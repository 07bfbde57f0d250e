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
        self._closed = gauge(
            "gate_closed_seconds",
            "No side of a move accepts writes for so long now, or did not in the last five minutes.",
            "database",
        )
        self._way_back_workers = gauge("way_back_workers", "Workers that bring home what is written.", "database")
        self._way_back_lag = gauge("way_back_lag_seconds", "Age of the oldest change not at home yet.", "database")
        self._way_back_parked = gauge("way_back_parked", "Records that home refuses.", "database")

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
        self._tell_moves(health)
        return generate_latest(self._registry)

    def _tell_moves(self, health: Health) -> None:
        for one in (self._closed, self._way_back_workers, self._way_back_lag, self._way_back_parked):
            one.clear()  # of a move that is over, and of a way back while home serves, nothing is told
        for name, move in health.moves.items():
            self._closed.labels(name).set(move.closed_seconds)
            if move.way_back is not None:
                self._way_back_workers.labels(name).set(move.way_back.workers)
                self._way_back_lag.labels(name).set(move.way_back.lag_seconds)
                self._way_back_parked.labels(name).set(move.way_back.parked)
