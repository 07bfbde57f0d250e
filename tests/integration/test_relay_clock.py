"""The source's clock is set back: lanes of the dead do not stay theirs for that long, and the living keep theirs."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from syncline.config import SourceSettings
from syncline.engines.postgres.verification.passes import SqlRounds
from syncline.insight import reach
from tests.relay import Relay, relayed, until

SET_BACK = "UPDATE syncline.worker SET expires_at = expires_at + interval '1 hour'"
"""What remains when the clock goes back by an hour."""


@pytest.fixture
async def relay(database):
    async with relayed(database, lease=timedelta(seconds=30)) as relay:
        yield relay


async def test_lanes_of_a_dead_worker_are_taken_over_after_its_lease(relay: Relay) -> None:
    relay.sql(
        "INSERT INTO syncline.worker (id, name, version, expires_at, report) VALUES"
        " (gen_random_uuid(), 'dead', '0', clock_timestamp() + interval '2 s', '{\"lease_seconds\": 2.0}')"
    )
    relay.sql("UPDATE syncline.lane SET owner = (SELECT id FROM syncline.worker), epoch = 1, confirmed = 1")
    relay.sql("UPDATE syncline.meta SET epoch = 1")
    relay.sql(SET_BACK)
    relay.sql("INSERT INTO item VALUES (1, 'a')")
    async with relay.worker(ready=False) as worker:
        await until(lambda: relay.owners().get(worker.id) == 64, seconds=20, what="the lanes are taken over")
        await relay.equal()


async def test_living_workers_go_on_as_if_nothing_had_happened(relay: Relay) -> None:
    async with relay.worker() as one, relay.worker() as other:
        await until(lambda: relay.owners() == {one.id: 32, other.id: 32}, seconds=20, what="the lanes are shared")
        epochs = relay.sql("SELECT lane, epoch FROM syncline.lane ORDER BY lane")
        relay.sql(SET_BACK)
        seconds = "SELECT extract(epoch FROM max(expires_at) - clock_timestamp())::float8 FROM syncline.worker"
        await until(lambda: relay.value(seconds) < 60, seconds=20, what="both live by the new clock")
        relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 200) AS n")
        await relay.equal()
        assert relay.sql("SELECT lane, epoch FROM syncline.lane ORDER BY lane") == epochs


async def test_what_the_dead_had_claimed_is_taken_over_too(relay: Relay) -> None:
    relay.sql("INSERT INTO item VALUES (1, 'a')")
    relay.sql("DELETE FROM syncline.outbox")
    dead = "gen_random_uuid(), clock_timestamp() + interval '1 hour'"
    relay.sql(
        f"INSERT INTO syncline.task (kind, entity, reason, claimed_by, claimed_until) SELECT 'backfill', 1, 'x', {dead}"
    )
    relay.sql(
        "INSERT INTO syncline.verification (origin, entity, scope, claimed_by, claimed_until)"
        f" SELECT 'command', 1, 'x', {dead}"
    )
    async with relay.worker():
        await until(
            lambda: relay.value(
                "SELECT count(*) FROM syncline.verification WHERE claimed_until < now() + interval '20 s'"
            ),
            seconds=20,
            what="the pass can be resumed",
        )
        await until(lambda: relay.value("SELECT count(*) = 0 FROM syncline.task"), seconds=60, what="the task is done")
        await relay.equal()


async def test_a_proof_of_the_future_hides_no_newer_one_and_puts_none_off(relay: Relay) -> None:
    relay.sql(
        "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report) VALUES"
        " (1, clock_timestamp() + interval '1 hour', 1, 'equal', '{}'), (1, clock_timestamp(), 1, 'divergent', '{}')"
    )
    async with reach.source(SourceSettings(url=relay.url), purpose="test") as source:
        assert [row["verdict"] for row in await reach.rows(source, "certificates")] == ["divergent"]
        assert 0 <= (await SqlRounds(source, str(uuid4())).ages())[1] < 60
