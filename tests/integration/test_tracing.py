"""A trace goes from the request that wrote to the apply that delivered."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import structlog
from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, async_sessionmaker, create_async_engine

from syncline.capture.sqlalchemy.traces import attach_traces, traceparent
from syncline.contrib.fastapi.tracing import RequestSpans
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import ConfigError, SourceError
from syncline.journal import traces
from syncline.postgres.connection import connect
from syncline.telemetry.observer import Delivered, Delivery, Event
from syncline.telemetry.tracing import TracingObserver, exporting_traces
from tests.cockroach.server import Simulator
from tests.relay import ITEM, ITEMS, Recorder, Relay, until

CALLER = "4bf92f3577b34da6a3ce929d0e0e4736"


class Traces(Recorder):
    """Remembers what workers tell, and makes spans of it."""

    wants_traces = True

    def __init__(self, provider: TracerProvider) -> None:
        super().__init__()
        self._spans = TracingObserver(provider)
        self.deliveries: list[Delivery] = []

    def tell(self, event: Event) -> None:
        super().tell(event)
        self._spans.tell(event)
        if isinstance(event, Delivered):
            self.deliveries += event.deliveries


class Traced:
    """A source, a target and an application between them, each span kept."""

    def __init__(self, relay: Relay, engine: AsyncEngine, sampler: Sampler) -> None:
        self.relay = relay
        self.sessions = async_sessionmaker(engine)
        attach_traces(self.sessions)
        self._memory = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self._memory))
        self.seen = Traces(self.provider)
        relay.seen = self.seen

    async def turn(self, way: str) -> None:
        connection = await connect(self.relay.url)
        try:
            await (traces.turn_on if way == "on" else traces.turn_off)(connection)
        finally:
            await connection.close()

    def spans(self, name: str) -> list[ReadableSpan]:
        return [span for span in self._memory.get_finished_spans() if span.name == name]

    def application(self) -> httpx.AsyncClient:
        app = FastAPI()

        @app.post("/items/{id_}")
        async def write(id_: int, fail: bool = False) -> Any:
            async with self.sessions() as session:
                await session.execute(text("INSERT INTO item (id) VALUES (:id)"), {"id": id_})
                await (session.rollback() if fail else session.commit())
            return structlog.contextvars.get_contextvars()

        app.add_middleware(RequestSpans, provider=self.provider)
        return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app", timeout=60)


@contextlib.asynccontextmanager
async def tracing(
    database: str, mongo_url: str, mongo_db: str, *, on: bool = True, sampler: Sampler = ALWAYS_ON
) -> AsyncIterator[Traced]:
    target = MongoTarget(mongo_url, mongo_db)
    engine = create_async_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    relay = Relay(database, [ITEM], target, mongo=(mongo_url, mongo_db))
    with contextlib.closing(relay.conn):
        relay.sql(ITEMS)
        await relay.install()
        one = Traced(relay, engine, sampler)
        if on:
            await one.turn("on")
        yield one
        await engine.dispose()
        await target.close()


async def test_the_request_that_wrote_and_the_apply_that_delivered_are_one_trace(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with tracing(database, mongo_url, mongo_db) as one, one.application() as client, one.relay.worker():
        answer = await client.post("/items/1", headers={"traceparent": f"00-{CALLER}-00f067aa0ba902b7-01"})
        await one.relay.equal()
        await until(lambda: one.spans("syncline deliver"), seconds=30)
        (request,) = one.spans("POST /items/{id_}")
        (deliver,) = one.spans("syncline deliver")
        (apply,) = one.spans("syncline apply")
    assert request.context is not None
    assert deliver.context is not None
    assert deliver.parent is not None
    assert format(request.context.trace_id, "032x") == CALLER == answer.json()["trace_id"]
    assert deliver.context.trace_id == request.context.trace_id
    assert deliver.parent.span_id == request.context.span_id
    assert [link.context.span_id for link in apply.links] == [request.context.span_id]
    assert [link.context for link in deliver.links] == [apply.context]
    attributes = dict(deliver.attributes or {})
    assert attributes.pop("syncline.transaction") == one.seen.deliveries[0].transaction
    assert attributes == {"syncline.entities": ("item",), "syncline.marks": 1}
    assert deliver.start_time is not None
    assert deliver.end_time is not None
    assert deliver.start_time <= deliver.end_time


async def test_each_of_several_requests_gets_its_own_delivery(database: str, mongo_url: str, mongo_db: str) -> None:
    async with tracing(database, mongo_url, mongo_db) as one, one.application() as client:
        for id_ in range(5):
            await client.post(f"/items/{id_}")
        await client.post("/items/9?fail=true")
        one.relay.sql("INSERT INTO item (id) VALUES (100)")  # traced by nobody
        async with one.relay.worker():
            await one.relay.equal()
            await until(lambda: len(one.spans("syncline deliver")) >= 5, seconds=30)
        requests = {span.context.span_id for span in one.spans("POST /items/{id_}") if span.context}
        delivered = {span.parent.span_id for span in one.spans("syncline deliver") if span.parent}
        assert len(delivered) == 5
        assert delivered < requests  # the one that was rolled back has none


async def test_any_client_may_tell_its_trace_with_plain_sql(database: str, mongo_url: str, mongo_db: str) -> None:
    async with tracing(database, mongo_url, mongo_db) as one:
        good, bad = f"00-{CALLER}-00f067aa0ba902b7-01", "nonsense'; DROP TABLE item; --"
        for id_, value in enumerate((good, bad, "")):
            with psycopg.connect(database) as conn:
                conn.execute("SELECT set_config('syncline.traceparent', %s, true)", [value])
                conn.execute("INSERT INTO item (id) VALUES (%s)", [id_])
                conn.execute("UPDATE item SET qty = 1 WHERE id = %s", [id_])
        assert one.relay.value("SELECT array_agg(traceparent) FROM syncline.trace") == [good]
        async with one.relay.worker():
            await one.relay.equal()
        assert [(d.traceparent, d.marks) for d in one.seen.deliveries] == [(good, 2)]


async def test_of_marks_in_blocks_each_key_is_told_once(database: str, mongo_url: str, mongo_db: str) -> None:
    async with tracing(database, mongo_url, mongo_db) as one:
        with psycopg.connect(database) as conn:
            conn.execute("SELECT set_config('syncline.traceparent', %s, true)", [f"00-{CALLER}-00f067aa0ba902b7-01"])
            conn.execute("INSERT INTO item SELECT n FROM generate_series(1, 300) AS n")
            conn.execute("UPDATE item SET qty = 1 WHERE id = 1")
        assert one.relay.value("SELECT sum(size) FROM syncline.block") == 300
        async with one.relay.worker():
            await one.relay.equal()
            await until(lambda: sum(d.marks for d in one.seen.deliveries) == 301)


async def test_nothing_is_sent_for_reads_and_for_spans_that_are_not_sampled(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with tracing(database, mongo_url, mongo_db, sampler=ALWAYS_OFF) as one, one.application() as client:
        await client.post("/items/1")
        async with one.sessions() as session, session.begin():
            await session.execute(text("INSERT INTO item (id) VALUES (2)"))  # no span at all
        assert one.relay.value("SELECT count(*) FROM syncline.trace") == 0
    assert traceparent() is None


async def test_where_tracing_is_off_the_application_commits_and_the_worker_delivers(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with tracing(database, mongo_url, mongo_db, on=False) as one, one.application() as client:
        async with one.relay.worker():
            assert (await client.post("/items/1")).status_code == 200
            await one.relay.equal()
            await until(lambda: one.seen.notices, seconds=30)
        assert one.seen.notices == [
            ("TracingStopped", "traces are not remembered in this source: run `syncline tracing on`")
        ]
        assert one.seen.deliveries == []


async def test_turning_it_off_under_traffic_costs_links_never_changes(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with tracing(database, mongo_url, mongo_db) as one, one.application() as client:
        async with one.relay.worker():
            await client.post("/items/1")
            await until(lambda: one.seen.deliveries, seconds=30)
            await one.turn("off")
            assert (await client.post("/items/2")).status_code == 200
            await one.relay.equal()
            await until(lambda: one.seen.notices, seconds=30)
        assert [name for name, _ in one.seen.notices] == ["TracingStopped"]
        await one.turn("on")
        await one.turn("on")
        await one.turn("off")
        await one.turn("off")


async def test_old_traces_are_forgotten(database: str, mongo_url: str, mongo_db: str) -> None:
    async with tracing(database, mongo_url, mongo_db) as one, one.application() as client:
        await client.post("/items/1")
        one.relay.sql("INSERT INTO syncline.trace VALUES ('1', 'old', now() - interval '2 hours')")
        async with one.relay.worker():
            await one.relay.equal()
            await until(lambda: one.relay.value("SELECT count(*) FROM syncline.trace WHERE traceparent = 'old'") == 0)
        assert one.relay.value("SELECT count(*) FROM syncline.trace") == 1


async def test_cockroachdb_is_told_apart(cockroach: Simulator) -> None:
    connection = await connect(cockroach.url)
    with pytest.raises(SourceError, match="transaction ids"):
        await traces.turn_on(connection)
    await connection.close()


async def test_a_span_that_is_current_already_is_kept(database: str, mongo_url: str, mongo_db: str) -> None:
    async with tracing(database, mongo_url, mongo_db) as one, one.application() as client:
        tracer = trace.get_tracer("test", tracer_provider=one.provider)
        with tracer.start_as_current_span("instrumented") as span:
            await client.post("/items/1")
            known = one.relay.value("SELECT traceparent FROM syncline.trace")
        assert known.split("-")[2] == trace.format_span_id(span.get_span_context().span_id)
        assert one.spans("POST /items/{id_}") == []


async def test_the_command_turns_it_on_and_a_worker_exports_its_spans(
    database: str, mongo_url: str, mongo_db: str, tmp_path: Path
) -> None:
    async with tracing(database, mongo_url, mongo_db, on=False) as one:
        relay = one.relay
        relay.worker_options |= {"grace": timedelta(seconds=60)}
        file = tmp_path / "syncline.toml"
        file.write_text(relay.toml())
        environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
        entry = str(Path(sys.executable).with_name("syncline"))

        command = [entry, "tracing", "on", "--json", "--config", str(file)]
        done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout) == {"tracing": True}
        with psycopg.connect(database) as conn:
            conn.execute(f"SET LOCAL syncline.traceparent = '00-{CALLER}-00f067aa0ba902b7-01'")
            conn.execute("INSERT INTO item (id) VALUES (1)")
        command = [entry, "worker", "--tracing", "--config", str(file)]
        with (tmp_path / "spans").open("wb") as spans, (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(
                command, env=environment | {"OTEL_TRACES_EXPORTER": "console"}, stdout=spans, stderr=log, cwd=tmp_path
            )
            try:
                await relay.equal(seconds=60)
            finally:
                process.terminate()
                assert process.wait(30) == 0, (tmp_path / "log").read_text()
        shown = (tmp_path / "spans").read_text()
        assert '"syncline deliver"' in shown
        assert f"0x{CALLER}" in shown
        assert "syncline-worker" in shown


def test_an_exporter_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "pigeon")
    with pytest.raises(ConfigError, match="no exporter of traces called 'pigeon'"), exporting_traces("test"):
        pass


async def test_a_long_transaction_does_not_hold_up_every_writer_behind_the_switch(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with tracing(database, mongo_url, mongo_db, on=False) as one:
        with psycopg.connect(database) as conn:
            conn.execute("INSERT INTO item (id) VALUES (1)")
            with pytest.raises(SourceError, match="locked by a transaction"):
                await one.turn("on")
        await one.turn("on")
        await one.relay.uninstall()
        assert one.relay.value("SELECT to_regnamespace('syncline') IS NULL")
