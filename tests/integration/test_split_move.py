"""A move by commands, on two servers: copied beside writers, followed, switched, brought back; killed anywhere."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from unittest import mock

import psycopg
import pytest

from syncline.cli import split_end
from syncline.cli.watched_moves import opened_moves
from syncline.config.settings import Settings
from syncline.errors import MovedError, NamedDatabaseError
from syncline.model.json_names import camelled
from syncline.split.databases import Databases
from syncline.split.moving import capture, evidence
from syncline.split.moving.probes import against_probes, recorded
from syncline.split.moving.way_back import way_back
from syncline.split.rehearsing import records
from syncline.split.switching.move import Step
from tests import engines
from tests.moves import FILE, ROWS, SQL, Move, Writers, stopped, unprivileged
from tests.relay import PATIENCE

pytestmark = [pytest.mark.engines, pytest.mark.slow]
PAUSE = ("--pause", "20s")
NOWHERE = "postgresql://127.0.0.1:1/x"
FORCED = {"switch": ("--force", "--reason", "a test"), "back": ()}
HAS = "EXISTS (SELECT FROM information_schema.columns WHERE table_name = '{}' AND column_name = '{}')"
FOLLOWED = {
    "ALTER TABLE carriers ADD COLUMN region text NOT NULL DEFAULT 'eu'": HAS.format("carriers", "region"),
    "ALTER TABLE prices ADD COLUMN day date, ADD CHECK (cents > 0)": HAS.format("prices", "day"),
    "CREATE TYPE mood AS ENUM ('good', 'bad'); ALTER TABLE carriers ADD COLUMN mood mood DEFAULT 'good'": HAS.format(
        "carriers", "mood"
    ),
    "ALTER TABLE carriers DROP COLUMN region, ALTER changed TYPE bigint": f"NOT {HAS.format('carriers', 'region')}",
    "CREATE INDEX carriers_more ON carriers (mood, changed)": "to_regclass('carriers_more') IS NOT NULL",
}
TRIGGER = "CREATE TRIGGER {} BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION same()"
TRIGGERS = (
    "(SELECT string_agg(tgname || ' ' || tgenabled::text, ',' ORDER BY tgname) FROM pg_trigger"
    " WHERE tgrelid = 'log'::regclass AND tgname IN ('early', 'late'))"
)
QUEUE_BUT_LOG = (
    "SELECT count(*) = 0 FROM syncline_move_data.outbox AS o JOIN syncline_move_data.entity AS e ON e.id = o.entity"
    " WHERE e.name <> 'log'"
)
STATE = """
SELECT (SELECT count(*) FROM SCHEMA.outbox), (SELECT array_agg(t::text ORDER BY id) FROM carriers AS t),
       (SELECT array_agg(t::text ORDER BY carrier, zone) FROM prices AS t), (SELECT array_agg(t::text ORDER BY id) FROM log AS t)
