"""Wide rows after narrow ones, a promoted standby, workers with different mappings, events of parked records."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.config.settings import HistorySettings
from syncline.errors import ConfigError
from syncline.wiring.worker import make_worker
from tests.relay import Recorder, relayed, until

MEGABYTE = 1024 * 1024


async def test_rows_wider_than_those_before_do_not_fill_the_memory(database) -> None:
    async with relayed(database, bytes_in_flight=MEGABYTE, batch_size=2000) as relay, relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'narrow' FROM generate_series(1, 500) AS n")
        await relay.equal()
        await until(lambda: sum(batch.applied for batch in relay.seen.batches) >= 500)  # told after the acknowledgement
        relay.seen.batches.clear()
        relay.sql("INSERT INTO item SELECT n, repeat('x', 20000) FROM generate_series(1001, 2500) AS n")
        await relay.equal(seconds=30)
        assert max(batch.applied for batch in relay.seen.batches) < 1500  # the first slice has shown their width


async def test_a_promoted_source_is_reconciled(database) -> None:
    async with relayed(database) as relay:
        async with relay.worker():
            relay.sql("INSERT INTO item VALUES (1, 'a')")
            await relay.equal()
        beat = await relay.target.read_beat()
        await relay.target.beat(replace(beat, timeline="000000FF"))
        async with relay.worker():
            await until(lambda: "Restored" in relay.notices())
        assert sorted({kind for (kind,) in relay.sql("SELECT kind FROM syncline.task")}) == ["backfill", "sweep"]
        assert any("promoted" in message for _, message in relay.seen.notices)


async def test_a_worker_that_compiles_otherwise_than_another_release_ends_and_its_records_are_marked_again(
    database, monkeypatch
) -> None:
    monkeypatch.setattr("syncline.relay.keeper.TABLES_SECONDS", 0.2)
    async with relayed(database) as relay:
        old = make_worker(relay.settings, relay.target, observer=Recorder())
        running = asyncio.create_task(old.run())
        await until(lambda: relay.owners() or running.done())
        relay.sql("UPDATE syncline.entity SET fingerprint = 'as a newer release compiles it'")
        with pytest.raises(ConfigError, match="another mapping"):
            await asyncio.wait_for(running, 60)
        assert relay.value("SELECT count(*) FROM syncline.task WHERE kind = 'backfill'") >= 1


async def test_events_of_a_parked_record_stand_in_the_history(database, mongo_url, mongo_db) -> None:
    async with relayed(database, (mongo_url, mongo_db)) as relay:
        relay.history = HistorySettings(keep=timedelta(days=1))
        relay.sql("ALTER TABLE item ADD COLUMN price numeric")
        async with relay.worker():
            relay.sql(f"INSERT INTO item VALUES (1, 'bad', 0, 1.{'1' * 40})")
            relay.sql("SELECT syncline.mark(1::smallint, '{1}', 'E', 'item.sold', '{\"a\": 1}')")
            relay.sql("SELECT syncline.mark(1::smallint, '{1}', 'E', 'item.sent', '{\"a\": 2}')")
            await relay.drained()
        assert relay.parked() == {"1": "mapping"}
        events = relay.sql("SELECT event_type FROM syncline.history WHERE event_type IS NOT NULL ORDER BY seq")
        assert events == [("item.sold",), ("item.sent",)]
