"""Tables that are altered while a move looks at them, or copies them, are looked at again, for a while."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from syncline.cli import split_copy
from syncline.errors import SchemaMoveError, UnsuitableTargetError
from syncline.split.catalogue import read_catalogue
from syncline.split.moving import watching
from syncline.split.schema import reading

TABLE = "CREATE TABLE moves (id int PRIMARY KEY, n int, CONSTRAINT odd CHECK (n % 2 = 1))"
ALTERED = "ALTER TABLE moves DROP CONSTRAINT IF EXISTS odd"
DROPPED_AND_MADE = f"{ALTERED}; ALTER TABLE moves ADD CONSTRAINT odd CHECK (n % 2 = 1)"


@pytest.fixture
def sessions(database: str) -> Iterator[list[psycopg.Connection[Any]]]:
    with psycopg.connect(database, autocommit=True) as one, psycopg.connect(database, autocommit=True) as two:
        one.execute(TABLE)
        yield [one, two]


def _read_beside(
    sessions: list[psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch, statement: str, *, before: str
) -> reading.Source:
    """Read what moves, while another session alters it each time just before something is read of it."""
    one, two = sessions
    rows = reading._rows

    def altered(connection: psycopg.Connection[Any], name: str) -> reading.Rows:
        if name == before:
            two.execute(statement.encode())
        return rows(connection, name)

    catalogue = read_catalogue(one)
    oids = frozenset(oid for (oid,) in one.execute("SELECT 'moves'::regclass::oid"))
    monkeypatch.setattr(reading, "_rows", altered)
    return reading.read_source(one, catalogue, oids)


@pytest.mark.parametrize("before", ["addresses", "constraints", "oddities"])
@pytest.mark.engines
def test_what_is_dropped_while_the_schema_is_read_is_no_defect(
    sessions: list[psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    found = _read_beside(sessions, monkeypatch, ALTERED, before=before)
    said = [*found.addresses.values(), *found.blocks["constraints"]]
    assert "moves_pkey" in str(said)
    assert "odd" not in str(said)


@pytest.mark.engines
def test_tables_that_are_altered_all_the_time_are_told_of(
    sessions: list[psycopg.Connection[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SchemaMoveError, match="again and again"):
        _read_beside(sessions, monkeypatch, DROPPED_AND_MADE, before="addresses")


async def _copied(monkeypatch: pytest.MonkeyPatch, failures: int, going: Any = lambda *_: None) -> tuple[Any, int]:
    left = [failures]

    async def copied(*_: object) -> list[str]:
        left[0] -= 1
        if left[0] >= 0:
            raise UnsuitableTargetError("the target's table lacks the column new")
        return ["copied"]

    monkeypatch.setattr(split_copy, "_copied", copied)
    monkeypatch.setattr(split_copy, "_AGAIN_SECONDS", 0)
    monkeypatch.setattr(watching, "require_going", going)
    move: Any = SimpleNamespace(plan=None)
    wish = split_copy.Wish(1, None, as_json=True)
    return await split_copy._rows(move, SimpleNamespace(), wish), left[0]  # type: ignore[arg-type]


async def test_a_copy_waits_for_a_column_that_came_just_now(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await _copied(monkeypatch, failures=3) == (["copied"], -1)


async def test_a_copy_does_not_wait_for_a_column_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split_copy, "_COLUMN_SECONDS", 0.0)
    with pytest.raises(UnsuitableTargetError):
        await _copied(monkeypatch, failures=10**6)


async def test_a_copy_waits_for_no_column_of_a_table_whose_move_has_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise SchemaMoveError("the move of moves has stopped")

    with pytest.raises(SchemaMoveError, match="has stopped"):
        await _copied(monkeypatch, failures=10**6, going=stopped)
