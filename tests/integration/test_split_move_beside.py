"""What tables need beside them: sequences that functions or applications draw from, and new labels of enums."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncline.split.switching.sequences import MARGIN
from tests import engines
from tests.moves import Move

pytestmark = [pytest.mark.engines, pytest.mark.slow]
SQL = """
CREATE SCHEMA ids; CREATE SEQUENCE ids."Orders"; CREATE SEQUENCE tickets; CREATE SEQUENCE by_hand; CREATE SEQUENCE others;
CREATE FUNCTION next_order() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN nextval('ids."Orders"'); END $$;
CREATE FUNCTION ticket() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('tickets') $$;
CREATE FUNCTION numbered() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := ticket(); RETURN NEW; END $$;
CREATE TABLE orders (id bigint PRIMARY KEY DEFAULT next_order(), name text);
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN moods AS mood[];
CREATE TABLE log (id bigint PRIMARY KEY, name text, moods moods);
CREATE TRIGGER numbered BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION numbered();
CREATE TABLE users (id int PRIMARY KEY);
INSERT INTO orders (name) SELECT 'order ' || n FROM generate_series(1, 50) AS n;
INSERT INTO log (name) SELECT name FROM orders;
"""
FILE = """
[databases.primary]
rest = true
[databases.data]
tables = ["orders", "log", "by_hand"]
[worker]
lease_seconds = 2
renew_seconds = 0.25
poll_seconds = 60
"""
WRITE = "INSERT INTO orders (name) VALUES ('new'); INSERT INTO log (name) VALUES ('new')"
LAST = "SELECT (SELECT max(id) FROM orders), (SELECT max(id) FROM log), nextval('by_hand')"


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Move]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(home, goal, tmp_path)
        (tmp_path / "syncline.toml").write_text(FILE)
        made.here.execute(SQL)
        yield made
        made.close()


def test_sequences_that_functions_or_applications_draw_from_go_on_beyond_the_other_side(move: Move) -> None:
    notes = {one["id"] for one in move.json("plan")["notices"]}
    assert [one for one in notes if one.startswith("sequence_stays")] == ["sequence_stays:public.others"]
    move("copy", "--rate", "0")
    assert move.there.execute("SELECT to_regclass('others')").fetchone() == (None,)
    move.split = True
    with move.follower():
        move.followed()
        move.here.execute(WRITE)
        last = move.here.execute(LAST).fetchone()
        move("switch", "--force", "--reason", "a test", "--pause", "20s")
        move.there.execute(WRITE)
        later = move.there.execute(LAST).fetchone()
        assert all(one > other + MARGIN for one, other in zip(later, last, strict=True))
        move("back", "--pause", "20s")
        move.here.execute(WRITE)
        latest = move.here.execute(LAST).fetchone()
        assert all(one > other + MARGIN for one, other in zip(latest, later, strict=True))
        move.followed()
    assert move.difference("orders", "log") == []


def test_one_that_a_table_that_stays_draws_from_too_is_an_obstacle(move: Move) -> None:
    move.here.execute("CREATE TABLE invoices (id bigint PRIMARY KEY DEFAULT next_order())")
    found = [one for one in move.json("plan", status=1)["notices"] if one["level"] == "obstacle"]
    assert [one["id"] for one in found] == ['sequence:ids."Orders"']
    assert "public.orders" in found[0]["message"]
    assert "public.invoices" in found[0]["message"]


def test_rows_with_new_labels_of_an_enum_arrive(move: Move) -> None:
    """In an array of a domain, too. What the other side has refused before it had the label is tried again."""
    move("copy", "--rate", "0")
    move.split = True
    with move.follower():
        move.followed()
        for label, place in (("best", "BEFORE 'good'"), ("so-so", "BEFORE 'bad'"), ("worst", "")):
            move.here.execute(f"ALTER TYPE mood ADD VALUE '{label}' {place}".encode())
        move.here.execute("UPDATE log SET moods = '{best,so-so,worst}' WHERE id <= 20")
        move.until("SELECT count(*) = 20 FROM log WHERE moods::text = '{best,so-so,worst}'", there=True)
        move.until("SELECT NOT EXISTS (SELECT FROM syncline_move_data.parked)")
        move.followed()
    labels = "SELECT enum_range(NULL::mood)::text"
    assert (
        move.there.execute(labels).fetchone()
        == move.here.execute(labels).fetchone()
        == ("{best,good,so-so,bad,worst}",)
    )
    assert move.difference("orders", "log") == []
