"""What somebody tries who has just found this: each is told what is wrong, and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.integration.capture_case import Case

Run = Callable[..., tuple[int, str]]
FILE = '[entities.item]\ntable = "item"\n'


@pytest.fixture
def run(database: str, mongo_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in an empty folder, with both databases in the environment; status and what it says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SYNCLINE_CONFIG", raising=False)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("MONGODB_URL", mongo_url)
    monkeypatch.setenv("SYNCLINE_TARGET__DATABASE", "newcomer")

    def run(*arguments: str, **environment: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, list(arguments), env=environment)
        assert "Traceback" not in done.output
        assert "unexpected" not in done.output
        return done.exit_code, done.output

    return run


@pytest.mark.parametrize(
    "command",
    [["verify"], ["repair"], ["backfill"], ["backfill", "--status"], ["adopt"], ["explain", "item", "1"], ["worker"]],
    ids=" ".join,
)
def test_before_the_installation_every_command_says_that_it_is_missing(
    run: Run, database: str, command: list[str]
) -> None:
    Path("syncline.toml").write_text(FILE)
    with Case(database, []) as case:
        case.sql("CREATE TABLE item (id bigint PRIMARY KEY)")

    status, said = run(*command)

    assert status == 3
    assert "Syncline is not installed in this database." in said
    assert "syncline install" in said


def test_a_schema_without_tables_is_no_configuration(run: Run) -> None:
    status, said = run("init", "--schema", "nope")

    assert (status, "no table is in schema nope" in said, Path("syncline.toml").exists()) == (3, True, False)


def test_an_empty_database_is_said_to_be_one(run: Run) -> None:
    status, said = run("init")

    assert status == 0
    assert said.startswith("no table was found that can be synced")


def test_a_folder_in_the_place_of_the_file_is_not_passed_over(run: Run) -> None:
    Path("syncline.toml").mkdir()

    status, said = run("config", "show")

    assert (status, said.splitlines()[0]) == (3, "error: syncline.toml: this is no file")


@pytest.mark.parametrize("variable", ["DATABASE_URL", "MONGODB_URL"])
def test_an_example_of_a_url_can_be_read(run: Run, variable: str) -> None:
    """It had a password, which was masked as anybody's."""
    Path("syncline.toml").write_text(FILE)

    status, said = run("status", **{variable: "mysql://h/d"})

    assert (status, "://user@host:" in said, "***" in said) == (3, True, False)


@pytest.mark.parametrize(
    ("text", "why"), [(None, "report cannot be read: No such file or directory"), ("{", "report is not the report")]
)
def test_what_is_no_report_is_said_with_the_way_to_one(run: Run, text: str | None, why: str) -> None:
    Path("syncline.toml").write_text(FILE)
    if text is not None:
        Path("report").write_text(text)

    status, said = run("repair", "--from", "report")

    assert status == 3
    assert said.splitlines()[0] == f"error: {why}" + (" of a verification" if text else "")
    assert "syncline verify --report" in said
