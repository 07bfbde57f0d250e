"""A few marks and their states in one statement: what a woken relay reads first."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.engines.postgres.marks import PostgresMarks
from syncline.engines.postgres.records import PostgresRecords
from syncline.model.entity import Computed, Fields
from tests.relay import Relay, entity, relayed, until
from tests.steps import Steps

DDL = """CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 1);
CREATE TABLE word (word text PRIMARY KEY, n int);
CREATE TABLE pair (a int, b int, n int, PRIMARY KEY (a, b));"""
PRICED = entity("item", fields=Fields(computed={"share": Computed("100 / qty")}))
WORD, PAIR = entity("word"), entity("pair")


class Reads:
    """What was read how."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.together: list[tuple[list[Any], Any]] = []
        self.apart: list[list[str]] = []
        together, apart = PostgresMarks.read_with_states, PostgresRecords.read

        async def read_together(source: PostgresMarks, *args: Any, **options: Any) -> Any:
            found = await together(source, *args, **options)
            if found is not None and found[0]:
                self.together.append(found)
            return found

        async def read_states(source: PostgresRecords, plan: Any, keys: Any, **options: Any) -> Any:
            self.apart.append(list(keys))
            return await apart(source, plan, keys, **options)

        monkeypatch.setattr(PostgresMarks, "read_with_states", read_together)
        monkeypatch.setattr(PostgresRecords, "read", read_states)

    def clear(self) -> None:
        self.together.clear()
        self.apart.clear()


@pytest.fixture
async def relay(database):
    async with relayed(database, ddl=DDL, entities=[PRICED, WORD, PAIR]) as found:
        yield found


@pytest.fixture
def reads(monkeypatch) -> Reads:
    return Reads(monkeypatch)


async def begin(relay: Relay, reads: Reads) -> None:
    relay.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 20) AS n")
    await relay.drained()
    relay.sql("UPDATE item SET name = 'begun' WHERE id = 1")
    await relay.drained()
    reads.clear()


def names(relay: Relay) -> dict[Any, str]:
    return {document["_id"]: document["name"] for document in relay.raw(PRICED)}


async def test_a_woken_relay_reads_marks_and_states_at_once(relay: Relay, reads: Reads) -> None:
    async with relay.worker():
        await begin(relay, reads)
        for n in range(20):  # on a busy machine the relay may be reading anyway
            reads.clear()
            relay.sql("UPDATE item SET name = %s WHERE id = 2", f"new {n}")
            await relay.drained()
            assert names(relay)[2] == f"new {n}"
            if len(reads.together) == 1 and not reads.apart:
                return
    raise AssertionError("states are always read apart")


async def test_a_key_that_changed_twice_or_is_gone(relay: Relay, reads: Reads) -> None:
    async with relay.worker():
        await begin(relay, reads)
        with relay.conn.transaction():
            relay.sql("UPDATE item SET name = 'once' WHERE id = 3")
            relay.sql("UPDATE item SET name = 'twice' WHERE id = 3")
            relay.sql("DELETE FROM item WHERE id = 4")
            relay.sql("UPDATE item SET id = 40 WHERE id = 5")
        await relay.drained()
        assert names(relay)[3] == "twice"
        assert {4, 5}.isdisjoint(names(relay))
        assert 40 in names(relay)
        assert reads.together
        assert reads.apart == []


async def test_keys_of_other_entities_are_read_for_themselves(relay: Relay, reads: Reads) -> None:
    """Their keys are no numbers: the statement must not try to read them as such."""
    async with relay.worker():
        await begin(relay, reads)
        with relay.conn.transaction():
            relay.sql("INSERT INTO word VALUES ('not a number', 1)")
            relay.sql("INSERT INTO pair VALUES (1, 2, 3)")
            relay.sql("UPDATE item SET name = 'with others' WHERE id = 6")
        await relay.drained()
        assert names(relay)[6] == "with others"
        assert [document["_id"] for document in relay.raw(WORD)] == ["not a number"]
        assert [document["n"] for document in relay.raw(PAIR)] == [3]
        assert len(reads.together) == 1
        assert sorted(map(tuple, reads.apart)) == [('["1", "2"]',), ("not a number",)]
        relay.sql("UPDATE pair SET n = 4")
        await relay.drained()
        relay.sql("UPDATE pair SET n = 5")
        await relay.drained()
        assert [document["n"] for document in relay.raw(PAIR)] == [5]


async def test_a_record_that_cannot_be_read_is_found_apart(relay: Relay, reads: Reads) -> None:
    async with relay.worker():
        await begin(relay, reads)
        relay.sql("UPDATE item SET qty = 0, name = 'bad' WHERE id = 7")
        relay.sql("UPDATE item SET name = 'good' WHERE id = 8")
        await until(lambda: relay.parked() == {"7": "mapping"})
        await until(lambda: names(relay)[8] == "good")
        assert names(relay)[7] == "n"
        assert ["7"] in reads.apart


async def test_a_mark_that_is_no_key_is_parked(relay: Relay, reads: Reads) -> None:
    async with relay.worker():
        await begin(relay, reads)
        relay.sql("SELECT syncline.mark(1::smallint, ARRAY['no number', '09', '9'], 'R')")
        await until(lambda: relay.parked() == {"no number": "bad_key", "09": "bad_key"})
        await relay.drained()
        assert 9 in names(relay)


async def test_a_key_under_way_is_not_written_by_two_batches(relay: Relay, reads: Reads) -> None:
    """Its state comes with the read and must not be used: the mark waits for its turn."""
    written: list[list[Any]] = []
    async with relay.worker():
        await begin(relay, reads)
        slow: Any = relay.target
        open_: set[Any] = set()

        async def watch(batch: Any) -> None:
            ids = [state.id for state in batch.states]
            assert open_.isdisjoint(ids)
            open_.update(ids)
            written.append(ids)
            relay.sql("UPDATE item SET name = name || '.' WHERE id = 10 AND length(name) < 5")
            relay.sql("UPDATE item SET name = name || '.' WHERE id = 11 AND length(name) < 5")

        async def done(batch: Any) -> None:
            open_.difference_update(state.id for state in batch.states)

        slow.before_apply, slow.after_apply = watch, done
        relay.sql("UPDATE item SET name = '' WHERE id = 10")
        await until(lambda: (names(relay)[10], names(relay)[11]) == ("." * 5, "n...."))
        await relay.drained()
        assert len(written) > 5


async def test_g2_a_change_after_both_were_read_is_not_lost(relay: Relay, monkeypatch) -> None:
    steps = Steps(monkeypatch)
    reads = Reads(monkeypatch)
    async with relay.worker() as worker:
        await begin(relay, reads)
        stop = steps.stop(worker, "after read_states", wanted=lambda states: bool(states.rows))
        relay.sql("UPDATE item SET name = 'first' WHERE id = 2")
        await stop.wait_reached()
        relay.sql("UPDATE item SET name = 'second' WHERE id = 2")
        stop.resume()
        await relay.drained()
        assert names(relay)[2] == "second"
        assert reads.together
