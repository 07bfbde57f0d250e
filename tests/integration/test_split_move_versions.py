"""A move and the trees of migrations: tables of versions go along, and no revision changes one side alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.cases.migrations import Project
from tests.integration.split_case import variables
from tests.moves import Move

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
    made = Project(move.folder, {"primary": home, "data": home}, variables(home, None))
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


def test_both_sides_are_up_to_date_after_copy_switch_and_back(move: Move, single: Project, split: Project) -> None:
    move("copy", "--rate", "0")
    assert states(split) == states(single) == ["up to date", "up to date"]
    move.split = True
    with move.follower():
        move.followed()
        move("switch", *FORCED)
        assert states(split) == ["up to date", "up to date"]
        move("back", "--pause", "60s")
    assert states(split) == states(single) == ["up to date", "up to date"]
    assert single.run("migrate").count("up to date") == 2


def test_revisions_of_tables_that_move_wait_until_the_move_has_ended(
    move: Move, single: Project, split: Project
) -> None:
    move("copy", "--rate", "0")
    single.add("primary", "p2", "op.execute('CREATE TABLE more_users (id int PRIMARY KEY)')", before="p1")
    single.run("migrate")  # it has nothing to do for the side that moves
    single.add("data", "d2", "op.execute('ALTER TABLE carriers ADD COLUMN code text')", before="d1")
    for project in (single, split):
        for arguments in (["migrate"], ["migrate", "data", "--dry-run"]):
            assert "data: its tables are on the move (following)" in project.run(*arguments, status=3)
    assert single.version("data") == ["d1"]
    move("abort", "--yes")
    single.run("migrate")
    assert single.version("data") == ["d2"]


def test_a_tree_that_is_yet_to_be_adopted_is_adopted_at_the_new_place(
    move: Move, single: Project, split: Project
) -> None:
    """What the one tree of before has noted goes along, too."""
    move.here.execute("DROP TABLE alembic_version_data; CREATE TABLE alembic_version (version_num varchar(32))")
    move.here.execute("INSERT INTO alembic_version VALUES ('9b1c')")
    move("copy", "--rate", "0")
    assert move.there.execute("SELECT version_num FROM alembic_version").fetchall() == [("9b1c",)]
