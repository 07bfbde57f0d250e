"""Who asks for JSON gets errors as JSON too."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from syncline.cli.main import command

COMMANDS = [
    ["status"],
    ["doctor"],
    ["verify"],
    ["explain", "todo", "5"],
    ["parked", "list"],
    ["notices", "list"],
    ["config", "check"],
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_error_is_json_where_json_was_asked_for(words, tmp_path) -> None:
    missing = str(tmp_path / "nowhere.toml")
    done = CliRunner().invoke(command(), [*words, "--json", "--config", missing])
    assert (done.exit_code, done.stdout) == (3, "")
    error = json.loads(done.stderr)["error"]
    assert error["message"] == f"{missing}: there is no such file"
    assert "syncline init" in error["hint"]
    done = CliRunner().invoke(command(), [*words, "--config", missing])
    assert done.stderr.startswith("error: ")
