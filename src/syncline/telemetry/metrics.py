"""Prometheus metrics of the worker and of applications. What they mean stands in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from syncline.errors import ConfigError
from syncline.telemetry.catalogue import Kind, Spec, spec
from syncline.telemetry.observer import (
    BatchDone,
    Drop,
    Dropped,
    Event,
    LanesChanged,
    Noticed,
    NullObserver,
    Started,
    Stopped,
    Unavailable,
)
from syncline.telemetry.recent import RecentLatency

try:
    import prometheus_client as prometheus
    from prometheus_client.core import GaugeMetricFamily, Metric
except ImportError as error:  # pragma: no cover
    raise ConfigError("metrics need prometheus-client", hint="pip install 'syncline[metrics]'") from error

Registry = prometheus.CollectorRegistry
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""As the pump says it; whatever else it says stands for itself."""
_STATUSES = ("healthy", "degraded", "unhealthy")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a scrape found in the databases. What is not known is left out, never shown as it once was."""

    status: str
    up: Mapping[str, bool]
    latency_seconds: Mapping[str, float] = field(default_factory=dict)
    measures: Mapping[str, float] = field(default_factory=dict)
    """By metric, without ``syncline_``: ``queue_size``, ``lag_seconds``, ``failed_events``, …"""
    lanes: Mapping[str, int] = field(default_factory=dict)
    notices: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Open ones, by name and severity."""
    divergent: Mapping[str, int] = field(default_factory=dict)
    """Differences by entity, as far as verified."""
    further: Mapping[str, Mapping[tuple[str, ...], float]] = field(default_factory=dict)
    """Gauges of one kind of link, by their whole name."""


class SnapshotCollector:
    """Shows the newest snapshot."""

    def __init__(self, registry: Registry) -> None:
        self.snapshot: Snapshot | None = None
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Give the metrics of the snapshot."""
        found = self.snapshot
        if found is None:
            return
        for name, value in found.measures.items():
            yield _gauge(f"syncline_{name}", {(): value})
        yield _gauge("syncline_status", {(word,): float(word == found.status) for word in _STATUSES})
        yield _gauge("syncline_database_up", {(name,): float(up) for name, up in found.up.items()})
        yield _gauge("syncline_database_latency_seconds", {(n,): value for n, value in found.latency_seconds.items()})
        if found.lanes:
            yield _gauge("syncline_lanes", {(state,): float(count) for state, count in found.lanes.items()})
        yield _gauge("syncline_open_notices", {labels: float(count) for labels, count in found.notices.items()})
        yield _gauge("syncline_divergent_records", {(name,): float(count) for name, count in found.divergent.items()})
        for name, values in found.further.items():
            yield _gauge(name, values)


class WorkerMetrics(NullObserver):
    """Counts what a worker tells: an ``Observer``, a few microseconds a batch."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry or Registry()
        self._up = _make("syncline_worker_up", self.registry)
        self._owned = _make("syncline_lanes_owned", self.registry)
        self._sizes = _make("syncline_batch_records", self.registry)
        self._retries = _make("syncline_retries_total", self.registry)
        self._retried = _make("syncline_retried_events_total", self.registry)
        self._away = _make("syncline_unavailable_total", self.registry)
        self._notices = _make("syncline_notices_total", self.registry)
        self._batches = _make("syncline_batches_total", self.registry)
        self._durations = _make("syncline_batch_duration_seconds", self.registry)
        self._events = _make("syncline_events_total", self.registry)
        self._records = _make("syncline_records_total", self.registry)
        self._entities: dict[str, _EntityCounters] = {}

    def tell(self, event: Event) -> None:
        """Count it."""
        match event:
            case BatchDone():
                self._batch(event)
            case Started(_, settings):
                self._started(settings)
            case LanesChanged(owned):
                self._owned.set(owned)
            case Dropped(reason, _, marks):
                self._retries.labels(reason.value).inc()
                self._retried.inc(marks)
            case Unavailable(side):
                self._away.labels(side).inc()
            case Noticed(name, severity):
                self._notices.labels(name.value, severity).inc()
            case Stopped():
                self._up.set(0)
                self._owned.set(0)

    def _started(self, settings: Mapping[str, Any]) -> None:
        """Say that it works; give every declared entity its counters, so that rates begin at 0."""
        self._up.set(1)
        for name in settings.get("entities", ()):
            self._of(name)
        for reason in Drop:
            self._retries.labels(reason.value)
        for side in ("source", "target"):
            self._away.labels(side)

    def _batch(self, done: BatchDone) -> None:
        """Count a batch."""
        counters = self._of(done.entity)
        counters.batches.inc()
        counters.durations.observe(done.took.total_seconds())
        counters.events.inc(done.marks)
        counters.applied.inc(done.applied)
        self._sizes.observe(done.applied + done.deleted + len(done.rejected))
        if done.deleted:
            counters.deleted.inc(done.deleted)
        if done.stale:
            counters.stale.inc(done.stale)
        if done.rejected:
            counters.rejected.inc(len(done.rejected))

    def _of(self, entity: str) -> _EntityCounters:
        found = self._entities.get(entity)
        if found is None:
            outcomes = [self._records.labels(entity, o) for o in ("applied", "deleted", "stale", "rejected")]
            found = self._entities[entity] = _EntityCounters(
                self._batches.labels(entity), self._durations.labels(entity), self._events.labels(entity), *outcomes
            )
        return found


