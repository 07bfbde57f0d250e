"""A worker's metrics, scraped from a worker in a process of its own; and the little server that gives them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import SynclineError
from syncline.telemetry.catalogue import NAMES
from syncline.web.exporter import exporting
from syncline.web.listening import AT_ONCE, listening
from tests.integration.test_health import NOT_A_CLOCK
from tests.relay import ITEM, ITEMS, Relay

GRACE = timedelta(minutes=5)


@contextlib.contextmanager
def worker(relay: Relay, folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run ``syncline worker --metrics-port 0``; give the process and the address that its log names."""
    file, log = folder / "syncline.toml", folder / "worker.log"
    file.write_text(relay.toml())
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
    entry = str(Path(sys.executable).with_name("syncline"))
    command = [entry, "worker", "--config", str(file), "--metrics-port", "0", *options]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stderr=out, stdout=out, env=environment, cwd=folder)
        try:
            yield process, f"http://127.0.0.1:{_port(process, log)}"
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        for line in log.read_text().splitlines():
            if line.startswith("{") and '"event": "metrics"' in line:
                return int(json.loads(line)["port"])
        time.sleep(0.02)
    raise AssertionError(log.read_text())


def scrape(address: str) -> dict[str, float]:
    text = httpx.get(f"{address}/metrics", timeout=60).text
    return {
        sample.name + "".join(f"|{value}" for value in sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape_until(address: str, expected: dict[str, float]) -> dict[str, float]:
    """Scrape until a look at the databases, which may be a second old, shows this; each scrape answers in time."""
    end = time.monotonic() + 30
    while True:
        began = time.monotonic()
        found = scrape(address)
        assert time.monotonic() - began < NOT_A_CLOCK
        if expected.items() <= found.items():
            return found
        assert time.monotonic() < end, {name: found.get(name) for name in expected}
        time.sleep(0.05)


def test_a_worker_shows_what_it_did_and_how_the_databases_are(
    private_postgres: PrivatePostgres, mongo_url: str, mongo_db: str, tmp_path: Path
) -> None:
    async def prepare() -> Relay:
        target = MongoTarget(mongo_url, mongo_db)
        one = Relay(private_postgres.url, [ITEM], target, mongo=(mongo_url, mongo_db), grace=GRACE)
        one.sql(ITEMS)
        await one.install()
        await target.close()
        return one

    relay = asyncio.run(prepare())
    with contextlib.closing(relay.conn), worker(relay, tmp_path) as (process, address):
        relay.sql("INSERT INTO item (id) SELECT generate_series(1, 20)")
        asyncio.run(relay.drained())
        relay.sql("DELETE FROM item WHERE id <= 5")
        asyncio.run(relay.drained())
        expected = {
            "syncline_worker_up": 1.0,
            "syncline_lanes_owned": 64.0,
            "syncline_records_total|item|applied": 20.0,
            "syncline_records_total|item|deleted": 5.0,
            "syncline_deferred_deletes": 5.0,
            "syncline_queue_size": 0.0,
            "syncline_workers": 1.0,
            "syncline_database_up|postgresql": 1.0,
            "syncline_database_up|mongodb": 1.0,
        }
        found = scrape_until(address, expected)
        assert found["syncline_events_total|item"] == 25
        assert found["syncline_database_query_duration_seconds_count|mongodb"] > 0
        names = {name.partition("|")[0] for name in found}
        stems = {n.removesuffix("_bucket").removesuffix("_count").removesuffix("_sum") for n in names}
        assert {name for name in stems if not name.endswith("_created")} <= NAMES

        private_postgres.freeze()
        try:
            frozen = scrape_until(address, {"syncline_database_up|postgresql": 0.0})
        finally:
            private_postgres.thaw()
        assert frozen["syncline_database_up|postgresql"] == 0
        assert "syncline_queue_size" not in frozen
        assert frozen["syncline_records_total|item|applied"] == 20

        assert httpx.get(f"{address}/health", timeout=60).json() == {"status": "healthy"}
        process.terminate()
        assert process.wait(30) == 0


async def test_a_port_that_is_taken_is_one_line_and_what_to_do() -> None:
    async with exporting({}, host="127.0.0.1", port=0) as port:
        with pytest.raises(SynclineError, match=f"cannot listen at 127.0.0.1, port {port}") as raised:
            async with exporting({}, host="127.0.0.1", port=port):
                pass
    assert "--metrics-port" in str(raised.value.hint)


async def test_the_little_server_answers_what_it_has_and_refuses_the_rest() -> None:
    async def page() -> bytes:
        return b"hello"

    async with exporting({"/x": ("text/plain", page)}, host="127.0.0.1", port=0) as port:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert (await client.get("/x?y=1")).text == "hello"
            assert (await client.head("/x")).headers["content-length"] == "5"
            assert (await client.get("/y")).status_code == 404
            assert (await client.post("/x", content=b"z" * 100)).status_code == 405
        for rubbish in (b"\x00\xff\r\n\r\n", b"GET", b"x" * 100_000 + b"\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with contextlib.suppress(OSError):
                writer.write(rubbish)
                writer.write_eof()
                await reader.read()
            writer.close()
        async with httpx.AsyncClient(timeout=60) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/x")).text == "hello"


async def test_connections_that_say_nothing_do_not_use_up_the_worker() -> None:
    async def page() -> bytes:
        return b"hello"

    async with exporting({"/x": ("text/plain", page)}, host="127.0.0.1", port=0) as port:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        answers = [await reader.read() for reader, _ in silent[16:]]
        assert all(answer.startswith(b"HTTP/1.1 503") for answer in answers)
        for _, writer in silent:
            writer.close()


async def test_a_connection_is_closed_with_its_answer() -> None:
    """Who keeps connections open takes no place from others, and none is cut off in the middle of a request."""

    async def page() -> bytes:
        return b"hello"

    request = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
    async with exporting({"/x": ("text/plain", page)}, host="127.0.0.1", port=0) as port:
        kept = []
        for _ in range(AT_ONCE + 1):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(request)
            answer = await reader.read()  # to the end, which is the server's
            assert answer.startswith(b"HTTP/1.1 200"), answer
            assert b"connection: close" in answer.lower()
            kept.append(writer)
        async with httpx.AsyncClient(timeout=60) as client:
            assert (await client.get(f"http://127.0.0.1:{port}/x")).text == "hello"
        for writer in kept:
            writer.close()


async def test_every_address_of_a_name_is_served_and_those_that_the_machine_lacks_are_not(monkeypatch) -> None:
    def found(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        names = ("192.0.2.1", "127.0.0.1", "127.0.0.2", "127.0.0.2")  # the first one is nobody's
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in names]

    with monkeypatch.context() as patched:
        patched.setattr("syncline.web.listening.socket.getaddrinfo", found)
        with listening("name", 0, option="--port") as sockets:
            names = [one.getsockname() for one in sockets]
    assert [name for name, _ in names] == ["127.0.0.1", "127.0.0.2"]
    assert len({port for _, port in names}) == 1
