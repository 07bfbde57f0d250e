"""What people ask of "Outbox" about failures: an outage is none, a rejected record is one until it is taken."""

from __future__ import annotations

from pathlib import Path

from syncline.insight.parked import retry_parked
from syncline.postgres.connection import connect
from tests.relay import entity, relayed, until

T = "CREATE TABLE t (id bigint PRIMARY KEY, n numeric)"
TOO_LONG = "1." + "1" * 40
FAILED = "SELECT aggregate_id FROM syncline.changes WHERE NOT processed AND last_error IS NOT NULL ORDER BY 1"
OFTEN = "SELECT aggregate_id FROM syncline.changes WHERE NOT processed AND retry_count > 5 ORDER BY 1"


def found(relay, query):
    return [key for (key,) in relay.sql(query)]


async def test_failed_are_the_parked_records_and_an_outage_counts_nothing(database):
    async with relayed(database, ddl=T, entities=[entity("t")]) as relay:
        relay.target.unavailable = True
        relay.sql("INSERT INTO t SELECT n, 1 FROM generate_series(1, 20) n")
        async with relay.worker(ready=False):
            await until(lambda: relay.target.attempts > 3)
            assert (found(relay, FAILED), found(relay, OFTEN)) == ([], []), "an outage counts nothing"
            relay.target.unavailable = False
            await relay.drained()
            relay.sql("UPDATE t SET n = %s WHERE id IN (3, 7)", TOO_LONG)
            await relay.drained()
            assert found(relay, FAILED) == ["3", "7"] == sorted(relay.parked())
            assert found(relay, OFTEN) == []
            relay.target.unavailable = True
            relay.sql("UPDATE t SET n = 2 WHERE id = 1")
            tried = relay.target.attempts
            await until(lambda: relay.target.attempts > tried + 2)
            assert relay.counts()["outbox"] == 1
            assert found(relay, FAILED) == ["3", "7"], "what waits for the target has not failed"
            relay.target.unavailable = False
            await relay.drained()
            relay.sql("UPDATE t SET n = 1 WHERE id = 7")
            await until(lambda: found(relay, FAILED) == ["3"])


async def test_a_record_that_is_rejected_more_than_five_times_is_found_by_its_count(database):
    async with relayed(database, ddl=T, entities=[entity("t")]) as relay, relay.worker():
        relay.sql("INSERT INTO t VALUES (3, %s), (7, %s), (8, 1)", TOO_LONG, TOO_LONG)
        await relay.drained()
        connection = await connect(database)
        try:
            for tries in range(2, 7):
                assert found(relay, OFTEN) == []
                await retry_parked(connection, entity="t", keys=["3"])
                counted = "SELECT retry_count FROM syncline.parked WHERE key = '3'"
                await until(lambda: relay.value(counted) == tries)  # noqa: B023  awaited here
        finally:
            await connection.close()
        assert found(relay, OFTEN) == ["3"]
        assert found(relay, FAILED) == ["3", "7"]


def test_the_guide_gives_both_queries():
    guide = (Path(__file__).parents[2] / "docs/how-to/operate.md").read_text(encoding="utf-8")
    for query in (FAILED, OFTEN):
        condition = query[query.index("WHERE") : query.index(" ORDER BY")]
        assert f'SELECT * FROM "Outbox" {condition};' in guide
