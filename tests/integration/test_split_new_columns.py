"""Columns that come while a move lasts: what was read without them is no record's state, and is read again."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from syncline.cli.split_move import declared
from syncline.engines.postgres.copying.carrier import SqlCarrier
from syncline.errors import SwitchError
from syncline.split.moving.link import MoveLink
from syncline.split.moving.move import opened_move
from tests import engines
from tests.moves import Move, stopped

pytestmark = pytest.mark.engines
SQL = """
CREATE TABLE carriers (id int PRIMARY KEY, x int);
INSERT INTO carriers SELECT n, n FROM generate_series(1, 5) AS n;
"""
FILE = """
[databases.primary]
rest = true
[databases.data]
tables = ["carriers"]
[worker]
poll_seconds = 60
lease_seconds = {}
renew_seconds = {}
"""
BLIND, SEEING = FILE.format(1200, 600), FILE.format(2, 0.25)
"""With each renewal a worker looks at the tables."""
COLUMN = "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'carriers'::regclass AND attname = 'more')"
CARRIED = "SELECT NOT EXISTS (SELECT FROM syncline_move_data.outbox)"
MARKED = "SELECT NOT EXISTS (SELECT FROM syncline_move_data.task)"
FORCED = ("--force", "--reason", "a test")


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Move]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(home, goal, tmp_path)
        (tmp_path / "syncline.toml").write_text(BLIND)
        made.here.execute(SQL)
        yield made
        made.close()


def asked(move: Move, what: Callable[[MoveLink], Awaitable[object]]) -> object:
    """Ask what a coordinator asks."""

    async def ask() -> object:
        with (
            mock.patch.dict("os.environ", move.variables),
            declared(move.folder / "syncline.toml", None, "data") as known,
        ):
            async with opened_move(known.begun()) as (_, link):
                return await what(link)

    return asyncio.run(ask())


def drained(move: Move) -> object:
    return asked(move, lambda link: link.drained("primary"))


def test_no_side_opens_while_a_worker_has_written_by_columns_of_before(move: Move) -> None:
    """The queue is empty by then, and what is to be marked again is asked for when the worker looks at the tables."""
    move("copy", "--rate", "0")
    with move.follower() as follower:
        move.followed()
        move.here.execute("INSERT INTO carriers VALUES (10, 10)")
        move.until("SELECT EXISTS (SELECT FROM carriers WHERE id = 10)", there=True)  # its first look is over by then
        assert "being marked" not in move.log.read_text(), "a copy beside which nothing is altered marks nothing"
        assert drained(move)
        move.here.execute("ALTER TABLE carriers ADD COLUMN more text DEFAULT 'first'")
        move.here.execute("INSERT INTO carriers SELECT n, n, 'explicit' FROM generate_series(11, 15) AS n")
        move.here.execute("UPDATE carriers SET more = 'updated' WHERE id = 1")
        move.here.execute("ALTER TABLE carriers ALTER more SET DEFAULT 'second'")
        move.until(COLUMN, there=True)
        move.until(CARRIED)
        assert len(move.difference("carriers")) > 0, "written without the column, and acknowledged"
        move.until(MARKED)
        assert not drained(move)
        assert "a worker that carries them over has not seen it yet" in move.refused("switch", *FORCED)
        stopped(follower, signal.SIGTERM)
    (move.folder / "syncline.toml").write_text(SEEING)
    with move.follower():
        move.followed()
        move.until(MARKED)
        move.until(CARRIED)
        assert move.difference("carriers") == []
        assert drained(move)


def test_a_worker_of_the_way_back_that_is_behind_keeps_a_side_from_opening(move: Move) -> None:
    move("copy", "--rate", "0")
    for side, mode in ((move.here, "l"), (move.there, "a")):
        side.execute("UPDATE syncline_gate.gate SET mode = %s, opened = number + 1", [mode])
    move.there.execute(
        "INSERT INTO syncline_move_data_back.worker (id, name, version, expires_at, report)"
        """ VALUES (gen_random_uuid(), 'one', '1', now() + interval '1 hour', '{"catalog": "another one"}')"""
    )
    with pytest.raises(SwitchError, match="a worker that carries them over has not seen it yet"):
        asked(move, lambda link: link.ready("data", "primary", 1))
    assert not asked(move, lambda link: link.drained("data"))


def test_rows_that_were_copied_without_a_column_are_read_again(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    """As frameworks add columns: with a value for the rows that are there, and without a default afterwards."""
    carry: Callable[..., object] = SqlCarrier.carry
    (move.folder / "syncline.toml").write_text(SEEING)

    def carried(*given: object) -> object:
        move.here.execute("ALTER TABLE carriers ADD COLUMN IF NOT EXISTS more text DEFAULT 'there before'")
        move.here.execute("ALTER TABLE carriers ALTER more DROP DEFAULT")
        move.until(f"{COLUMN[:-1]} AND NOT atthasdef)", there=True)
        return carry(*given)

    monkeypatch.setattr(SqlCarrier, "carry", carried)
    move("copy", "--rate", "0")
    monkeypatch.undo()
    with move.follower():
        move.followed()
        move.until(MARKED)
        move.until(CARRIED)
    assert move.difference("carriers") == []
