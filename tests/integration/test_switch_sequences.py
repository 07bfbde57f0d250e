"""Sequences at a switch: no number is handed out twice, whatever kind of sequence it is."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from syncline.errors import SupersededError, SwitchError
from syncline.model.entity import TableName
from syncline.split.switching.gate import Gate, Mode, Verb
from syncline.split.switching.install import install
from syncline.split.switching.sequences import MARGIN, Definition, Position, beyond, raise_sequences
from tests.switch_stage import NEW, OLD, address, databases

LONG = timedelta(seconds=60)
UP = Definition(1, 1, 10**12, cycle=False, cache=1)
DOWN = Definition(-1, -(10**12), -1, cycle=False, cache=1)
ROUND = Definition(1, 1, 10**7, cycle=True, cache=1)
SMALL = Definition(1, 1, 100, cycle=False, cache=1)
STEPS = MARGIN + 1
FRESH = Position(1, called=False)


def at(value: int) -> Position:
    return Position(value, called=True)


POSITIONS = {
    "up": (UP, at(50), FRESH, 50 + STEPS),
    "the target is ahead": (UP, at(50), at(9000), 9000 + STEPS),
    "never called": (UP, FRESH, FRESH, STEPS),
    "set, not called": (UP, Position(500, called=False), FRESH, 499 + STEPS),
    "down": (DOWN, at(-50), Position(-1, called=False), -50 - STEPS),
    "down, the target is ahead": (DOWN, at(-50), at(-9000), -9000 - STEPS),
    "by tens": (Definition(10, 1, 10**12, cycle=False, cache=1), at(51), FRESH, 51 + 10 * STEPS),
    "cached": (Definition(1, 1, 10**12, cycle=False, cache=50), at(50), FRESH, 50 + MARGIN + 50),
    "round: the target's own position is old": (ROUND, at(50), at(9 * 10**6), 50 + STEPS),
    "small": (SMALL, at(50), FRESH, 50),
    "small, not called": (SMALL, FRESH, FRESH, None),
    "used up": (SMALL, at(100), FRESH, 100),
}


@pytest.mark.parametrize(("definition", "source", "target", "wanted"), POSITIONS.values(), ids=POSITIONS)
def test_where_a_sequence_goes_on(definition, source, target, wanted):
    assert beyond(definition, source, target) == wanted


SQL = """
CREATE SEQUENCE "Odd ""seq" INCREMENT -5;
CREATE TABLE items (id serial PRIMARY KEY, n bigint GENERATED ALWAYS AS IDENTITY, o bigint DEFAULT nextval('"Odd ""seq"'));
CREATE TABLE parts (id bigint DEFAULT nextval('"Odd ""seq"'));
CREATE TABLE stays (id serial)
"""
MOVED = [TableName("public", "items"), TableName("public", "parts")]


@pytest.fixture
async def gates(postgres, second_postgres):
    with databases(postgres, second_postgres, SQL) as urls:
        gates = {side: Gate("data", side, address(url)) for side, url in urls.items()}
        for side, gate in gates.items():
            await install(gate, Mode.APPLICATION if side == OLD else Mode.LINK, MOVED)
            await gate.change(7, Verb.NUMBER, LONG)
        yield gates
        for gate in gates.values():
            await gate.aclose()


def run(gate: Gate, statement: str) -> list[tuple]:
    with psycopg.connect(gate.session.address.conninfo) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


INSERT = "INSERT INTO items DEFAULT VALUES RETURNING id, n, o"


async def test_every_sequence_of_the_tables_goes_on_beyond_the_other_side(gates):
    """Owned by a column, an identity's, and one of its own that two tables draw from."""
    for _ in range(20):
        last = run(gates[OLD], INSERT)[0]
    run(gates[OLD], "INSERT INTO parts DEFAULT VALUES")
    await raise_sequences(gates[OLD], gates[NEW], MOVED, 7)
    await gates[NEW].change(7, Verb.OPEN, LONG)
    first = run(gates[NEW], INSERT)[0]
    assert (first[0] > last[0], first[1] > last[1], first[2] < last[2] - 5) == (True, True, True)
    await raise_sequences(gates[NEW], gates[OLD], MOVED, 7)
    assert run(gates[OLD], "SELECT nextval('items_id_seq')")[0][0] > first[0]


async def test_a_coordinator_that_is_not_in_charge_moves_no_sequence(gates):
    await gates[NEW].change(8, Verb.NUMBER, LONG)
    with pytest.raises(SupersededError):
        await raise_sequences(gates[OLD], gates[NEW], MOVED, 7)
    assert run(gates[NEW], "SELECT is_called FROM items_id_seq") == [(False,)]


async def test_a_sequence_that_a_table_that_stays_uses_too_is_named(gates):
    run(gates[OLD], "ALTER TABLE stays ALTER id SET DEFAULT nextval('items_id_seq')")
    with pytest.raises(
        SwitchError, match=r"primary: the sequence public.items_id_seq is used by stays, which does not move"
    ):
        await raise_sequences(gates[OLD], gates[NEW], MOVED, 7)


async def test_a_sequence_that_one_side_lacks_is_named(gates):
    run(gates[NEW], "ALTER TABLE items ALTER n DROP IDENTITY")
    with pytest.raises(SwitchError, match=r"on one side only: public.items_n_seq"):
        await raise_sequences(gates[OLD], gates[NEW], MOVED, 7)