"""
COPYING = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'syncline copy'"
    " AND query LIKE '%FROM STDIN%' AND state = 'active'"
)


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Move]:
    monkeypatch.setattr(evidence, "LAG", timedelta(minutes=5))  # the switch itself waits for the last mark
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(unprivileged(home), unprivileged(goal), tmp_path)
        made.here.execute(SQL + ROWS)
        yield made
        made.close()


def seen_by_an_application(move: Move) -> tuple[str, bool]:
    """Say which side serves, and whether somebody carries the way back; what its health route tells."""
    with Databases.from_environment(move.folder / "syncline.toml", move.variables, dotenv=None) as databases:
        serving = databases.serving("data")
        found = asyncio.run(way_back(databases, "data"))
        assert databases.moves()["data"].closed_seconds < PATIENCE
    assert found is None or (found.workers > 0 and found.parked == 0)
    return serving, found is not None


def test_tables_are_copied_beside_writers_followed_switched_and_brought_back(move: Move) -> None:
    move.here.execute("CREATE FUNCTION same() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
    move.here.execute(TRIGGER.format("early"))
    with Writers(move) as writers:
        writers.wait()
        assert "4 tables copied" in move("copy", "--rate", "0")
    assert move.json("status")["phase"] == "following"
    move.split = True
    with move.follower():
        move.followed()
        with Writers(move) as writers:
            writers.wait()
            held_back = move.refused("switch")
            assert "not verified since the copy" in held_back
            assert "24 h are asked" in held_back
            move.verified()
            move.guarded()
            assert move.json("switch", *PAUSE)["serving"] == "data"
            writers.wait()
            status = move.json("status")
            assert (status["phase"], status["changes"][0]["to"]) == ("switched", "data")
            assert 0 < status["changes"][0]["pausedMs"] < 20_000
            assert seen_by_an_application(move) == ("data", True)
            move.until("SELECT EXISTS (SELECT FROM syncline_gate.watched WHERE side = 'data' AND since > 0)")
            move.there.execute(TRIGGER.format("late") + "; DROP TRIGGER early ON log")
            move.until(f"SELECT {TRIGGERS} = 'late D'")
            assert move.json("back", *PAUSE)["serving"] == "primary"
            writers.wait()
            assert move.json("status")["phase"] == "back"
            assert seen_by_an_application(move) == ("primary", False)
            acting = [side.execute(f"SELECT {TRIGGERS}").fetchone()[0] for side in (move.here, move.there)]
            assert acting == ["late O", "late D"]
        move.followed()
    assert move.difference() == []
    assert writers.failures == []
    names = {name for (name,) in move.here.execute("SELECT name FROM carriers")}
    assert writers.acknowledged.keys() <= names
    assert move.here.execute("SELECT count(*) - count(DISTINCT carrier) FROM log WHERE carrier > 300").fetchone() == (
        0,
    )


def test_capture_and_gates_are_no_differences_between_both_schemas(move: Move) -> None:
    move("copy", "--rate", "0")
    assert " compared; 0 differences" in move("schema", "--check")


def test_the_way_back_of_each_table_is_tried_before_a_switch_and_leaves_nothing_behind(move: Move) -> None:
    move.here.execute('CREATE TABLE "only%id" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY)')
    move.here.execute('INSERT INTO "only%id" DEFAULT VALUES; ALTER TABLE log ADD COLUMN "100 %" char(3) DEFAULT 1')
    (move.folder / "syncline.toml").write_text(FILE.replace('"log"', '"log", "only%id"'))
    move("copy", "--rate", "0")
    tested = move.json("status")["wayBack"]
    assert [(one["entity"], one["problem"]) for one in tested] == [
        (name, None) for name in ("Odd_Events", "carriers", "log", "only_id", "prices")
    ]
    with mock.patch.dict("os.environ", move.variables), opened_moves(move.folder / "syncline.toml") as moves:
        shown = {one["database"]: camelled(one) for one in asyncio.run(moves.read())}
        assert [way.link.name for way in moves.links()] == ["move_data", "move_data_back"], "they have a page"
    assert shown["data"].keys() == move.json("status").keys(), "the page says what the command says"
    assert shown["data"]["wayBack"] == tested
    before = states(move)
    move.here.execute("ALTER TABLE prices ADD CHECK (cents > 100000) NOT VALID")
    move.here.execute('REVOKE DELETE ON "Odd.Events" FROM mover')
    captures = "SELECT tgname FROM pg_trigger WHERE tgrelid = 'carriers'::regclass AND tgname ~ '^syncline' AND tgname !~ 'gate'"
    for (name,) in move.there.execute(captures).fetchall():
        move.there.execute(f"ALTER TABLE carriers DISABLE TRIGGER {name}".encode())
    said = move.refused("switch")
    assert 'of prices fails: primary: new row for relation "prices" violates check constraint' in said
    assert "of Odd_Events fails: primary: permission denied for table Odd.Events" in said
    assert "of carriers fails: data does not capture its changes" in said
    assert "of log fails" not in said
    assert states(move) == before
    move.here.execute("UPDATE syncline_gate.probe SET at = now() - interval '8 days'")
    assert "wayBack" in move.json("status")
    assert against_probes(recorded(move.here, "data"), ["log"]) == ["the way back was not tested within 7 days: log"]
    report = {"seconds": 7.0, "rows": 5, "switch_paused_ms": 80, "back_paused_ms": 90}
    records.remember(move.here, "data", ["public.log"], report)
    assert move.json("status")["rehearsed"]["rows"] == 5
    assert "7 s, writers were paused 80 ms, and 90 ms on the way back" in " ".join(move("status").split())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_is_ended_goes_on(move: Move, how: signal.Signals) -> None:
    process = move.process("copy", "--rate", "200")
    move.until(COPYING, there=True)
    assert stopped(process, how) == (-9 if how is signal.SIGKILL else 130)
    assert "Traceback" not in move.log.read_text()
    assert move.json("status")["phase"] == "copying"
    assert "still copying" in move.refused("switch")
    move.here.execute("DELETE FROM prices WHERE carrier = 7")
    assert all(table["finished"] for table in move.json("copy", "--rate", "0", "--jobs", "2")["tables"])
    assert move.json("copy")["tables"] == []
    with move.follower():
        move.followed()
    assert move.difference() == []


def test_a_coordinator_that_is_killed_is_ended_by_the_worker_or_by_the_next_command(move: Move) -> None:
    move("copy", "--rate", "0")
    move.split = True
    with move.follower():
        move.followed()
        with Writers(move) as writers:
            writers.wait()
            die_at(move, Step.OPEN, "switch")
            move.until("SELECT goal = phase AND holder IS NULL FROM syncline_gate.journal")
            writers.wait()  # on the side that serves: a worker turns back where it takes longer than 800 ms
            assert move.json("switch", *PAUSE, *FORCED["switch"])["serving"] == "data"
            die_at(move, Step.LINK, "back")
            assert move.json("back", *PAUSE)["serving"] == "primary"
            writers.wait()
        move.followed()
    assert writers.failures == []
    assert move.difference() == []
    assert writers.acknowledged.keys() <= {name for (name,) in move.here.execute("SELECT name FROM carriers")}


def test_a_move_is_given_up_and_begun_anew(move: Move, second_postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "are not moving" in move.refused("abort", "--yes")
    move("copy", "--rate", "0")
    assert "does not serve its tables yet" in move.refused("finish", "--yes", "--force", "--reason", "why not")
    for goal in ("data", "primary"):  # a switch that was wanted would be done by a worker in the middle of the end
        move.here.execute("UPDATE syncline_gate.journal SET goal = %s", [goal])
        if goal == "data":
            assert "a switch is under way" in move.refused("abort", "--yes")
    remove, seen = capture.remove, []

    async def removed(way: Settings) -> None:
        journal = "SELECT phase, (SELECT count(*) FROM syncline_gate.journal) FROM syncline_gate.move"
        numbers = [side.execute("SELECT number FROM syncline_gate.gate").fetchone() for side in (move.here, move.there)]
        seen.append((move.here.execute(journal).fetchone(), numbers))
        await remove(way)

    monkeypatch.setattr(capture, "remove", removed)
    move("abort", "--yes")
    assert seen[0] == (("aborted", 0), [(1,), (1,)]), "no coordinator can change sides while it is ended"
    assert move.json("status")["phase"] == "aborted"
    for home, said in ((move.urls["primary"], "the move of data was given up"), (NOWHERE, "cannot be reached")):
        env = {"SPLIT_DB_MODE": "true", "DATA_DATABASE_URL": move.urls["data"], "PRIMARY_DATABASE_URL": home}
        with Databases.from_environment(move.folder / "syncline.toml", env, dotenv=None) as databases:
            for _ in range(2):  # reads would be of an old copy, and writes be tried for ten seconds
                with pytest.raises((MovedError, NamedDatabaseError), match=said), databases.data.connection():
                    pass
    move.here.execute("INSERT INTO carriers (name) VALUES ('on')")
    with pytest.raises(psycopg.errors.SerializationFailure, match="written on the other side"):
        move.there.execute("INSERT INTO carriers (name) VALUES ('on')")
    assert "given up" in move.refused("copy")
    with engines.fresh_database(second_postgres.url) as third, psycopg.connect(third, autocommit=True) as other:
        other.execute("CREATE TABLE carriers (id int); INSERT INTO carriers VALUES (1)")
        assert "another database" in move.refused("abort", "--yes", "--drop", DATA_DATABASE_URL=third)
        assert other.execute("SELECT count(*) FROM carriers").fetchone() == (1,)
    drop = ("abort", "--yes", "--drop")
    assert "the same database" in move.refused(*drop, DATA_DATABASE_URL=move.urls["primary"])
    gate = "ALTER TABLE carriers {} TRIGGER syncline_gate"
    move.there.execute(gate.format("DISABLE").encode())
    assert "not closed by the gate of this move: public.carriers; nothing was dropped" in move.refused(*drop)
    move.there.execute(gate.format("ENABLE ALWAYS").encode())
    env = {
        "SPLIT_DB_MODE": "true",
        "DATA_DATABASE_URL": move.urls["data"],
        "PRIMARY_DATABASE_URL": move.urls["primary"],
    }
    running = Databases.from_environment(move.folder / "syncline.toml", env, dotenv=None)
    with pytest.raises(MovedError, match="given up"):
        running.serving("data")
    move.there.execute("CREATE VIEW mine AS SELECT id FROM carriers")
    assert "view mine depends on table carriers" in move.refused(*drop)
    move.there.execute("DROP VIEW mine")
    move("abort", "--yes", "--drop")
    assert move.json("status")["phase"] is None
    left = "SELECT nspname FROM pg_namespace WHERE nspname ~ '^syncline' AND nspname <> 'syncline_gate'"
    assert [*move.here.execute(left), *move.there.execute(left)] == []
    assert move.there.execute("SELECT to_regclass('carriers')").fetchone() == (None,)
    with running, Databases.from_environment(move.folder / "syncline.toml", env, dotenv=None) as new:
        running._following.look_again()
        with pytest.raises(MovedError, match="given up"):  # "relation does not exist" says less
            running.serving("data")
        with pytest.raises(
            NamedDatabaseError, match=r"DATA_DATABASE_URL leads to a database without .*carriers"
        ) as said:
            new.check()
        assert "SPLIT_DB_MODE=false" in (said.value.hint or "")
        assert "4 tables copied" in move("copy", "--rate", "0")
        running._following.look_again()
        assert running.serving("data") == "primary"
    assert move.difference() == []


def test_a_move_is_finished_when_it_has_served_for_long_enough(move: Move, monkeypatch: pytest.MonkeyPatch) -> None:
    move("copy", "--rate", "0")
    move.split = True
    with move.follower() as follower:
        move.followed()
        move.verified()
        move.guarded()
        move.here.execute("UPDATE carriers SET changed = 7 WHERE id = 5")
        move.followed()
        move.tampered("UPDATE carriers SET changed = 8 WHERE id = 5")
        assert "what was written last is not the same on data: public.carriers" in move.refused("switch", *PAUSE)
        assert move.json("status")["serving"] == "primary"
        move.tampered("UPDATE carriers SET changed = 7 WHERE id = 5")
        move("switch", *PAUSE)
        assert "they were switched" in move.refused("abort", "--yes")
        assert "14 are asked" in move.refused("finish", "--yes")
        assert "needs a reason" in move.refused("finish", "--yes", "--force")
        with monkeypatch.context() as patch:  # brought back while the person is asked
            patch.setattr(split_end, "confirm", lambda *_, **__: move("back", *PAUSE))
            reason = ("--force", "--reason", "nobody wants it back")
            assert "does not serve its tables yet" in move.refused("finish", "--drop", *reason)
        assert move.json("status")["phase"] == "back"
        move("switch", *PAUSE, *FORCED["switch"])
        move("finish", "--yes", "--force", "--reason", "nobody wants it back")
        assert follower.wait(PATIENCE) == 0, "its work is over"
    found = move.json("status")
    assert (found["phase"], found["forced"][-1]["reason"]) == ("finished", "nobody wants it back")
    assert "the move of data is finished" in move.refused("abort", "--yes", "--drop")
    with Writers(move) as writers:
        writers.wait(5)
    assert writers.failures == []
    with pytest.raises(psycopg.errors.SerializationFailure):
        move.here.execute("DELETE FROM prices")
    move("finish", "--yes", "--drop")
    assert move.here.execute("SELECT to_regclass('carriers')").fetchone() == (None,)
    assert "are not moving" in move("status")


def test_what_cannot_move_is_said_before_anything_is_done(move: Move) -> None:
    for name, url, said in (
        ("DATA_DATABASE_URL", move.urls["primary"], "the same database"),
        ("DATA_DATABASE_URL", "postgresql://127.0.0.1:1/x", "cannot be reached"),
        ("DATABASE_URL", "postgresql://127.0.0.1:1/x", "cannot be reached"),
        ("DATA_DATABASE_URL", None, "DATA_DATABASE_URL is not set"),
        ("DATABASE_URL", f"{move.urls['primary']}&pgbouncer=true", "through a pooler"),
    ):
        assert said in move.refused("copy", **{name: url})
    assert "URLs swapped?" in move.refused(
        "copy", DATABASE_URL=move.urls["data"], DATA_DATABASE_URL=move.urls["primary"]
    )
    for command in ("follow", "switch", "back"):
        assert "are not moving" in move.refused(command)
    assert "no database 'other'" in move.refused("copy", "other")
    move.there.execute("CREATE TABLE carriers (id bigint PRIMARY KEY)")
    assert "public.carriers" in move.refused("copy")
    move.there.execute("DROP TABLE carriers")
    move.here.execute("TRUNCATE log; ALTER TABLE log ADD a int4range, ADD b int4range")
    temporal = ["ADD PRIMARY KEY (a, b WITHOUT OVERLAPS)"] if move.here.info.server_version >= 180_000 else []
    for added in ("ALTER a DROP DEFAULT", "ADD PRIMARY KEY (id) DEFERRABLE", *temporal):
        move.here.execute(f"ALTER TABLE log DROP CONSTRAINT IF EXISTS log_pkey, {added}".encode())
        assert "primary key" in move.refused("copy")
    assert move.json("status")["phase"] is None
    assert move.there.execute("SELECT to_regclass('carriers')").fetchone() == (None,)


def test_schema_changes_under_way_are_followed_or_stop_their_table_by_name(move: Move) -> None:
    move("copy", "--rate", "0")
    move.split = True
    with move.follower():
        move.followed()
        with Writers(move) as writers:
            writers.wait()
            for alter, seen in FOLLOWED.items():
                move.here.execute(alter)
                move.until(f"SELECT {seen}", there=True)
                writers.wait(5)
            assert writers.failures == []  # their own trigger is broken from here on
            move.here.execute("ALTER TABLE log RENAME COLUMN name TO called")
            move.until("SELECT count(*) > 0 FROM syncline_gate.watched WHERE stopped <> '{}'")
            assert "the column name of public.log was renamed to called" in move.refused("switch")
            move.here.execute("INSERT INTO prices VALUES (1, 77, 1)")
            move.until("SELECT EXISTS (SELECT FROM prices WHERE zone = 77)", there=True)
            move.here.execute("ALTER TABLE log RENAME COLUMN called TO name")
            move.until("SELECT count(*) = 0 FROM syncline_gate.watched WHERE stopped <> '{}'")
            move.until("SELECT count(*) = 0 FROM syncline_move_data.copy WHERE copied_at IS NULL")
        move.until(QUEUE_BUT_LOG)
    assert move.difference("carriers", "prices", '"Odd.Events"') == []


def states(move: Move) -> list[object]:
    return [
        side.execute(STATE.replace("SCHEMA", f"syncline_{way}").encode()).fetchall()
        for side, way in ((move.here, "move_data"), (move.there, "move_data_back"))
    ]


def die_at(move: Move, step: Step, command: str) -> None:
    """Run a command in a process that kills itself as its coordinator comes to a step."""
    code = (
        "import os, signal, sys\nfrom syncline.split.switching import coordinator\nfrom syncline.cli.main import main\n"
        "was = coordinator.Coordinator.__init__\n"
        f"def made(self, *a, **o):\n    was(self, *a, **(o | {{'told': lambda s: s == {int(step)} and os.kill(os.getpid(), 9)}}))\n"
        f"coordinator.Coordinator.__init__ = made\nsys.argv[1:] = {['split', command, *PAUSE, *FORCED[command]]!r}\nmain()\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_URL")} | move.variables
    died = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=move.folder, capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr
