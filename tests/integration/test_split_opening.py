"""What acts on new rows is turned on and off on a side, on one server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from syncline.errors import SwitchError
from syncline.model.entity import TableName
from syncline.split.moving.opening import Opening, act, prepare
from syncline.split.switching.gate import Gate, GateBusyError, Mode
from syncline.split.switching.install import install
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
    await act(gate, opening("gone", "t"), TABLES, on=False)
    assert await enabled(gate) == "D"
    with pytest.raises(SwitchError, match='primary: trigger "gone"'):
        await act(gate, opening("t", "gone"), TABLES, on=True)
    assert await enabled(gate) == "D"
    await act(gate, opening("t"), TABLES, on=True)
    await act(gate, opening("never looked at"), TABLES, on=True)
    assert await enabled(gate) == "O"


async def test_who_holds_a_table_is_named(gate: Gate, database: str) -> None:
    with psycopg.connect(database, application_name="pg_dump") as other:
        other.execute("SELECT FROM items").fetchall()
        other.execute("LOCK TABLE items IN SHARE MODE")
        with pytest.raises(GateBusyError, match=rf"pid {other.info.backend_pid} \(pg_dump\), its transaction is"):
            await act(gate, opening("t"), TABLES, on=False, hurried=False)
    await act(gate, opening("t"), TABLES, on=False)
    assert await enabled(gate) == "D"
