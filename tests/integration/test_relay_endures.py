"""What once killed a worker, or stopped it for good, is got over."""

from __future__ import annotations

import os
from datetime import timedelta

import psycopg
import pytest

from syncline.config.settings import HistorySettings
from syncline.relay import reader
from tests.relay import AT_ONCE, Relay, relayed, until

ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 1, price numeric)"
TOO_LONG = "1." + "1" * 40


@pytest.fixture
async def relay(database):
    async with relayed(database, ddl=ITEMS) as found:
        yield found


@pytest.fixture
def documented(relay: Relay) -> Relay:
    relay.history = HistorySettings(keep=timedelta(days=7), documents=True)
    return relay


async def test_a_history_of_documents_leaves_rejected_ones_out(documented: Relay) -> None:
    documented.sql("INSERT INTO item VALUES (1, 'a', 1, %s), (2, 'b', 1, 2)", TOO_LONG)
    async with documented.worker():
        await documented.drained()
    assert documented.parked() == {"1": "mapping"}
    assert documented.sql("SELECT key, payload->>'name' FROM syncline.history") == [("2", "b")]


async def test_a_history_of_documents_keeps_text_that_looks_like_an_escape(documented: Relay) -> None:
    text = "C:\\u0000, and at the end \\u0000"
    documented.sql("INSERT INTO item VALUES (1, %s)", text)
    async with documented.worker():
        await documented.equal()
    assert documented.value("SELECT payload->>'name' FROM syncline.history") == text


async def test_thousands_of_rejected_and_documented_records_are_acknowledged_in_no_time(documented: Relay) -> None:
    documented.worker_options["batch_size"] = 5000
    documented.sql(f"INSERT INTO item SELECT n, 'n', 1, {TOO_LONG} FROM generate_series(1, 5000) AS n")
    documented.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(5001, 10000) AS n")
    async with documented.worker():
        assert await documented.drained() < AT_ONCE
    assert documented.counts()["parked"] == documented.counts()["history"] == 5000


async def test_a_long_look_at_the_history_holds_nothing_up(relay: Relay, database: str) -> None:
    relay.history = HistorySettings(keep=timedelta(days=7))
    with psycopg.connect(database) as dump:
        dump.execute("SELECT count(*) FROM syncline.changes")
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        async with relay.worker():
            await relay.equal()
    relay.sql("SELECT syncline.rotate_history('7 days')")
    assert relay.value("SELECT count(*) FROM syncline.history") == 1
    assert relay.value("SELECT count(*) FROM pg_inherits WHERE inhparent = 'syncline.history'::regclass") == 2, (
        "tomorrow"
    )


async def test_history_of_a_day_without_a_partition_stops_nobody(relay: Relay) -> None:
    relay.history = HistorySettings(keep=timedelta(days=7))
    relay.sql(
        "INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key) SELECT n, now(), now() - n * interval '30 days', 1, 'I', '1' FROM generate_series(0, 1) AS n"
    )
    relay.sql("INSERT INTO item VALUES (1, 'a')")
    async with relay.worker():
        await relay.equal()
    assert relay.value("SELECT count(*) FROM syncline.history") == 2, "the old one is gone, today's stay"


async def test_a_source_that_is_read_only_by_default_hinders_nobody(relay: Relay) -> None:
    name = relay.value("SELECT current_database()")
    mine = "FROM pg_stat_activity WHERE application_name LIKE 'syncline%' AND datname = current_database()"
    async with relay.worker():
        relay.sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
        relay.sql(f"SELECT pg_terminate_backend(pid) {mine}")
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        await relay.equal()
        assert not any("read-only" in error for _, error in relay.seen.outages)


async def test_used_up_batch_numbers_only_end_a_session(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_BATCH", 3)
    async with relay.worker():
        for n in range(8):
            relay.sql("INSERT INTO item VALUES (%s, 'a')", n)
            await relay.equal()
    tickets = [document["_v"] for document in relay.raw()]
    assert tickets == sorted(tickets)
    assert len(set(tickets)) == 8


async def test_a_key_whose_text_no_index_holds(database: str) -> None:
    async with relayed(database, ddl="CREATE TABLE item (id bytea PRIMARY KEY, name text)") as relay:
        relay.history = HistorySettings(keep=timedelta(days=7))
        relay.sql("INSERT INTO item VALUES (%s, 'long'), (%s, 'short')", os.urandom(2000), b"short")
        async with relay.worker():
            await relay.drained()
        assert {document["name"] for document in relay.raw()} == {"long", "short"}
        assert relay.value("SELECT count(*) FROM syncline.changes WHERE processed") == 2


async def test_an_idle_worker_that_lost_its_wake_lock_notices(relay: Relay) -> None:
    readers = "FROM pg_stat_activity WHERE application_name = 'syncline reader' AND datname = current_database()"
    async with relay.worker():
        await until(
            lambda: relay.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1398361667")
        )
        (old,) = relay.sql(f"SELECT pid {readers}")
        relay.sql("SELECT pg_terminate_backend(%s, 5000)", *old)
        relay.sql("INSERT INTO item VALUES (1, 'nobody is told of it')")
        await relay.equal()
