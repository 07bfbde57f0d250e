"""Every metric that Syncline has: one list behind code, reference page, alert rules and dashboard."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """How a metric behaves."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Where(StrEnum):
    """Which process has it."""

    WORKER = "worker"
    APPLICATION = "application"
    EITHER = "either"
    """Each counts its own."""
    SCRAPE = "scrape"
    """Read from the databases at each scrape, whoever is scraped: take ``max`` over instances, not ``sum``."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One metric. The labels' values are bounded by what is declared: never keys, users or messages."""

    name: str
    kind: Kind
    where: Where
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


API_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Seconds; the thresholds 0.2, 0.5 and 1 are bounds, so that no interpolation stands between them and an alert."""
QUERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BATCH_BUCKETS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SIZE_BUCKETS = (1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)

SPECS = (
    Spec("syncline_queue_size", Kind.GAUGE, Where.SCRAPE, "Changes captured, not applied, not parked."),
    Spec("syncline_lag_seconds", Kind.GAUGE, Where.SCRAPE, "Age of the oldest waiting change; 0 when there is none."),
    Spec(
        "syncline_failed_events", Kind.GAUGE, Where.SCRAPE, "Parked changes, those that wait behind them included."
    ),
    Spec("syncline_deferred_deletes", Kind.GAUGE, Where.SCRAPE, "Deletes that wait to be done a second time."),
    Spec("syncline_held_by_copy", Kind.GAUGE, Where.SCRAPE, "Changes that wait until their table is copied."),
    Spec("syncline_tasks", Kind.GAUGE, Where.SCRAPE, "Backfills and sweeps that wait for a worker."),
    Spec("syncline_pending_entities", Kind.GAUGE, Where.SCRAPE, "Entities not installed to their end, and not served."),
    Spec(
        "syncline_status", Kind.GAUGE, Where.SCRAPE, "1 for the status of the whole, 0 for the other two.", ("status",)
    ),
    Spec("syncline_database_up", Kind.GAUGE, Where.SCRAPE, "1 while the database answers.", ("database",)),
    Spec(
        "syncline_database_latency_seconds", Kind.GAUGE, Where.SCRAPE, "Duration of one round trip.", ("database",)
    ),
    Spec("syncline_workers", Kind.GAUGE, Where.SCRAPE, "Workers that live."),
    Spec("syncline_lanes", Kind.GAUGE, Where.SCRAPE, "Lanes with and without a live owner.", ("state",)),
    Spec(
        "syncline_open_notices", Kind.GAUGE, Where.SCRAPE,
        "Notices that somebody must act on, such as EntityStopped; nothing of theirs is resolved yet.",
        ("name", "severity"),
    ),
    Spec(
        "syncline_divergent_records", Kind.GAUGE, Where.SCRAPE,
        "Differences that the newest full verification found, by a command or a worker; 0 when it was clean.",
        ("entity",),
    ),
    Spec(
        "syncline_collection_marked_documents", Kind.GAUGE, Where.SCRAPE,
        "Of document links: what is marked, and not rejected; back: in PostgreSQL, for MongoDB.", ("collection", "way"),
    ),
    Spec(
        "syncline_collection_lag_seconds", Kind.GAUGE, Where.SCRAPE,
        "Of document links: age of a collection's oldest mark.", ("collection", "way"),
    ),
    Spec(
        "syncline_collection_rejected_documents", Kind.GAUGE, Where.SCRAPE,
        "Of document links: documents that cannot become rows, or that the other side does not take.",
        ("collection", "way"),
    ),
    Spec(
        "syncline_collection_phase", Kind.GAUGE, Where.SCRAPE,
        "Of document links: 1 for the phase that a collection is in, else 0.", ("collection", "phase"),
    ),
    Spec(
        "syncline_collection_ramp_percent", Kind.GAUGE, Where.SCRAPE,
        "Of document links: share of the reads that a ramp brings to PostgreSQL.", ("collection",),
    ),
    Spec(
        "syncline_collection_closed", Kind.GAUGE, Where.SCRAPE,
        "Of document links: 1 while a collection changes sides, and MongoDB lets nobody write.", ("collection",),
    ),
    Spec(
        "syncline_shadow_reads", Kind.GAUGE, Where.SCRAPE,
        "Of document links: shadow reads since the collection entered its phase, under its declaration: `compared`, and"
        " of these `mismatches`; `unproved` (failed, or no proof of anything).", ("collection", "outcome"),
    ),
    Spec("syncline_worker_up", Kind.GAUGE, Where.WORKER, "1 while this process works."),
    Spec("syncline_lanes_owned", Kind.GAUGE, Where.WORKER, "Lanes that this worker owns."),
    Spec("syncline_batches_total", Kind.COUNTER, Where.WORKER, "Batches applied and acknowledged.", ("entity",)),
    Spec(
        "syncline_batch_duration_seconds", Kind.HISTOGRAM, Where.WORKER,
        "From reading a batch's marks to their acknowledgement.", ("entity",), BATCH_BUCKETS,
    ),
    Spec("syncline_batch_records", Kind.HISTOGRAM, Where.WORKER, "Records in a batch.", (), SIZE_BUCKETS),
    Spec("syncline_events_total", Kind.COUNTER, Where.WORKER, "Changes acknowledged.", ("entity",)),
    Spec(
        "syncline_records_total", Kind.COUNTER, Where.WORKER,
        "Records by outcome: applied, deleted (second deletes included), stale, rejected (parked).",
        ("entity", "outcome"),
    ),
    Spec(
        "syncline_retries_total", Kind.COUNTER, Where.WORKER,
        "Batches given up and read again: lease_lost, gate (of a move), or failed (target away, too old).", ("reason",),
    ),
    Spec("syncline_retried_events_total", Kind.COUNTER, Where.WORKER, "Changes in these batches."),
    Spec(
        "syncline_unavailable_total", Kind.COUNTER, Where.WORKER, "Pauses because a side was away.", ("side",)
    ),
    Spec("syncline_notices_total", Kind.COUNTER, Where.WORKER, "Notices to operators.", ("name", "severity")),
    Spec(
        "syncline_api_request_duration_seconds", Kind.HISTOGRAM, Where.APPLICATION,
        "Requests by route; probes and metrics left out.", ("method", "route", "status"), API_BUCKETS,
    ),
    Spec(
        "syncline_database_query_duration_seconds", Kind.HISTOGRAM, Where.EITHER,
        "Statements and commands, by database, as this process saw them.", ("database",), QUERY_BUCKETS,
    ),
    Spec(
        "syncline_cache_events_total", Kind.COUNTER, Where.APPLICATION,
        "Reads through a cache: hit, miss, stale; and load, error, bypass, revoke.", ("cache", "event"),
    ),
    Spec(
        "syncline_tokens_total", Kind.COUNTER, Where.APPLICATION,
        "Read-your-writes tokens: synced, not_synced, bad.", ("result",),
    ),
    Spec(
        "syncline_shadow_comparisons_total", Kind.COUNTER, Where.APPLICATION,
        "Shadow reads by what they came to: equal, caught_up, mismatch, unsettled, error, timeout, shed.",
        ("collection", "method", "outcome"),
    ),
)  # fmt: skip

NAMES = frozenset(spec.name for spec in SPECS)


def spec(name: str) -> Spec:
    """Find a metric by its name."""
    return next(one for one in SPECS if one.name == name)