@dataclass(frozen=True, slots=True)
class _EntityCounters:
    batches: Any
    durations: Any
    events: Any
    applied: Any
    deleted: Any
    stale: Any
    rejected: Any


class AppMetrics:
    """Counts what an application does: requests, cache, tokens, shadow reads. A ``CacheObserver`` too."""

    def __init__(self, registry: Registry | None = None) -> None:
        self.registry = registry or Registry()
        self.recent = RecentLatency()
        self._requests = _make("syncline_api_request_duration_seconds", self.registry)
        self._cache = _make("syncline_cache_events_total", self.registry)
        self._tokens = _make("syncline_tokens_total", self.registry)
        self._shadow = _make("syncline_shadow_comparisons_total", self.registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            method: as sent; an unknown one counts as ``other``.
            route: the route's template, such as ``/api/todos/{id}``; never the path itself.
            status: the HTTP status.
            seconds: how long it took.

        """
        self.recent.add(seconds)
        known = method if method in _METHODS else "other"
        self._requests.labels(known, route, f"{status // 100}xx").observe(seconds)

    def cache(self, name: str, event: str) -> None:
        """Count what a cache tells."""
        self._cache.labels(name, str(event)).inc()

    def token(self, result: str) -> None:
        """Count a token: ``synced``, ``not_synced`` or ``bad``."""
        self._tokens.labels(result).inc()

    def shadow(self, collection: str, method: str, outcome: str, reads: int = 1) -> None:
        """Count shadow reads: the ``counter`` of a ``Report`` of ``phases.shadow``."""
        self._shadow.labels(collection, method, outcome).inc(reads)


class QueryMetrics:
    """Counts how long databases take. Give it to ``telemetry.queries``."""

    def __init__(self, registry: Registry) -> None:
        self._durations = _make("syncline_database_query_duration_seconds", registry)
        self._children: dict[str, Callable[[float], None]] = {}

    def took(self, database: str, seconds: float) -> None:
        """Count a statement."""
        observe = self._children.get(database)
        if observe is None:
            observe = self._children[database] = self._durations.labels(database).observe
        observe(seconds)


def _make(name: str, registry: Registry) -> Any:
    one = spec(name)
    if one.kind is Kind.HISTOGRAM:
        return prometheus.Histogram(name, one.help, one.labels, registry=registry, buckets=one.buckets)
    kinds: dict[Kind, Any] = {Kind.COUNTER: prometheus.Counter, Kind.GAUGE: prometheus.Gauge}
    return kinds[one.kind](name, one.help, one.labels, registry=registry)


def _gauge(name: str, values: Mapping[tuple[str, ...], float]) -> GaugeMetricFamily:
    one: Spec = spec(name)
    family = GaugeMetricFamily(name, one.help, labels=one.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family
