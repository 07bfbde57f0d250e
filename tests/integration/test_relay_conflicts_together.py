"""Thousands of unique conflicts are settled together: a target that is far away is not asked for each."""

from __future__ import annotations

from collections import Counter
from contextvars import ContextVar
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from syncline.engines.mongo.indexes import LOOKUPS, holders
from syncline.engines.postgres.marks import PostgresMarks
from syncline.engines.postgres.records import PostgresRecords
from syncline.model.entity import Computed, Fields, Index
from syncline.ports import Conflict
from syncline.relay.conflicts import PATIENCE, Conflicts
from syncline.relay.rows import CHUNK
from tests.mongo_commands import Commands
from tests.relay import entity, relayed

PERSON = entity("person", indexes=(Index((("email", 1),), unique=True),))
PEOPLE = "CREATE TABLE person (id int PRIMARY KEY, email text, UNIQUE (email) DEFERRABLE INITIALLY DEFERRED)"
MANY = 1500
MEGABYTE = 1024 * 1024


class Settled:
    """Counts what each settlement asks of the source."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.all: list[tuple[int, Counter[str]]] = []
        self._now: ContextVar[Counter[str] | None] = ContextVar("now", default=None)
        settle = Conflicts.settle

        async def counted(conflicts: Conflicts, plan: Any, found: Any, tickets: Any) -> Any:
            self._now.set(Counter())
            self.all.append((len(found), self._now.get() or Counter()))
            try:
                return await settle(conflicts, plan, found, tickets)
            finally:
                self._now.set(None)

        monkeypatch.setattr(Conflicts, "settle", counted)
        for owner, name in ((PostgresRecords, "read"), (PostgresMarks, "add")):
            monkeypatch.setattr(owner, name, self._counting(name, getattr(owner, name)))

    def _counting(self, name: str, original: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            counter = self._now.get()
            if counter is not None:
                counter[name] += 1
            return await original(*args, **options)

        return call


async def test_the_source_is_asked_once_for_many_conflicts(database, mongo_url, mongo_db, monkeypatch) -> None:
    settled = Settled(monkeypatch)
    async with relayed(database, (mongo_url, mongo_db), ddl=PEOPLE, entities=[PERSON]) as relay, relay.worker():
        relay.sql("INSERT INTO person SELECT n, 'e' || n FROM generate_series(1, %s) AS n", MANY)
        await relay.drained(seconds=30)
        relay.sql("UPDATE person SET email = 'e' || (id %% %s + 1)", MANY)
        await relay.equal(seconds=60)
    most = max(count for count, _ in settled.all)
    assert most > 100
    assert all(asked["mark"] <= 1 for _, asked in settled.all)
    assert all(asked["read_states"] <= -(-count // CHUNK) for count, asked in settled.all)


async def test_holders_whose_rows_are_wide_are_no_less_rightful(database, mongo_url, mongo_db) -> None:
    """A batch's states are read within a bound on memory; of a holder's row that were not to be had nothing would be known."""
    table = "CREATE TABLE person (id int PRIMARY KEY, email text, life text)"
    async with (
        relayed(database, (mongo_url, mongo_db), ddl=table, entities=[PERSON], bytes_in_flight=MEGABYTE) as relay,
        relay.worker() as worker,
    ):
        relay.sql("INSERT INTO person SELECT n, 'e' || n, repeat('x', 60000) FROM generate_series(1, 20) AS n")
        await relay.drained()
        pump = worker._pump
        assert pump is not None
        conflicts = [Conflict(str(100 + n), "email_1", {"email": f"e{n}"}) for n in range(1, 21)]
        tickets = {conflict.key: 1 << 40 for conflict in conflicts}
        for _ in range(PATIENCE):
            rejections, waiting = await pump._conflicts.settle(pump._reader._plans[1], conflicts, tickets)
        assert {rejection.key for rejection in rejections} == {conflict.key for conflict in conflicts}
        assert waiting == set()
        assert relay.sql("SELECT count(*) FROM syncline.waiting WHERE hint = 'R'") == [(0,)]


async def test_a_row_that_cannot_be_read_does_not_hide_the_others(database, mongo_url, mongo_db) -> None:
    """The rows of all holders are read together; one of them fails, and is found."""
    table = "CREATE TABLE person (id int PRIMARY KEY, email text, n int NOT NULL DEFAULT 1)"
    person = entity("person", fields=Fields(computed={"share": Computed("100 / n")}), indexes=PERSON.indexes)
    async with relayed(database, (mongo_url, mongo_db), ddl=table, entities=[person]) as relay, relay.worker():
        relay.sql("INSERT INTO person SELECT i, 'e' || i FROM generate_series(1, 6) AS i")
        await relay.drained()
        with relay.conn.transaction():
            relay.sql("UPDATE person SET email = 'e' || (7 - id) WHERE id > 1 AND id < 6")
            relay.sql("UPDATE person SET n = 0, email = 'gone' WHERE id = 1")
            relay.sql("UPDATE person SET email = 'e1' WHERE id = 6")
        await relay.drained(seconds=30)
        assert set(relay.parked()) == {"1", "6"}
        assert {d["_id"]: d["email"] for d in relay.raw(person) if d["_id"] not in {1, 6}} == {
            2: "e5", 3: "e4", 4: "e3", 5: "e2"
        }  # fmt: skip


async def test_the_target_is_asked_once_for_many_values(mongo_url, mongo_db) -> None:
    commands = Commands()
    async with AsyncMongoClient[dict[str, Any]](mongo_url, event_listeners=[commands]) as client:
        people = client[mongo_db]["person"]
        await people.create_index("email", unique=True, collation={"locale": "en", "strength": 2})
        await people.create_index("tags", unique=True, sparse=True)
        wanted = 2 * LOOKUPS + 50
        await people.insert_many(
            [{"_id": n, "email": f"E{n}", **({"tags": [n, -n]} if n else {})} for n in range(wanted)]
        )
        commands.names.clear()
        values: list[dict[str, Any]] = [{"email": f"e{n}"} for n in range(wanted)]
        values += [{}, {"tags": -7}, {"tags": "nobody"}, {"email": {"$gt": ""}}]
        found = await holders(people, values)
        assert [one and one["_id"] for one in found] == [*range(wanted), None, 7, None, None]
        sent = Counter(commands.names)
        assert sent == {"listIndexes": 1, "aggregate": 4, "getMore": sent["getMore"]}
