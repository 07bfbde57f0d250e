"""Unique values that move between records settle; real violations are parked, naming the holder."""

from __future__ import annotations

import asyncio

import pytest

from syncline.model.entity import Index
from tests.relay import Relay, entity, relayed, until

PERSON = entity("person", indexes=(Index((("email", 1),), unique=True),))
PEOPLE = "CREATE TABLE person (id int PRIMARY KEY, email text, UNIQUE (email) DEFERRABLE INITIALLY DEFERRED)"
LOOSE = "CREATE TABLE person (id int PRIMARY KEY, email text)"


@pytest.fixture
async def people(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), ddl=PEOPLE, entities=[PERSON]) as relay, relay.worker():
        relay.sql("INSERT INTO person SELECT n, 'e' || n FROM generate_series(1, 20) AS n")
        await relay.equal()
        yield relay


async def test_a_value_that_moves(people: Relay) -> None:
    with people.conn.transaction():
        people.sql("UPDATE person SET email = 'other' WHERE id = 1")
        people.sql("UPDATE person SET email = 'e1' WHERE id = 2")
    await people.equal()


async def test_a_value_that_moves_to_a_new_record(people: Relay) -> None:
    with people.conn.transaction():
        people.sql("DELETE FROM person WHERE id = 1")
        people.sql("INSERT INTO person VALUES (100, 'e1')")
    await people.equal(deferred=True)


async def test_a_value_whose_holder_is_in_another_batch(people: Relay) -> None:
    """The new holder's mark may be read before that of the old one."""
    people.sql("UPDATE person SET email = 'gone' WHERE id = 1")
    people.sql("UPDATE person SET email = 'e1' WHERE id = 2")
    people.sql("UPDATE person SET email = 'e2' WHERE id = 3")
    people.sql("UPDATE person SET email = 'e3' WHERE id = 4")
    await people.equal()


async def test_a_chain_of_values(people: Relay) -> None:
    people.sql("UPDATE person SET email = 'e' || (id + 1)")
    await people.equal()


async def test_two_records_swap_their_values(people: Relay) -> None:
    people.sql("UPDATE person SET email = CASE id WHEN 1 THEN 'e2' ELSE 'e1' END WHERE id IN (1, 2)")
    await people.equal()


async def test_three_records_rotate_their_values(people: Relay) -> None:
    people.sql("UPDATE person SET email = 'e' || (id % 3 + 1) WHERE id <= 3")
    await people.equal()


async def test_many_rotations_under_way(people: Relay) -> None:
    for _ in range(15):
        people.sql("UPDATE person SET email = 'e' || (substr(email, 2)::int % 20 + 1)")
        await asyncio.sleep(0.01)
    await people.equal(seconds=30)


async def test_a_violation_is_parked_and_names_the_holder(database, mongo_url, mongo_db) -> None:
    async with relayed(database, (mongo_url, mongo_db), ddl=LOOSE, entities=[PERSON]) as relay, relay.worker():
        relay.sql("INSERT INTO person VALUES (1, 'a'), (2, 'b'), (3, 'c')")
        await relay.equal()
        relay.sql("UPDATE person SET email = 'a' WHERE id = 2")
        await until(relay.parked)
        assert relay.parked() == {"2": "unique_value"}
        error = relay.value("SELECT error FROM syncline.parked")
        assert "email_1" in error
        assert "person/1" in error
        assert "'a'" in error
        assert relay.document(2, PERSON)["email"] == "b", "what could be written stays"
        relay.sql("UPDATE person SET email = 'free' WHERE id = 2")
        await relay.equal()


async def test_a_violation_of_a_new_record_is_parked(database) -> None:
    async with relayed(database, ddl=LOOSE, entities=[PERSON]) as relay, relay.worker():
        relay.sql("INSERT INTO person SELECT n, 'e' || n FROM generate_series(1, 50) AS n")
        relay.sql("INSERT INTO person VALUES (51, 'e7')")
        await until(relay.parked)
        await relay.drained()
        assert set(relay.parked()) in ({"51"}, {"7"})
        relay.assert_equal(without=["51", "7"])


async def test_a_value_held_by_a_document_that_is_not_ours_is_parked(database) -> None:
    async with relayed(database, ddl=LOOSE, entities=[PERSON]) as relay, relay.worker():
        relay.target.target.store(PERSON, {"_id": "stranger", "email": "x"})
        relay.sql("INSERT INTO person VALUES (1, 'x')")
        await until(relay.parked)
        assert "stranger" in relay.value("SELECT error FROM syncline.parked")


async def test_equal_values_in_arrays_are_a_violation_too(database, mongo_url, mongo_db) -> None:
    """The index of an array has a key for each of its elements."""
    tagged = entity("tagged", indexes=(Index((("tags", 1),), unique=True),))
    ddl = "CREATE TABLE tagged (id int PRIMARY KEY, tags text[])"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[tagged]) as relay, relay.worker():
        relay.sql("INSERT INTO tagged VALUES (1, '{a,b}'), (2, '{c}')")
        await relay.drained()
        relay.sql("UPDATE tagged SET tags = '{c,b}' WHERE id = 2")
        await until(relay.parked)
        assert relay.parked() == {"2": "unique_value"}
