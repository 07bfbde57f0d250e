"""Schema changes of a move, looked at turn by turn: what is followed, what stops, and when links may go on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from syncline.cli.split_move import declared
from syncline.errors import SchemaMoveError, SwitchError
from syncline.split.moving import altering
from syncline.split.moving.altering import Watcher
from syncline.split.moving.beginning import complete
from syncline.split.moving.gates import read_gates
from syncline.split.moving.holding import hold
from syncline.split.moving.watched import Watched
from syncline.split.moving.watching import require_going
from tests import engines
from tests.moves import Move

pytestmark = pytest.mark.engines
SQL = """
CREATE TABLE carriers (id int PRIMARY KEY, x int, kept int);
CREATE TABLE log (id int PRIMARY KEY, x int);
INSERT INTO carriers SELECT n, n, n FROM generate_series(1, 5) AS n;
"""
FILE = '[databases.primary]\nrest = true\n[databases.data]\ntables = ["carriers", "log"]\n[worker]\npoll_seconds = 60\n'
HELD = "SELECT count(*) FROM syncline_move_data.copy WHERE copied_at IS NULL"


class Looked(Move):
    """A move that was copied, and whose watcher turns when it is told to."""

    def __init__(self, home: str, goal: str, folder: Path) -> None:
        super().__init__(home, goal, folder)
        (folder / "syncline.toml").write_text(FILE)
        self.here.execute(SQL)
        self("copy", "--rate", "0")

    def watcher(self, side: str = "primary") -> Watcher:
        with (
            mock.patch.dict("os.environ", self.variables),
            declared(self.folder / "syncline.toml", None, "data") as move,
        ):
            return Watcher(move.begun(), side, move.plan)

    def turn(self, side: str = "primary", watcher: Watcher | None = None) -> list[str]:
        """Have a watcher look once, by default a new one."""
        watcher = watcher or self.watcher(side)
        home, goal = self.here, self.there
        here, there = (home, goal) if side == "primary" else (goal, home)
        return list(watcher.turn(here, there, home, read_gates(watcher.one.ends, home, goal)))

    def value(self, query: str, *, there: bool = False) -> Any:
        row = (self.there if there else self.here).execute(query).fetchone()
        return row and row[0]


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Looked]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Looked(home, goal, tmp_path)
        yield made
        made.close()


def test_a_column_that_was_dropped_and_added_anew_stops_its_table_and_empties_nothing(move: Looked) -> None:
    """Its new values may be over there already, in the column of before."""
    with move.here.transaction():
        move.here.execute("ALTER TABLE carriers DROP COLUMN x; ALTER TABLE carriers ADD COLUMN x int")
    assert move.turn() == [
        "the move of public.carriers stops: the column x of public.carriers was dropped and added anew"
    ]
    assert move.value("SELECT count(x) FROM carriers", there=True) == 5
    assert move.value(HELD) == 1
    assert "the column x of public.carriers was dropped and added anew" in move.refused("switch")


def test_what_depends_on_a_dropped_column_over_there_is_not_taken_along(move: Looked) -> None:
    move.there.execute("CREATE VIEW mine AS SELECT x FROM carriers")
    move.here.execute("ALTER TABLE carriers DROP COLUMN x; ALTER TABLE log ADD COLUMN more int")
    (stopped, followed) = move.turn()
    assert "the move of public.carriers stops: ALTER TABLE public.carriers DROP COLUMN" in stopped
    assert "view public.mine depends on column x" in stopped
    assert "public.log was altered, and is over there" in followed
    assert (move.value(HELD), move.value("SELECT count(x) FROM mine", there=True)) == (1, 5)
    move.there.execute("DROP VIEW mine")
    assert "public.carriers was altered, and is over there" in move.turn()[0]
    assert move.value(HELD) == 0


def test_a_column_that_comes_while_one_of_its_name_goes_is_seen_first(
    move: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read meanwhile may have been written into the column of before."""

    def held(*given: Any, **more: Any) -> None:
        move.here.execute("ALTER TABLE carriers ADD COLUMN IF NOT EXISTS x int")
        was(*given, **more)

    was = hold
    monkeypatch.setattr(altering, "hold", held)
    move.here.execute("ALTER TABLE carriers DROP COLUMN x")
    assert move.turn() == []
    monkeypatch.undo()
    assert move.value("SELECT count(x) FROM carriers", there=True) == 5
    assert move.value(HELD) == 1
    assert "dropped and added anew" in move.turn()[0]


