"""What acts on new rows is turned on and off on a side, on one server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from syncline.errors import SupersededError, SwitchError
from syncline.model.entity import TableName
from syncline.split.moving import opening as opening_module
from syncline.split.moving.opening import Opening, act, noted, prepare
from syncline.split.moving.state import Book, Phase
from syncline.split.switching.gate import Gate, GateBusyError, Mode
from syncline.split.switching.install import install, uninstall
from tests.relay import PATIENCE
from tests.switch_stage import address

pytestmark = pytest.mark.engines
TABLES = [TableName("public", "items")]
SQL = """
CREATE TABLE items (id int PRIMARY KEY);
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER t BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION f();
"""


def opening(*triggers: str) -> list[Opening]:
    return [
        Opening((f"ALTER TABLE items ENABLE TRIGGER {t}",), (f"ALTER TABLE items DISABLE TRIGGER {t}",))
        for t in triggers
    ]


@pytest.fixture
async def gate(database: str) -> AsyncIterator[Gate]:
    with psycopg.connect(database) as connection:
        connection.execute(SQL)
    made = Gate("data", "primary", address(database))
    await install(made, Mode.APPLICATION, TABLES)
    await prepare(made)
    yield made
    await made.aclose()


async def enabled(gate: Gate) -> Any:
    return (await gate.session.rows("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 't'", {}))[0][0]


async def test_what_is_gone_is_passed_over_when_turned_off_and_missed_when_turned_on(gate: Gate) -> None:
    """A side of which nothing is remembered is one of which nobody knows."""
    await act(gate, 1, opening("gone", "t"), TABLES, on=False)
    assert await enabled(gate) == "D"
    with pytest.raises(SwitchError, match='primary: trigger "gone"'):
        await act(gate, 1, opening("t", "gone"), TABLES, on=True)
    assert await enabled(gate) == "D"
    await act(gate, 1, opening("t"), TABLES, on=True)
    await act(gate, 1, opening("never looked at"), TABLES, on=True)
    assert await enabled(gate) == "O"


async def test_a_coordinator_that_wakes_up_late_changes_nothing_of_a_later_one(gate: Gate, database: str) -> None:
    """Frozen after it has opened a side, it would turn off the other one, which serves again by then."""
    await act(gate, 1, opening("t"), TABLES, on=True)
    with psycopg.connect(database) as later:
        later.execute("SELECT pg_advisory_xact_lock(1398361671, hashtext('data'))")  # as a change of the gate does
        with pytest.raises(GateBusyError):
            await act(gate, 1, opening("t"), TABLES, on=False)
        later.execute("UPDATE syncline_gate.gate SET number = 2")
    with pytest.raises(SupersededError, match="another coordinator than 1"):
        await act(gate, 1, opening("t"), TABLES, on=False)
    assert await enabled(gate) == "O"
    await act(gate, 2, opening("t"), TABLES, on=False)
    assert await enabled(gate) == "D"


async def test_nor_does_one_by_a_role_whose_transactions_see_what_was_before(
    gate: Gate, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under REPEATABLE READ a snapshot is older than the lock that was waited for."""
    monkeypatch.setattr(opening_module, "_BRIEF", timedelta(seconds=PATIENCE))
    options = (("options", r"-c default_transaction_isolation=repeatable\ read"),)
    late = Gate("data", "primary", replace(address(database), parameters=options))
    waits = "SELECT count(*) > 0 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    with psycopg.connect(database) as later, psycopg.connect(database, autocommit=True) as looks:
        later.execute("SELECT syncline_gate.change('data', 2, 'number', 1000)")
        acting = asyncio.create_task(act(late, 1, opening("t"), TABLES, on=False))
        while looks.execute(waits).fetchone() == (False,):
            assert not acting.done()
            await asyncio.sleep(0.01)
        later.commit()
        with pytest.raises(SupersededError):
            await acting
    await late.aclose()
    assert await enabled(gate) == "O"


async def test_when_a_move_is_over_nobody_turns_anything_on_or_off(gate: Gate) -> None:
    await uninstall(gate, TABLES)
    with pytest.raises(SupersededError):
        await act(gate, 1, opening("t"), TABLES, on=False)
    assert await enabled(gate) == "O"


