"""An ALTER every 50 ms beside writers, while tables are copied, followed, and after the switch: nothing is lost."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest

from tests import engines
from tests.moves import ROWS, SQL, Move, Writers, unprivileged
from tests.relay import PATIENCE

pytestmark = pytest.mark.engines
EVERY_SECONDS = 0.05
PLAIN = ("add", "add", "drop", "default", "not null", "check", "index", "comment", "widen a text")
"""Followed, however many of them one look sees."""
STOPPED = (
    "SELECT definition->'table'->>'name' FROM syncline_gate.watched WHERE side = '{}' AND stopped <> '{{}}' ORDER BY 1"
)
MADE = """
SELECT NOT EXISTS (SELECT FROM syncline_gate.watched WHERE side = '{}' AND stopped = '{{}}' AND pending <> '[]')
"""
CARRIED = """
SELECT NOT EXISTS (SELECT FROM syncline_{0}.outbox AS o JOIN syncline_{0}.entity AS e ON e.id = o.entity WHERE e.name IN ({1}))
"""
COLUMNS = """
SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum)
FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1
"""
THINGS = """
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %(table)s::regclass AND conname LIKE 'k%%'
UNION ALL SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = %(table)s::regclass ORDER BY 1
"""


class Storm:
    """A thread that alters tables, one statement every 50 ms; each of them must succeed."""

    def __init__(self, url: str, name: str, tables: dict[str, tuple[str, ...]]) -> None:
        self.done: list[str] = []
        self.failure: Exception | None = None
        self._url = url
        self._name = name
        self._dice = random.Random(name)
        self._tables = tables
        self._columns: dict[str, list[str]] = {table: [] for table in tables}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._go)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, more: int) -> None:
        wanted, until = len(self.done) + more, time.monotonic() + PATIENCE
        while len(self.done) < wanted and self.failure is None:
            assert time.monotonic() < until, self.done[-3:]
            time.sleep(0.02)

    def _go(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                while not self._stop.wait(EVERY_SECONDS):
                    statement = self._next()
                    connection.execute(statement.encode())
                    self.done.append(statement)
        except Exception as error:  # noqa: BLE001  the test names it
            self.failure = error

    def _next(self) -> str:
        table = self._dice.choice(list(self._tables))
        kind, number, there = (
            self._dice.choice(self._tables[table]),
            f"{self._name}_{len(self.done)}",
            self._columns[table],
        )
        if kind == "add" or not there:
            there.append(f"c{number}")
            return f"ALTER TABLE {table} ADD COLUMN c{number} varchar(30) DEFAULT '{number}'"
        column = self._dice.choice(there)
        if kind in ("drop", "rename"):
            there.remove(column)
        return {
            "drop": f"ALTER TABLE {table} DROP COLUMN {column}",
            "default": f"ALTER TABLE {table} ALTER {column} SET DEFAULT '{number}'",
            "not null": f"ALTER TABLE {table} ALTER {column} SET NOT NULL",
            "check": f"ALTER TABLE {table} ADD CONSTRAINT k{number} CHECK ({column} <> 'never')",
            "index": f"CREATE INDEX x{number} ON {table} ({column})",
            "comment": f"COMMENT ON COLUMN {table}.{column} IS 'of {number}'",
            "widen a text": f"ALTER TABLE {table} ALTER {column} TYPE text",
            "rename": f"ALTER TABLE {table} RENAME COLUMN {column} TO r{number}",
        }[kind]


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Move]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(unprivileged(home), unprivileged(goal), tmp_path)
        made.here.execute(SQL + ROWS)
        yield made
        made.close()


@pytest.mark.slow
def test_an_alteration_every_50_ms_loses_nothing_or_stops_its_table_by_name(move: Move) -> None:
    plain = {"carriers": PLAIN, "prices": PLAIN}
    with Writers(move) as writers:
        writers.wait()
        with Storm(move.urls["primary"], "copied", plain) as storm:
            copying = move.process("copy", "--rate", "3000")
            storm.wait(20)
        assert storm.failure is None
        assert copying.wait(PATIENCE) == 0, move.log.read_text()[-3000:]
    move.split = True
    with move.follower():
        move.followed()
        with Writers(move) as writers:
            with Storm(move.urls["primary"], "followed", plain) as storm:
                storm.wait(20)
            assert storm.failure is None
            writers.wait()
        judge(move, "primary", "move_data", ["carriers", "prices", "log"])
        move("switch", "--pause", "20s", "--force", "--reason", "a test")
        move.until("SELECT EXISTS (SELECT FROM syncline_gate.watched WHERE side = 'data' AND since > 0)")
        with Writers(move) as after:
            with Storm(move.urls["data"], "after", {**plain, "log": ("add", "rename")}) as storm:
                storm.wait(20)
            assert storm.failure is None
            assert any("RENAME" in statement for statement in storm.done)
            after.wait()
        move.until("SELECT EXISTS (SELECT FROM syncline_gate.watched WHERE side = 'data' AND stopped <> '{}')")
        judge(move, "data", "move_data_back", ["carriers", "prices"])
        assert "the move of public.log has stopped" in move("status")
        assert "log" in move.refused("back", "--pause", "20s")
        assert move.json("status")["serving"] == "data"
    assert writers.failures == after.failures == []


def judge(move: Move, side: str, link: str, tables: list[str]) -> None:
    """See that what was not stopped is equal on both sides, rows and definitions, and that nothing else was stopped."""
    move.until(MADE.format(side))
    names = ", ".join(f"'{table}'" for table in tables)
    move.until(CARRIED.format(link, names), there=side == "data")
    assert not {name for (name,) in move.here.execute(STOPPED.format(side))} & set(tables)
    until = time.monotonic() + PATIENCE
    while (here := definitions(move.here, tables)) != (there := definitions(move.there, tables)):
        if time.monotonic() > until:
            assert here == there, move.log.read_text()[-3000:]
        time.sleep(0.1)
    while found := move.difference(*tables):  # what was written by columns of before is marked again
        assert time.monotonic() < until, found[:3]
        time.sleep(0.1)


def definitions(side: psycopg.Connection[Any], tables: list[str]) -> dict[str, Any]:
    return {
        table: (side.execute(COLUMNS, [table]).fetchall(), side.execute(THINGS, {"table": table}).fetchall())
        for table in tables
    }
