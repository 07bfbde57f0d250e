"""SIGTERM ends a worker, whatever hangs: a side, a verification, a helper that loses its cancellation."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.cli import worker as cli_worker
from syncline.errors import SourceUnavailableError
from syncline.postgres.connection import connect
from syncline.relay import worker as relay_worker
from syncline.telemetry.observer import Stopped
from syncline.wiring.worker import make_worker
from tests.chaos.proxy import Proxy
from tests.relay import ITEMS, Relay, relayed, until

PROMISED = 5.0
BUSY = 25.0
"""What a loaded machine may add; without its deadlines a stop takes as long as the side hangs."""


def test_the_deadlines_that_are_shipped_keep_what_is_promised():
    """Here they add up on an idle machine; the other tests see them at work on a busy one."""
    within = relay_worker.CUT_OFF_SECONDS + relay_worker.LEFT_BEHIND_SECONDS
    assert within < cli_worker.LAST_RESORT_SECONDS < PROMISED


@contextlib.contextmanager
def nets(relay: Relay, postgres, mongo) -> Iterator[tuple[Proxy, Proxy]]:
    """Put a network between the worker's process and both servers."""
    sockets = Path(postgres.url.partition("host=")[2].partition("&")[0])
    port = postgres.url.partition("port=")[2]
    with Proxy(sockets / f".s.PGSQL.{port}", seed=1) as source, Proxy(mongo._socket, seed=1) as target:
        name = relay.url.partition("?")[0].rpartition("/")[2]
        relay.url = f"postgresql://postgres@127.0.0.1:{source.port}/{name}"
        relay.mongo = (f"mongodb://127.0.0.1:{target.port}/", relay.mongo[1])
        yield source, target


@pytest.mark.parametrize("hangs", ["source", "target", "both"])
async def test_a_worker_ends_in_time_though_a_side_hangs_and_it_verifies(
    hangs, postgres, mongo, database, mongo_url, mongo_db, tmp_path
):
    config = '[verify]\ncontinuously = true\nrate = 10\nperiod = "1h"\n'
    verifies = "SELECT 1 FROM syncline.verification WHERE entity > 0 AND claimed_by IS NOT NULL"
    async with relayed(database, (mongo_url, mongo_db), ddl=ITEMS, grace=timedelta(seconds=25)) as relay:
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 500) n")
        with nets(relay, postgres, mongo) as (source, target), relay.process(tmp_path, config=config) as process:
            await relay.drained(seconds=60)
            await until(lambda: relay.sql(verifies), seconds=60, what="it verifies")
            source.weather = "swallow" if hangs != "target" else "fine"
            target.weather = "swallow" if hangs != "source" else "fine"
            relay.sql("UPDATE item SET qty = qty + 1")
            await asyncio.sleep(0.5)  # so that it waits for an answer that never comes
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            await until(lambda: process.poll() is not None, seconds=PROMISED + BUSY, what="it ends")
            took = time.monotonic() - began
            log = next(tmp_path.glob("worker-*.log")).read_text()
    assert process.returncode == 0, log
    assert "Traceback" not in log
    assert took < PROMISED + BUSY


async def test_a_stopped_worker_gives_back_what_its_helpers_could_not(database, monkeypatch):
    """A verification or a task whose cancellation was lost, or whose connection was cut off, leaves its claim."""
    monkeypatch.setattr(relay_worker, "CUT_OFF_SECONDS", 60)

    async def hold(source, plans):
        async with await connect(source.connections.url) as own:
            await own.execute(
                "INSERT INTO syncline.verification (origin, entity, scope, claimed_by, claimed_until)"
                " VALUES ('worker', 1, '', %s, now() + interval '1 h')",
                [source.worker],
            )
            await own.execute(
                "INSERT INTO syncline.task (kind, entity, reason, claimed_by, claimed_until)"
                " VALUES ('sweep', 1, 'x', %s, now() + interval '1 h')",
                [source.worker],
            )
        await asyncio.Event().wait()

    def made(*args, **options):
        one = make_worker(*args, **options)
        one._background = hold
        return one

    monkeypatch.setattr("tests.relay.make_worker", made)
    claims = (
        "SELECT count(claimed_by) FROM"
        " (SELECT claimed_by FROM syncline.task UNION ALL SELECT claimed_by FROM syncline.verification) AS c"
    )
    async with relayed(database) as relay:
        async with relay.worker():
            await until(lambda: relay.value(claims) == 2, what="both are claimed")
        assert relay.value(claims) == 0
        assert relay.owners() == {}


async def test_a_helper_that_never_ends_does_not_keep_a_worker(database, monkeypatch):
    """The last resort within the process: the worker returns, its leases run out."""
    monkeypatch.setattr(relay_worker, "CUT_OFF_SECONDS", 0.3)
    monkeypatch.setattr(relay_worker, "LEFT_BEHIND_SECONDS", 0.1)
    begun, gone = asyncio.Event(), asyncio.Event()
    said = []

    async def deaf():
        begun.set()
        while not gone.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await gone.wait()

    async def background(source, plans):
        await deaf()

    async with relayed(database) as relay:
        one = make_worker(relay.settings, relay.target, observer=relay.seen)
        one._background = background
        monkeypatch.setattr(relay.seen, "tell", said.append)
        running = asyncio.create_task(one.run())
        await asyncio.wait_for(begun.wait(), 30)
        one.stop()
        try:
            await until(running.done, what="the worker returns")
        finally:
            gone.set()
            await running
        assert ["cut off" in event.reason for event in said if isinstance(event, Stopped)] == [True]


def test_a_process_that_was_told_to_stop_is_gone_whatever_hangs():
    """The last resort of the process: a thread, or the loop itself, that never ends."""
    script = (
        "import threading, time\n"
        "from syncline.cli import worker\n"
        "worker.LAST_RESORT_SECONDS = 0.2\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "worker.arm()\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=45, check=False)
    assert done.returncode == 0, done.stderr
    assert "nothing is lost" in done.stdout + done.stderr


async def test_a_stop_while_the_source_cannot_be_reached_at_the_start_is_no_error(database, monkeypatch):
    """It has never connected, and nobody waits for it."""
    asked = asyncio.Event()

    async def away(*_, **__):
        asked.set()
        await asyncio.sleep(0.2)
        raise SourceUnavailableError

    monkeypatch.setattr("syncline.wiring.worker.open_source", away)
    async with relayed(database) as relay:
        one = make_worker(relay.settings, relay.target, observer=relay.seen)
        running = asyncio.create_task(one.run())
        await asked.wait()
        one.stop()
        await asyncio.wait_for(running, 30)
        assert [side for side, _ in relay.seen.outages] == ["source"]
