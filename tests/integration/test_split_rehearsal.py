"""A rehearsal of a whole move: what it says, and that nothing of it is left anywhere, whoever is killed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncline.config.urls import database_of
from syncline.split.moving.probes import Probe, against_probes
from syncline.split.rehearsing.records import recorded
from syncline.split.rehearsing.scratch import new_database
from tests import engines
from tests.moves import ROWS, SQL, TABLES, Move, stopped, unprivileged
from tests.switch_stage import address

pytestmark = pytest.mark.engines
SCRATCH = "SELECT array_agg(datname::text) FROM pg_database WHERE datname ~ '^syncline_split_rehearsal_'"
SEEN = """
SELECT array(SELECT n.nspname || '.' || c.relname || c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
             WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'syncline_gate') ORDER BY 1),
       array(SELECT tgrelid::regclass || ' ' || tgname || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1),
       array(SELECT schemaname || '.' || sequencename || ' ' || coalesce(last_value, 0) FROM pg_sequences ORDER BY 1)
"""
LEFT = """
SELECT count(*) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' OR n.nspname ~ '^syncline'
"""


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Move]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(home, goal, tmp_path)
        made.here.execute(SQL + ROWS)
        yield made
        made.close()


def seen(move: Move) -> list[Any]:
    """Everything that serves: rows with the transactions that wrote them, tables, triggers, sequences."""
    rows = [
        move.here.execute(f"SELECT array_agg(t.xmin || ' ' || t::text ORDER BY t::text) FROM {table} AS t").fetchone()
        for table in TABLES
    ]
    return [*rows, *(side.execute(SEEN).fetchone() for side in (move.here, move.there))]


def left(move: Move) -> list[Any]:
    """The scratch databases, on both servers, that nobody else's tests have made: rehearsals run one at a time."""
    return [side.execute(SCRATCH).fetchone()[0] for side in (move.here, move.there)]  # type: ignore[index]


def test_a_whole_move_is_played_and_nothing_that_serves_is_touched(move: Move, postgres) -> None:
    with engines.fresh_database(postgres.url) as given, psycopg.connect(given, autocommit=True) as copy:
        copy.execute("CREATE SCHEMA syncline_rehearsal; CREATE TABLE carriers (id int)")  # one that was killed
        _played(move, given)
        assert copy.execute(LEFT).fetchone() == (0,)


def _played(move: Move, given: str) -> None:
    move.here.execute("CREATE VIEW tie AS SELECT users.name FROM users JOIN carriers USING (id)")
    assert "tie" in move.refused("rehearse"), "what a move cannot do is said before anything is read"
    move.here.execute("DROP VIEW tie")
    move.here.execute(
        "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;"
        "CREATE TRIGGER never BEFORE UPDATE ON prices FOR EACH ROW EXECUTE FUNCTION never()"
    )
    before = seen(move)
    said = move.json("rehearse", "--home-url", given, "--rate", "0", "--writes", "10", "--pause", "20s")
    assert seen(move) == before
    assert left(move) == [None, None]
    assert (said["tables"], said["rows"], said["equal"]) == (4, 300 * 2 + 900 + 90, True)
    steps = [each["step"] for each in said["steps"]]
    assert steps[:3] == ["reading a copy of primary", "schema", "capturing changes"]
    assert {"changing sides: data is to serve", "changing sides: primary is to serve"} <= {*steps}
    for side in ("primary", "data"):
        assert said["written"][side]["done"] > 0
        assert "prices: never" in said["written"][side]["why"], "a rule of the application's is no failure of the move"
    noted = recorded(move.here, "data")
    assert noted is not None
    assert noted.counts
    assert {*noted.tables} == {f"public.{table}" for table in TABLES}
    move.here.execute("UPDATE syncline_gate.rehearsal SET at = now() - interval '8 days'")
    old = recorded(move.here, "data")
    assert old is not None
    assert not old.counts


def test_a_rehearsal_stands_for_what_could_not_be_tested_and_for_nothing_that_fails() -> None:
    tables, now = ["log", "prices"], datetime.now(UTC)
    busy = Probe("log", now, 0.0, "primary: a lock was not had", in_the_way=True)
    fails = Probe("log", now, 0.0, "primary: permission denied", in_the_way=False)
    assert against_probes([busy], tables, tables) == []
    assert len(against_probes([busy], tables)) == 2
    assert against_probes([fails], tables, tables) == ["the way back of log fails: primary: permission denied"]


def test_what_a_killed_one_has_left_goes_with_the_next_one(move: Move) -> None:
    process = move.process("rehearse", "--rate", "200")
    move.until("SELECT EXISTS (SELECT FROM pg_database WHERE datname ~ '^syncline_split_rehearsal_')", there=True)
    move.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'syncline copy'", there=True)
    assert stopped(process) == -9
    assert all(left(move))
    move.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname ~ '^syncline_split_rehearsal_'", there=True)
    move.until("SELECT count(*) = 0 FROM pg_stat_activity WHERE datname ~ '^syncline_split_rehearsal_'")
    interrupted = move.process("rehearse", "--rate", "200")
    move.until("SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'syncline copy'", there=True)
    assert stopped(interrupted, signal.SIGINT) == 130
    assert left(move) == [None, None]
    assert "Traceback" not in move.log.read_text()
    assert "which an earlier rehearsal has left" in move.log.read_text()


def test_what_one_has_kept_goes_with_the_next_of_the_same(postgres) -> None:
    told, dropped, server = [], [], address(postgres.url)
    with new_database(server, "a test", keep=True, tell=told.append) as kept:
        name = database_of(kept.conninfo)
    with new_database(server, "another one", keep=False, tell=told.append, dropped=dropped.append):
        assert dropped == []
    dropped.clear()
    with new_database(server, "a test", keep=False, tell=told.append, dropped=dropped.append):
        assert dropped == [name]
    assert f"dropping {name}, which an earlier rehearsal has left" in told[-1]


def test_a_role_that_may_make_no_database_gives_two_empty_ones(move: Move, second_postgres) -> None:
    with engines.fresh_database(second_postgres.url) as goal:
        move.urls = {name: unprivileged(url) for name, url in move.urls.items()}
        owned = (
            "SELECT format('ALTER TABLE %I OWNER TO mover', relname) FROM pg_class"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
        )
        for (statement,) in move.here.execute(owned).fetchall():
            move.here.execute(statement)
        assert "give two empty ones: --home-url, --goal-url" in move.refused("rehearse")
        for url in move.urls.values():
            assert "leads to the database of" in move.refused("rehearse", "--home-url", url)
        assert "through a pooler" in move.refused("rehearse", "--home-url", f"{goal}&pgbouncer=true")
        given = unprivileged(goal)
        assert "lead to the same database" in move.refused("rehearse", "--home-url", given, "--goal-url", given)
        with psycopg.connect(goal, autocommit=True) as other:
            assert other.execute(LEFT).fetchone() == (0,)
            other.execute("CREATE TABLE mine (id int)")
            assert "is not empty" in move.refused("rehearse", "--home-url", given)
            assert other.execute("SELECT to_regclass('mine') IS NOT NULL").fetchone() == (True,)