def test_what_was_altered_while_the_other_side_served_is_not_followed_afterwards(move: Looked) -> None:
    """It came from there, or is nobody's wish: its tables are read anew when a side serves again."""
    move.there.execute("UPDATE syncline_gate.gate SET opened = 7, opened_at = now()")
    move.here.execute("ALTER TABLE carriers DROP COLUMN x")
    move.here.execute("UPDATE syncline_gate.gate SET opened = 8, opened_at = now()")
    assert (move.turn(), move.turn()) == ([], [])
    assert move.value("SELECT count(x) FROM carriers", there=True) == 5
    move.here.execute("ALTER TABLE carriers DROP COLUMN kept")
    assert len(move.turn()) == 1
    assert move.value("SELECT count(*) FROM pg_attribute WHERE attname = 'kept'", there=True) == 0


def test_a_column_that_came_between_an_opening_and_the_first_look_is_followed(move: Looked) -> None:
    """The other side lacks it: it is not what the tables were, though nobody has seen them without it."""
    move.there.execute("UPDATE syncline_gate.gate SET opened = 7, opened_at = now()")
    move.here.execute("UPDATE syncline_gate.gate SET opened = 8, opened_at = now()")
    move.here.execute("ALTER TABLE log ADD COLUMN more int")
    assert move.turn() == []
    assert "public.log was altered, and is over there" in move.turn()[0]
    assert move.value("SELECT count(more) FROM log", there=True) == 0


def test_what_is_in_the_way_of_one_table_does_not_keep_another_from_being_followed(move: Looked) -> None:
    (move.folder / "syncline.toml").write_text(FILE.replace('"log"', '"log", "later"'))
    move.here.execute("CREATE TABLE later (id int)")  # no key: a move of it would be refused
    move.here.execute("ALTER TABLE carriers ADD COLUMN more int")
    assert "public.carriers was altered, and is over there" in move.turn()[0]


def test_what_stopped_a_table_stays_when_its_side_serves_again(move: Looked) -> None:
    move.here.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    assert len(move.turn()) == 1
    move.there.execute("UPDATE syncline_gate.gate SET opened = 7, opened_at = now()")
    move.here.execute("UPDATE syncline_gate.gate SET opened = 8, opened_at = now()")
    assert (move.turn(), move.turn()) == ([], [])
    assert "the column x of public.carriers was renamed to y" in move.refused("switch")
    move.here.execute("ALTER TABLE carriers RENAME COLUMN y TO x")
    assert move.turn() == ["public.carriers is what it was again: its move goes on"]
    assert move.value(HELD) == 0


def test_no_switch_where_writes_are_not_captured_and_all_is_marked_when_they_are_again(move: Looked) -> None:
    forced = ("switch", "--force", "--reason", "a test")
    move.here.execute("ALTER TABLE log ADD COLUMN more int")
    assert len(move.turn()) == 1
    assert "no worker carries over" in move.refused(*forced)
    triggers = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'log'::regclass AND NOT tgisinternal AND tgname !~ 'gate'"
    for (name,) in move.here.execute(triggers).fetchall():
        move.here.execute(f"ALTER TABLE log DISABLE TRIGGER {name}".encode())
    move.here.execute("INSERT INTO log VALUES (7, 7)")
    assert "primary: writes are not all captured" in move.refused(*forced)
    move("copy")
    assert "to do: records are being marked" in move.refused(*forced)
    with move.follower():
        move.followed()
        move.until("SELECT EXISTS (SELECT FROM log WHERE id = 7)", there=True)
        move.until("SELECT NOT EXISTS (SELECT FROM syncline_move_data.task)")
    assert move.difference("log") == []


