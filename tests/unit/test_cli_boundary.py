"""Errors end at the command's boundary: a line, a hint, an exit status."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.cli.boundary import invocation
from syncline.cli.common import run
from syncline.cli.main import app, command
from syncline.config import Settings
from syncline.errors import SynclineError

ENV = {"DATABASE_URL": "postgresql://me:s3cr3t@host/db", "MONGODB_URL": "mongodb://host/db"}


@pytest.fixture
def check(monkeypatch, tmp_path):
    """Run a command whose work ends in an error."""
    monkeypatch.chdir(tmp_path)

    def run(error, *options, resume=None):
        def fail(**_):
            if isinstance(error, KeyboardInterrupt):
                invocation.get().resume = resume
            raise error

        monkeypatch.setattr(Settings, "as_dict", lambda _: fail())
        return CliRunner().invoke(app, [*options, "config", "show"], env=ENV)

    return run


def test_ours_is_a_line_and_a_hint(check):
    result = check(SynclineError("it broke", hint="mend it"))
    assert (result.exit_code, result.stderr, result.stdout) == (3, "error: it broke\n  mend it\n", "")


def test_an_unexpected_one_says_how_to_see_more(check):
    result = check(ZeroDivisionError("by nought"))
    assert result.exit_code == 70
    assert "unexpected ZeroDivisionError: by nought" in result.stderr
    assert "--debug" in result.stderr
    assert "Traceback" not in result.stderr


def test_debug_shows_the_traceback(check):
    assert "Traceback" in check(ZeroDivisionError("by nought"), "--debug").stderr


def test_an_interrupt_is_130(check):
    result = check(KeyboardInterrupt())
    assert (result.exit_code, result.stderr) == (130, "")


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_a_password_that_stands_alone_is_masked(check, options):
    result = check(RuntimeError("bad token s3cr3t"), *options)
    assert "s3cr3t" not in result.output
    assert "***" in result.output


def test_wrong_usage_is_2():
    assert CliRunner().invoke(app, ["status", "--nonsense"]).exit_code == 2


def _commands(command, path=()):
    for name, one in getattr(command, "commands", {}).items():
        yield (*path, name)
        yield from _commands(one, (*path, name))


def test_every_command_has_help(monkeypatch):
    from syncline.cli.main import command

    for path in _commands(command()):
        result = CliRunner().invoke(app, [*path, "--help"])
        assert result.exit_code == 0
        assert re.search(r"\w{3,}", result.stdout), path


def test_the_help_says_what_each_command_says_of_itself():
    from syncline.cli.main import SUMMARIES, command

    commands = command().commands
    assert {name: " ".join(one.help.split("\n\n")[0].split()) for name, one in commands.items()} == SUMMARIES


def test_help_is_whole_at_80_columns(monkeypatch):
    from syncline.cli.main import command

    monkeypatch.setenv("COLUMNS", "80")
    for path in [(), *_commands(command())]:
        shown = CliRunner().invoke(app, [*path, "--help"]).stdout
        assert not re.search(r"\w\.\.\.$", shown, re.MULTILINE), path
        assert max(map(len, shown.splitlines())) <= 80, path


HEAVY = {
    "psycopg",
    "pymongo",
    "bson",
    "sqlalchemy",
    "alembic",
    "postgast",
    "structlog",
    "fastapi",
    "uvicorn",
    "syncline.config",
}
WITHOUT_WORK = f"""
import contextlib, io, sys
from syncline.cli.main import app, command

def paths(command, path=()):
    yield path
    for name, one in getattr(command, "commands", {{}}).items():
        yield from paths(one, (*path, name))

seen = 0
for path in [["--version"], *paths(command())]:
    for option in ("--help", "--nonsense"):
        with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            app([*path, option])
        found = sorted({HEAVY} & sys.modules.keys())
        if found:
            sys.exit(f"{{path}} {{option}} imports {{found}}")
        seen += 1
print(seen)
"""


def test_help_and_usage_errors_of_every_command_import_no_driver():
    done = subprocess.run([sys.executable, "-c", WITHOUT_WORK], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) > 50


def test_an_interrupt_says_how_to_go_on(check):
    result = check(KeyboardInterrupt(), resume="`syncline verify --resume` goes on")
    assert (result.exit_code, result.stderr) == (130, "interrupted; `syncline verify --resume` goes on\n")


@pytest.mark.parametrize("interrupted", [True, False])
def test_after_an_interrupt_no_callback_prints_a_traceback(caplog, interrupted):
    def late():
        raise asyncio.InvalidStateError

    async def work():
        if interrupted:
            signal.raise_signal(signal.SIGINT)
        asyncio.get_running_loop().call_soon(late)
        await asyncio.sleep(100 if interrupted else 0.01)

    with pytest.raises(KeyboardInterrupt) if interrupted else nullcontext():
        run(work())
    assert [record.name for record in caplog.records] == ([] if interrupted else ["asyncio"])


def _numbers(command, path=()):
    """Every option of a command that takes a number with a fraction."""
    for parameter in command.params:
        if parameter.param_type_name == "option" and "float" in str(parameter.type_descriptor.annotation):
            yield (*path, parameter.opts[0])
    for name, one in getattr(command, "commands", {}).items():
        yield from _numbers(one, (*path, name))


@pytest.mark.parametrize("option", [*_numbers(command())], ids=" ".join)
@pytest.mark.parametrize("value", ["nan", "inf", "1e300"])
def test_a_number_without_end_is_wrong_usage(option, value):
    done = CliRunner().invoke(app, [*option, value])
    assert done.exit_code == 2
    assert f"Invalid value for '{option[-1]}'" in done.output


@pytest.mark.parametrize("arguments", [("config", "show", "--json"), ("init", "--help"), ("--version",)])
def test_output_that_nobody_reads_is_no_defect(arguments, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "syncline.cli.main", *arguments],
            check=False,
            cwd=tmp_path,
            env=os.environ | ENV,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


def test_characters_that_a_terminal_lacks_are_spelt_out(tmp_path):
    (tmp_path / "syncline.toml").write_text('[target]\ncontrol_collection = "größe"\n', "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "syncline.cli.main", "config", "show", "--json"],
        check=False,
        cwd=tmp_path,
        env=os.environ | ENV | {"PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["target"]["control_collection"] == "größe"


def test_output_that_cannot_be_written_is_said(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "syncline.cli.main", "config", "show", "--json"],
            check=False,
            cwd=tmp_path,
            env=os.environ | ENV,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert (done.returncode, done.stderr) == (
        3,
        '{"error": {"message": "the output cannot be written: No space left on device", "hint": null}}\n',
    )