async def test_what_is_turned_on_and_off_is_noted_by_the_coordinator_in_charge(gate: Gate, database: str) -> None:
    """One that was frozen while it read that has read what was."""
    await install(gate, Mode.APPLICATION, TABLES, journal="primary")
    with psycopg.connect(database, autocommit=True) as connection:
        book = Book("data", connection)
        book.begin("primary", [], {})
        book.keep_opening(opening("t"))
        book.reach(Phase.FOLLOWING)
        book.keep_opening(opening("of a copy that has come to its end"))
        assert await noted(gate) == tuple(opening("t"))
        for number in (1, 2):
            connection.execute("UPDATE syncline_gate.journal SET number = %s", [number])
            assert book.learn_opening(opening("t", "new"), number)
        assert not book.learn_opening(opening("old"), 1)
        assert await noted(gate) == tuple(opening("t", "new"))


async def test_a_statement_that_is_not_possible_now_is_no_other_coordinator(gate: Gate) -> None:
    """It has the same SQLSTATE as what tells of one."""
    with pytest.raises(SwitchError, match="not now"):
        await act(
            gate, 1, [Opening(("DO $$BEGIN RAISE 'not now' USING ERRCODE = '55000'; END$$",), ())], TABLES, on=True
        )


async def test_who_holds_a_table_is_named(gate: Gate, database: str) -> None:
    with psycopg.connect(database, application_name="pg_dump") as other:
        other.execute("SELECT FROM items").fetchall()
        other.execute("LOCK TABLE items IN SHARE MODE")
        with pytest.raises(GateBusyError, match=rf"pid {other.info.backend_pid} \(pg_dump\), its transaction is"):
            await act(gate, 1, opening("t"), TABLES, on=False, hurried=False)
    await act(gate, 1, opening("t"), TABLES, on=False)
    assert await enabled(gate) == "D"


async def test_readers_are_let_through_while_others_are_waited_for(
    gate: Gate, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done needs a lock that readers wait behind: it is asked for when writers and autovacuum have gone."""
    monkeypatch.setattr(opening_module, "_BRIEF", timedelta(seconds=PATIENCE))
    forced = Opening(
        ("ALTER TABLE items FORCE ROW LEVEL SECURITY",), ("ALTER TABLE items NO FORCE ROW LEVEL SECURITY",)
    )
    waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'items'::regclass AND NOT granted"
    async with await psycopg.AsyncConnection.connect(database) as writer:
        await writer.execute("INSERT INTO items VALUES (1)")
        acting = asyncio.create_task(act(gate, 1, [forced], TABLES, on=True))
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as reader:
            while (await (await reader.execute(waits)).fetchone()) == (False,):
                assert not acting.done()
                await asyncio.sleep(0.01)
            await reader.execute("SET lock_timeout = '2s'")
            assert await (await reader.execute("SELECT count(*) FROM items")).fetchone() == (0,)
            assert not acting.done()
        await writer.commit()
        await acting


async def test_who_is_frozen_meanwhile_leaves_no_lock_behind(gate: Gate, database: str) -> None:
    """A lock of what keys need keeps readers away, and a coordinator may be stopped at any time."""
    waits = "SELECT count(*) > 0 FROM pg_locks WHERE relation = 'items'::regclass AND NOT granted"
    with (
        psycopg.connect(database) as writer,
        psycopg.connect(database, autocommit=True) as reader,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setattr(opening_module, "_BRIEF", timedelta(seconds=PATIENCE))
        writer.execute("INSERT INTO items VALUES (1)")
        acting = asyncio.create_task(act(gate, 1, opening("t"), TABLES, on=False))
        while reader.execute(waits).fetchone() == (False,):
            assert not acting.done()
            await asyncio.sleep(0.01)
        writer.commit()
        until = time.monotonic() + PATIENCE
        while reader.execute("SELECT tgenabled::text FROM pg_trigger WHERE tgname = 't'").fetchone() != ("D",):
            assert time.monotonic() < until
            time.sleep(0.01)
        await acting