def test_tables_that_came_after_the_copy_hold_back_every_change_of_sides(move: Looked) -> None:
    file = move.folder / "syncline.toml"
    file.write_text(FILE.replace('"log"]', '"log", "later*"]'))
    forced = ("--force", "--reason", "a test")
    move.here.execute("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)")
    move.here.execute("ALTER TABLE carriers ADD COLUMN more int")
    move.turn()
    assert move.value("SELECT to_regclass('later') IS NULL", there=True), "made there, it would be empty"
    assert "came after its copy and do not move: public.later" in move.refused("switch", *forced)
    assert any("public.later" in line for line in move.json("status")["against"])
    move.here.execute("DROP TABLE later; ALTER TABLE log RENAME TO logged")
    assert "any more, and they move: public.log" in move.refused("switch", *forced)
    move.here.execute("ALTER TABLE logged RENAME TO log")
    assert "no worker carries over" in move.refused("switch", *forced)
    for side, mode in ((move.here, "l"), (move.there, "a")):
        side.execute("UPDATE syncline_gate.gate SET mode = %s, opened = number + 1", [mode])
    move.there.execute("CREATE TABLE later2 (id int PRIMARY KEY)")
    assert "data has tables of data that came after its copy and do not move: public.later2" in move.refused("back")


def test_a_stop_and_its_end_leave_a_copy_that_goes_on_alone(move: Looked) -> None:
    """A row that was deleted would be there for ever if marks came before the ranges that were read earlier."""
    move.here.execute("UPDATE syncline_move_data.copy SET copied_at = NULL")
    move.here.execute("UPDATE syncline_gate.move SET phase = 'copying'")
    move.here.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    assert len(move.turn()) == 1
    move.here.execute("ALTER TABLE carriers RENAME COLUMN y TO x")
    assert move.turn() == ["public.carriers is what it was again: its move goes on"]
    assert move.value(HELD) == 2
    move.here.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    move.turn()
    move.here.execute("UPDATE syncline_move_data.copy SET copied_at = now()")  # the copy has come to its end
    assert move.turn() == []
    assert move.value(HELD) == 1


def test_a_held_table_is_not_copied_anew_and_goes_on_when_the_alteration_is_taken_back(move: Looked) -> None:
    move.here.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    said = move.refused("copy")
    assert "public.carriers: the column x of public.carriers was renamed to y" in said
    assert "split abort data --drop" in said
    assert move.value(HELD) == 1
    why = "the move of public.carriers has stopped: the column x of public.carriers was renamed to y"
    assert why in move.refused("switch", "--force", "--reason", "a test")
    status = move.json("status")
    assert why in status["against"]
    assert (status["links"]["primary"]["copying"], status["links"]["primary"]["held"]) == ([], ["carriers"])
    assert f"speaks against a switch: {why}" in " ".join(move("status").split())
    move.here.execute("ALTER TABLE carriers RENAME COLUMN y TO x")
    move("copy")
    assert move.value(HELD) == 0


def test_changes_of_a_table_that_has_stopped_are_not_waited_for(move: Looked) -> None:
    """Nothing brings them before the alteration is taken back: the end of a copy says so instead of waiting."""
    move.here.execute("ALTER TABLE carriers RENAME x TO y")
    assert len(move.turn()) == 1
    move.here.execute("INSERT INTO carriers VALUES (9, 9, 9)")
    with (
        mock.patch.dict("os.environ", move.variables),
        declared(move.folder / "syncline.toml", None, "data") as known,
    ):
        one = known.begun()

        async def see() -> None:
            await asyncio.to_thread(require_going, one, known.plan, print)

        with pytest.raises(SchemaMoveError, match="the move of tables has stopped"):
            asyncio.run(asyncio.wait_for(complete(one, known.plan, print, see=see), 60))


