"""A move and the trees of migrations: tables of versions go along, and no revision changes one side alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.cases.migrations import Project
from tests.integration.split_case import variables
from tests.moves import Move
from tests.relay import PATIENCE

pytestmark = pytest.mark.engines
QUICK = "[worker]\nlease_seconds = 2\nrenew_seconds = 0.25\n"
FORCED = ("--pause", "60s", "--force", "--reason", "a test")


@pytest.fixture
def move(postgres, second_postgres, tmp_path: Path) -> Iterator[Move]:
    with engines.fresh_database(postgres.url) as home, engines.fresh_database(second_postgres.url) as goal:
        made = Move(home, goal, tmp_path)
        yield made
        made.close()


@pytest.fixture
def single(move: Move, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The application's commands in single mode."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))  # a worker's process finds the models
    home = move.urls["primary"]
    env = {**variables(home, None), "DATA_DATABASE_URL": move.urls["data"]}
    made = Project(move.folder, {"primary": home, "data": home}, env)
    made.configure(more=QUICK)
    made.first()
    made.run("migrate")
    return made


@pytest.fixture
def split(move: Move, single: Project) -> Project:
    """The same in split mode."""
    return Project(move.folder, move.urls, variables(move.urls["primary"], move.urls["data"]))


def states(project: Project, *, status: int = 0) -> list[str]:
    return [one["state"] for one in project.json("status", status=status)["databases"]]


COLUMN = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'carriers' AND column_name = '{}'"


def changed(move: Move, *command: object) -> None:
    """Change sides, as soon as workers have seen new columns, and what they ask to have marked is."""
    until = time.monotonic() + PATIENCE
    while (result := move.run(*command)).exit_code:
        assert "try again" in result.output, result.output
        assert time.monotonic() < until, result.output
        time.sleep(0.1)


def test_a_revision_is_run_where_its_tables_serve_and_followed_on_the_other_side(
    move: Move, single: Project, split: Project
) -> None:
    move("copy", "--rate", "0")
    single.add("primary", "p2", "op.execute('CREATE TABLE more_users (id int PRIMARY KEY)')", before="p1")
    single.run("migrate")  # it has nothing to do for the side that moves
    single.add("data", "d2", "pass", before="d1")
    split.run("stamp", "data", "d2")
    assert states(split) == states(single) == ["up to date", "up to date"]
    move.split = True
    with move.follower():
        move.followed()
        for number, project, forth in ((3, split, "switch"), (4, split, "back"), (5, single, "")):
            code = f"op.execute(\"ALTER TABLE carriers ADD COLUMN code{number} text NOT NULL DEFAULT 'x'\")"
            single.add("data", f"d{number}", code, before=f"d{number - 1}")
            assert "1 revision" in project.run("migrate")
            for side, there in ((move.here, False), (move.there, True)):
                move.until(f"SELECT ({COLUMN.format(f'code{number}')}) = 1", there=there)
                assert side.execute("SELECT version_num FROM alembic_version_data").fetchall() == [(f"d{number}",)]
            if forth:
                move.until("SELECT NOT EXISTS (SELECT FROM syncline_gate.watched WHERE pending <> '[]')")
                way = "move_data" if forth == "switch" else "move_data_back"
                move.until(f"SELECT NOT EXISTS (SELECT FROM syncline_{way}.task)", there=forth == "back")
                move.followed()
                changed(move, forth, *(FORCED if forth == "switch" else FORCED[:2]))
                assert states(split) == ["up to date", "up to date"]
    assert states(split) == states(single) == ["up to date", "up to date"]


def test_a_revision_that_cannot_be_followed_changes_no_side(move: Move, single: Project, split: Project) -> None:
    single.configure(data='tables = ["offices", "areas"]', more=QUICK)
    move("copy", "--rate", "0")
    for project, code, said in (
        (single, "ALTER TABLE zones RENAME TO areas", "the table public.zones was renamed to public.areas"),
        (split, "CREATE TABLE offices (id int PRIMARY KEY)", "came after its copy and do not move: public.offices"),
    ):
        single.add("data", "d2", f"op.execute('{code}')", before="d1")
        told = project.run("migrate", status=3)
        assert said in told
        assert "cannot be followed" in told
        assert "nothing of it is kept" in told
    assert single.version("data") == ["d1"]
    assert move.there.execute("SELECT version_num FROM alembic_version_data").fetchall() == [("d1",)]
    move("abort", "--yes")
    single.run("migrate")
    assert single.version("data") == ["d2"]


def test_a_runner_that_was_killed_between_both_notes_is_made_up_for(
    move: Move, single: Project, split: Project
) -> None:
    """The side that does not serve has the versions first; where those of the other one are ahead, they go along."""
    move("copy", "--rate", "0")
    single.add("data", "d2", "op.execute('ALTER TABLE carriers ADD COLUMN code text')", before="d1")
    move.there.execute("UPDATE alembic_version_data SET version_num = 'd2'")
    assert states(split, status=1) == ["up to date", "pending"]
    assert "1 revision" in split.run("migrate")
    assert move.here.execute(COLUMN.format("code")).fetchone() == (1,)
    move.there.execute("UPDATE alembic_version_data SET version_num = 'd1'")  # as a `stamp` that was killed
    split.run("migrate")
    assert move.there.execute("SELECT version_num FROM alembic_version_data").fetchall() == [("d2",)]
    assert move.there.execute(COLUMN.format("code")).fetchone() == (0,)  # nobody follows here


def test_no_revision_is_run_on_one_side_while_the_other_one_is_away(
    move: Move, single: Project, split: Project
) -> None:
    """The side that is away has the book of the move; the gate of this one tells that there is one."""
    move("copy", "--rate", "0")
    single.add("data", "d2", "op.execute('ALTER TABLE carriers ADD COLUMN code text')", before="d1")
    told = split.run("migrate", "data", status=3, PRIMARY_DATABASE_URL="postgresql://nobody@127.0.0.1:1/away")
    assert "PRIMARY_DATABASE_URL" in told
    assert split.version("data") == ["d1"]


def test_a_revision_waits_while_tables_are_copied_or_change_sides(move: Move, single: Project) -> None:
    move("copy", "--rate", "0")
    single.add("data", "d2", "op.execute('ALTER TABLE carriers ADD COLUMN code text')", before="d1")
    move.here.execute("UPDATE syncline_gate.move SET phase = 'copying'")
    assert "data: its tables are being copied (copying)" in single.run("migrate", "--wait", "0", status=3)
    move.here.execute("UPDATE syncline_gate.move SET phase = 'following'; UPDATE syncline_gate.gate SET mode = 'n'")
    assert "data: its tables are changing sides" in single.run("migrate", "--wait", "0", status=3)
    assert "are changing sides" in single.run("migrate", "--dry-run", status=3)
    move.here.execute("UPDATE syncline_gate.gate SET mode = 'a'")
    move.here.execute("SELECT pg_advisory_lock(1398361671, hashtext('data'))")  # as a coordinator that closes
    assert "are changing sides" in single.run("migrate", "--wait", "0", status=3)
    move.here.execute("SELECT pg_advisory_unlock(1398361671, hashtext('data'))")
    single.env.pop("DATA_DATABASE_URL")
    assert "set DATA_DATABASE_URL, as for `syncline split copy data`" in single.run("migrate", status=3)
    assert single.version("data") == ["d1"]


def test_a_tree_that_is_yet_to_be_adopted_is_adopted_at_the_new_place(
    move: Move, single: Project, split: Project
) -> None:
    """What the one tree of before has noted goes along, too."""
    move.here.execute("DROP TABLE alembic_version_data; CREATE TABLE alembic_version (version_num varchar(32))")
    move.here.execute("INSERT INTO alembic_version VALUES ('9b1c')")
    move("copy", "--rate", "0")
    assert move.there.execute("SELECT version_num FROM alembic_version").fetchall() == [("9b1c",)]
