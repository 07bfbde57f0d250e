"""Metrics: what is counted, under which names, and that nothing about keys or paths gets into labels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from syncline.contrib.fastapi import RequestTimes
from syncline.model.notice import Notice
from syncline.model.thresholds import API_LATENCY
from syncline.ports import Rejection
from syncline.telemetry.catalogue import API_BUCKETS, NAMES, SPECS, Kind, Where
from syncline.telemetry.metrics import AppMetrics, QueryMetrics, Snapshot, SnapshotCollector, WorkerMetrics
from syncline.telemetry.observer import (
    BatchDone,
    Drop,
    Dropped,
    LanesChanged,
    LoggingObserver,
    Noticed,
    Observers,
    Started,
    Stopped,
    Unavailable,
)
from syncline.telemetry.recent import RecentLatency

SNAPSHOT = Snapshot(
    "degraded",
    {"postgresql": True, "mongodb": False},
    {"postgresql": 0.001},
    {
        "queue_size": 5.0,
        "lag_seconds": 2.5,
        "failed_events": 1.0,
        "deferred_deletes": 3.0,
        "held_by_copy": 4.0,
        "tasks": 1.0,
        "pending_entities": 0.0,
        "workers": 2.0,
    },
    {"owned": 60, "free": 4},
    {("EntityStopped", "critical"): 1},
    {"todo": 2},
    further={
        "syncline_collection_marked_documents": {("tasks", "forward"): 3},
        "syncline_collection_lag_seconds": {("tasks", "back"): 1.5},
        "syncline_collection_rejected_documents": {("tasks", "forward"): 0},
        "syncline_collection_phase": {("tasks", "ramp"): 1, ("tasks", "off"): 0},
        "syncline_collection_ramp_percent": {("tasks",): 25},
        "syncline_collection_closed": {("tasks",): 0},
        "syncline_shadow_reads": {("tasks", "mismatches"): 2},
    },
)


def shown(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample by name and labels, without histograms' buckets."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith(("_bucket", "_created"))
    }


def everything() -> CollectorRegistry:
    """One of each metric, used once."""
    registry = CollectorRegistry()
    worker, app = WorkerMetrics(registry), AppMetrics(registry)
    QueryMetrics(registry).took("mongodb", 0.001)
    SnapshotCollector(registry).snapshot = SNAPSHOT
    worker.tell(Started("w", {"entities": ["todo"]}))
    worker.tell(BatchDone("todo", "todos", 3, 2, 1, 1, [Rejection("k", "c", "m")], timedelta(seconds=0.01)))
    worker.tell(Dropped(Drop.LEASE_LOST, "the lease was lost", 7))
    worker.tell(Unavailable("target", ValueError(), timedelta()))
    worker.tell(Noticed(Notice.POISON_RECORD, "warning", "todo/42"))
    worker.tell(LanesChanged(64, 64))
    app.request("GET", "/api/todos/{id}", 200, 0.012)
    app.cache("leaderboard", "hit")
    app.token("synced")
    app.shadow("tasks", "get", "equal")
    return registry


def test_the_worker_counts_batches_records_retries_and_lanes() -> None:
    found = shown(everything())
    expected = {
        "syncline_worker_up": 1,
        "syncline_lanes_owned": 64,
        "syncline_batches_total|todo": 1,
        "syncline_events_total|todo": 3,
        "syncline_records_total|todo|applied": 2,
        "syncline_records_total|todo|deleted": 1,
        "syncline_records_total|todo|stale": 1,
        "syncline_records_total|todo|rejected": 1,
        "syncline_retries_total|lease_lost": 1,
        "syncline_retries_total|failed": 0,
        "syncline_retried_events_total": 7,
        "syncline_unavailable_total|target": 1,
        "syncline_unavailable_total|source": 0,
        "syncline_notices_total|PoisonRecord|warning": 1,
        "syncline_batch_duration_seconds_count|todo": 1,
    }
    assert expected.items() <= found.items()


def test_a_declared_entity_has_its_counters_before_its_first_batch() -> None:
    metrics = WorkerMetrics()
    metrics.tell(Started("w", {"entities": ["todo", "user"]}))
    found = shown(metrics.registry)
    assert found["syncline_records_total|user|rejected"] == 0
    metrics.tell(Stopped("stop requested"))
    assert shown(metrics.registry)["syncline_worker_up"] == 0


def test_a_look_at_the_databases_is_shown_and_what_is_not_known_is_left_out() -> None:
    registry = CollectorRegistry()
    collector = SnapshotCollector(registry)
    assert shown(registry) == {}
    collector.snapshot = SNAPSHOT
    found = shown(registry)
    assert found["syncline_queue_size"] == 5
    assert found["syncline_database_up|mongodb"] == 0
    assert found["syncline_lanes|free"] == 4
    assert found["syncline_collection_phase|tasks|ramp"] == 1
    assert found["syncline_open_notices|EntityStopped|critical"] == 1
    assert [found[f"syncline_status|{word}"] for word in ("healthy", "degraded", "unhealthy")] == [0, 1, 0]
    assert "syncline_database_latency_seconds|mongodb" not in found
    collector.snapshot = Snapshot("unhealthy", {"postgresql": False, "mongodb": True})
    assert not {"syncline_queue_size", "syncline_lag_seconds", "syncline_workers"} & shown(registry).keys()


def test_every_metric_of_the_catalogue_exists_and_no_other() -> None:
    families = {f.name: f for f in text_string_to_metric_families(generate_latest(everything()).decode())}
    found = {name + ("_total" if f.type == "counter" else "") for name, f in families.items()}
    assert {name for name in found if not name.endswith("_created")} == NAMES
    for spec in SPECS:
        family = families[spec.name.removesuffix("_total")]
        assert family.type == spec.kind.value
        labels = {frozenset(s.labels) - {"le"} for s in family.samples}
        assert labels == {frozenset(spec.labels)}


def test_names_follow_the_conventions_of_prometheus() -> None:
    for spec in SPECS:
        assert re.fullmatch(r"syncline_[a-z_]+", spec.name)
        assert spec.name.endswith("_total") == (spec.kind is Kind.COUNTER)
        assert bool(spec.buckets) == (spec.kind is Kind.HISTOGRAM)
        assert list(spec.buckets) == sorted(set(spec.buckets))
        assert spec.help.endswith(".")
        assert not {"key", "id", "user", "path", "error", "message"} & set(spec.labels)
    assert {spec.where for spec in SPECS} == set(Where)


def test_the_thresholds_of_the_api_are_bounds_of_buckets() -> None:
    assert {API_LATENCY.target / 1000, API_LATENCY.warning / 1000, API_LATENCY.critical / 1000} <= set(API_BUCKETS)


def test_observers_tell_all_and_want_keys_when_one_does() -> None:
    first, second = WorkerMetrics(), WorkerMetrics()
    both = Observers(first, second)
    both.tell(Started("w", {}))
    both.tell(BatchDone("todo", "todos", 1, 1))
    both.tell(LanesChanged(3, 64))
    both.tell(Dropped(Drop.FAILED, "x", 1))
    both.tell(Unavailable("source", ValueError(), timedelta()))
    both.tell(Noticed(Notice.RESTORED, "critical", "m"))
    assert shown(first.registry) == shown(second.registry)
    both.tell(Stopped("end"))
    assert shown(second.registry)["syncline_worker_up"] == 0
    assert not both.wants_keys
    assert Observers(first, LoggingObserver(wants_keys=True)).wants_keys


# --- the application ---


def application(metrics: AppMetrics) -> httpx.AsyncClient:
    app, inner = FastAPI(), FastAPI()

    @app.get("/todos/{id_}")
    async def todo(id_: int) -> int:
        return 1 // id_

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def parts() -> Any:
            yield b"data: 1\n\n"
            metrics.request("GET", "/before-the-end", 200, 0)

        return StreamingResponse(parts(), media_type="text/event-stream")

    @inner.get("/deep/{id_}")
    async def deep(id_: int) -> int:
        return id_

    app.mount("/inner", inner)
    app.add_middleware(RequestTimes, metrics=metrics)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://app")


async def test_requests_count_by_the_template_of_their_route_never_by_their_path() -> None:
    metrics = AppMetrics()
    async with application(metrics) as client:
        for path in ("/todos/1", "/todos/2", "/todos/0", "/todos/x", "/secret/path", "/health", "/inner/deep/7"):
            await client.get(path)
        await client.request("BREW", "/todos/1")
    found = {name: value for name, value in shown(metrics.registry).items() if "_count|" in name}
    counts = {tuple(name.split("|")[1:]): value for name, value in found.items()}
    assert counts.pop(("GET", "/todos/{id_}", "2xx")) == 2
    assert counts.pop(("GET", "/todos/{id_}", "5xx")) == 1
    assert counts.pop(("GET", "/todos/{id_}", "4xx")) == 1
    assert counts.pop(("GET", "unmatched", "4xx")) == 1
    assert ("other", "4xx") in {(method, status) for method, _, status in counts}
    text = generate_latest(metrics.registry).decode()
    assert not re.search(r"secret|deep/7|todos/1|BREW|health", text)


async def test_a_stream_of_events_is_timed_to_its_first_byte() -> None:
    metrics = AppMetrics()
    async with application(metrics) as client:
        await client.get("/stream")
    assert shown(metrics.registry)["syncline_api_request_duration_seconds_count|GET|/stream|2xx"] == 1


# --- the latest latencies ---


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_the_percentile_is_that_of_the_last_minutes() -> None:
    clock = Clock()
    recent = RecentLatency(now=clock)
    for _ in range(100):
        recent.add(2.0)
    assert recent.percentile() == pytest.approx(2.5, abs=0.2)
    clock.time = 400
    assert recent.percentile() is None
    for _ in range(100):
        recent.add(0.004)
    assert recent.percentile() == pytest.approx(0.00475)
    assert recent.measures() == {"api_p95_ms": pytest.approx(4.75)}


def test_a_few_requests_make_no_alert_and_very_slow_ones_make_one() -> None:
    recent = RecentLatency(now=Clock())
    for _ in range(19):
        recent.add(60)
    assert recent.measures() == {}
    recent.add(60)
    assert recent.measures() == {"api_p95_ms": 10_000}


# --- several processes of one application ---

_ONE_PROCESS = """
import asyncio
from syncline.insight.reach import DatabaseState
from syncline.insight.status import judge
from syncline.telemetry.metrics import AppMetrics
from syncline.web.exposition import Exposition, OfLink

class Reader:
    async def read(self):
        return judge({"postgresql": DatabaseState(True, 1.0), "mongodb": DatabaseState(False)}, {})

metrics = AppMetrics()
metrics.token("synced")
print(asyncio.run(Exposition(metrics.registry, OfLink("", Reader()), shared=True).text()).decode())
"""


def test_several_processes_show_their_counts_together(tmp_path: Path) -> None:
    shown = ""
    for _ in range(2):
        shown = subprocess.run(
            [sys.executable, "-c", _ONE_PROCESS],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
            check=True,
            capture_output=True,
            text=True,
            timeout=120,
        ).stdout
    assert 'syncline_tokens_total{result="synced"} 2.0' in shown
    assert 'syncline_status{status="degraded"} 1.0' in shown