def test_a_copy_does_not_wait_for_a_worker_that_has_ended(move: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether it has failed or was stopped: nobody carries the changes that are waited for."""

    class Ended:
        def __init__(self, error: Exception | None) -> None:
            self.error = error

        async def run(self) -> None:
            if self.error:
                raise self.error

        def stop(self) -> None:
            """It has ended."""

    move.here.execute("UPDATE syncline_gate.move SET phase = 'copying'; INSERT INTO carriers VALUES (9, 9, 9)")
    for error, said in ((SwitchError("it broke"), "it broke"), (None, "the worker that carries changes has ended")):
        monkeypatch.setattr("syncline.wiring.worker.make_worker", lambda *_, error=error: Ended(error))
        assert said in move.refused("copy")


def test_nothing_is_read_anew_as_long_as_nothing_is_altered(move: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked twice a second, and whole definitions are many rows of catalogs."""
    watcher = move.watcher()
    for _ in range(2):  # the first one may note something
        assert move.turn(watcher=watcher) == []
    with monkeypatch.context() as patch:
        patch.setattr(Watched, "all", lambda _: pytest.fail("it was read anew"))
        patch.setattr(altering, "read_definitions", lambda *_, **__: pytest.fail("it was read anew"))
        assert move.turn(watcher=watcher) == []
        move.here.execute("CREATE TABLE other (id int); INSERT INTO log VALUES (1, 1)")
        assert move.turn(watcher=watcher) == []
    move.here.execute("ALTER TABLE log ADD COLUMN more int")
    assert len(move.turn(watcher=watcher)) == 1
    move.here.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    assert len(move.turn(watcher=watcher)) == 1
    move.here.execute("DELETE FROM syncline_gate.held; UPDATE syncline_move_data.copy SET copied_at = now()")  # it died
    move.turn(watcher=watcher)
    assert move.value("SELECT count(*) FROM syncline_gate.held") == 1
    move.here.execute("ALTER TABLE carriers RENAME COLUMN y TO x; ALTER TABLE log RENAME TO logged")
    assert len(move.turn(watcher=watcher)) == 2


def test_what_a_coordinator_does_to_a_side_that_it_has_closed_is_not_followed(move: Looked) -> None:
    """It turns triggers and keys off there: on the other side, which serves by then, they would go."""
    watcher = move.watcher()
    assert move.turn(watcher=watcher) == []
    gates = read_gates(watcher.one.ends, move.here, move.there)
    move.here.execute("UPDATE syncline_gate.gate SET mode = 'l', number = 9; ALTER TABLE log ADD COLUMN more int")
    assert list(watcher.turn(move.here, move.there, move.here, gates)) == []
    assert move.value("SELECT count(*) FROM pg_attribute WHERE attname = 'more'", there=True) == 0


def test_a_table_that_is_altered_on_the_new_side_is_held_on_the_way_back(move: Looked) -> None:
    move.there.execute("UPDATE syncline_gate.gate SET opened = 5, opened_at = now()")
    assert move.turn("data") == []
    move.there.execute("ALTER TABLE carriers RENAME COLUMN x TO y")
    assert len(move.turn("data")) == 1
    move.here.execute("UPDATE syncline_gate.gate SET mode = 'l'")
    move.there.execute("UPDATE syncline_gate.gate SET mode = 'a'")
    assert "speaks against the way back: the move of public.carriers has stopped" in move("status")
    held = HELD.replace("move_data", "move_data_back")
    assert move.value(held, there=True) == 1
    move.there.execute("ALTER TABLE carriers RENAME COLUMN y TO x")
    assert len(move.turn("data")) == 1
    assert move.value(held, there=True) == 0


def test_what_was_proved_before_an_alteration_or_a_way_back_is_asked_for_again(move: Looked) -> None:
    def unproved() -> str:
        return move.refused("switch")

    move.verified()
    assert "not verified" not in unproved()
    move.here.execute("ALTER TABLE log ADD COLUMN more int")
    move.turn()
    assert "not verified since the copy, a way back or an alteration: log (" in unproved()
    move.verified()
    move.here.execute("UPDATE syncline_gate.gate SET opened = 1, opened_at = now()")
    assert "not verified" not in unproved(), "a switch that was turned back proves nothing wrong"
    move.there.execute("UPDATE syncline_gate.gate SET opened = 2, opened_at = now()")
    move.here.execute("UPDATE syncline_gate.gate SET opened = 3, opened_at = clock_timestamp()")
    assert "not verified since the copy, a way back or an alteration: carriers, log (" in unproved()


def test_what_waits_for_a_tables_own_changes_does_not_wait_for_those_of_one_that_has_stopped(move: Looked) -> None:
    move.here.execute(
        "INSERT INTO log VALUES (1, 1); ALTER TABLE log RENAME COLUMN x TO y; INSERT INTO log VALUES (2, 2)"
    )
    assert len(move.turn()) == 1
    move.here.execute("CREATE INDEX carriers_x ON carriers (x)")
    assert "carriers_x" in "".join(move.turn())
    assert move.value("SELECT to_regclass('carriers_x') IS NOT NULL", there=True)
    move.here.execute("INSERT INTO carriers VALUES (9, 9, 9); ALTER TABLE carriers ADD CHECK (x > 0)")
    move.turn()
    assert not move.value("SELECT EXISTS (SELECT FROM pg_constraint WHERE conname = 'carriers_x_check')", there=True)


def test_an_alteration_before_anything_is_captured_is_followed_when_it_is(move: Looked) -> None:
    watcher = move.watcher()
    move.here.execute("ALTER TABLE carriers ADD COLUMN more int")
    move.here.execute("ALTER SCHEMA syncline_move_data RENAME TO away")
    assert move.turn(watcher=watcher) == []
    move.here.execute("ALTER SCHEMA away RENAME TO syncline_move_data")
    assert len(move.turn(watcher=watcher)) == 1


def test_labels_of_an_enum_are_followed_and_what_was_refused_is_tried_again_twice(
    move: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker may be about to park a record that it could not write."""
    move.here.execute("CREATE TYPE mood AS ENUM ('good'); ALTER TABLE carriers ADD COLUMN mood mood")
    watcher, tried = move.watcher(), []
    move.turn(watcher=watcher)
    monkeypatch.setattr(altering, "try_parked_again", lambda _, link: tried.append(link.name))
    move.here.execute("ALTER TYPE mood ADD VALUE 'better' BEFORE 'good'")
    (told,) = move.turn(watcher=watcher)
    assert told.endswith("ALTER TYPE \"public\".\"mood\" ADD VALUE IF NOT EXISTS 'better' BEFORE 'good'")
    assert [move.turn(watcher=watcher) for _ in range(4)] == [[]] * 4
    assert tried == ["move_data"] * 2


def test_a_label_that_cannot_be_made_over_there_is_told_and_the_tables_go_on(
    move: Looked, monkeypatch: pytest.MonkeyPatch
) -> None:
    move.here.execute("CREATE TYPE mood AS ENUM ('good'); ALTER TABLE carriers ADD COLUMN mood mood")
    move.turn()
    monkeypatch.setattr(altering, "missing", lambda *_: [("public.mood", ["ALTER TYPE nothing ADD VALUE 'bad'"])])
    move.here.execute("ALTER TYPE mood ADD VALUE 'bad'; ALTER TABLE log ADD COLUMN more int")
    told = move.turn()
    assert 'type "nothing" does not exist' in told[0]
    assert "public.log was altered, and is over there" in told[1]
