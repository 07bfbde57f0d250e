"""Ctrl-C on every command while a server does not answer: status 130, no traceback, and how to go on where there is work."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from syncline.cli.main import app, command

FILE = """
[source]
url = "postgresql://me@127.0.0.1:{postgres}/app?connect_timeout=600"
connect_timeout_seconds = 600
[target]
url = "mongodb://127.0.0.1:{mongo}/app"
connect_timeout_seconds = 600
[entities.item]
table = "item"
[databases.primary]
tables = ["item"]
migrations = "migrations/primary"
models = ["shop:Base"]
"""
DOCUMENTS = '[collections.thing]\ncolumns = { name = "text" }\n'
SHOP = "from sqlalchemy.orm import DeclarativeBase\nclass Base(DeclarativeBase):\n    pass\n"
WAITING: dict[tuple[str, ...], tuple[tuple[str, ...], str]] = {
    ("init",): (("--stdout",), ""),
    ("install",): (("--yes",), "`syncline install` goes on from here"),
    ("uninstall",): (("--yes",), "`syncline uninstall` goes on from here"),
    ("adopt",): (("--yes",), "`syncline adopt`"),
    ("backfill",): ((), "the next `syncline backfill`, or a running worker, goes on from here"),
    ("resync",): ((), ""),  # nothing is asked for yet
    ("status",): ((), ""),
    ("verify",): ((), "`syncline verify --resume` goes on where it was"),
    ("repair",): ((), "`syncline repair`"),
    ("explain",): (("item", "5"), ""),
    ("load",): (("--yes",), "`syncline load --clean`"),
    ("parked", "list"): ((), ""),
    ("parked", "retry"): (("item", "5"), ""),
    ("parked", "discard"): (("item", "5", "--yes"), ""),
    ("notices", "list"): ((), ""),
    ("notices", "resolve"): (("--all",), ""),
    ("doctor",): ((), ""),
    ("db", "doctor"): ((), ""),
    ("db", "migrate"): ((), "`syncline db migrate`"),
    ("db", "status"): ((), ""),
    ("db", "new"): (("primary", "-m", "second"), ""),
    ("db", "stamp"): (("primary", "0001"), ""),
    ("split", "check"): ((), ""),
    ("schema", "check"): (("--config", "documents.toml"), ""),
    ("tracing",): ((), ""),
    ("config", "check"): ((), ""),
}
"""By command: what it is called with, and what it says of how to go on."""
NAMELESS = """
import socket, threading
def getaddrinfo(*given, **named):
    open({asked!r}, "w").close()
    threading.Event().wait()
socket.getaddrinfo = getaddrinfo
"""
"""A resolver that never answers, in a process that has this as its ``sitecustomize``."""
OTHERWISE = {
    ("worker",): "Ctrl-C is how it is stopped (test_signals_stop)",
    ("serve",): "Ctrl-C is how it is stopped (test_page_serve)",
    ("split", "plan"): "it needs two databases; it connects as `split check` does",
    ("split", "schema"): "it needs two databases; killed anywhere it goes on (test_split_schema)",
    ("split", "rehearse"): "it needs two databases; interrupted and killed, nothing is left (test_split_rehearsal)",
    ("split", "copy"): "it needs two databases; interrupted and killed, it goes on (test_split_move)",
    ("split", "follow"): "Ctrl-C is how it is stopped (test_split_move)",
    ("split", "switch"): "it needs a move; killed anywhere it is ended (test_split_move)",
    ("split", "back"): "it needs a move; it is the switch with its sides exchanged",
    ("split", "status"): "it needs two databases; it connects as `split check` does",
    ("split", "abort"): "it needs a move; called again it goes on (test_split_move)",
    ("split", "finish"): "it needs a move; called again it goes on (test_split_move)",
    ("copy",): "it needs tables of a PostgreSQL as the target (test_copy_command)",
    ("demo",): "it has servers of its own (acceptance/test_demo)",
    ("config", "show"): "it waits for nobody",
    ("schema", "sql"): "it waits for nobody",
    ("backup", "create"): "it has a place for backups of its own (test_backup)",
    ("backup", "restore"): "it needs a backup; its way out is that of create",
    ("backup", "rehearse"): "it needs a backup; its way out is that of create",
    ("backup", "verify"): "it waits for nobody",
    ("backup", "list"): "it waits for nobody",
    **{
        ("phase", name): "it needs documents as the source; each step is whole or not made (test_phases)"
        for name in ("status", "check", "advance", "back", "history", "restored", "rehearse")
    },
    ("db", "check"): "it waits for nobody",
    ("db", "shell"): "psql takes its place",
}


class Silent:
    """A port where connections are taken and nothing is ever said."""

    def __init__(self, called: threading.Event) -> None:
        self._called = called
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._taken: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        while True:
            try:
                self._taken.append(self._listening.accept()[0])
            except OSError:
                return
            self._called.set()

    def close(self) -> None:
        self._listening.close()
        for one in self._taken:
            one.close()


def leaves(one: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    commands = getattr(one, "commands", {})
    for name, below in commands.items():
        yield from leaves(below, (*path, name))
    if not commands:
        yield path


def test_every_command_is_looked_at() -> None:
    assert set(leaves(command())) == {*WAITING, *OTHERWISE}


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[threading.Event]:
    called = threading.Event()
    postgres, mongo = Silent(called), Silent(called)
    (tmp_path / "shop.py").write_text(SHOP)
    (tmp_path / "documents.toml").write_text(DOCUMENTS)
    (tmp_path / "syncline.toml").write_text(FILE.format(postgres=postgres.port, mongo=mongo.port))
    yield called
    postgres.close()
    mongo.close()


@pytest.mark.parametrize("path", WAITING, ids=" ".join)
def test_an_interrupt_while_a_server_does_not_answer_is_130_without_a_traceback(
    path: tuple[str, ...], silent: threading.Event, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments, advice = WAITING[path]
    environment = {name: value for name, value in os.environ.items() if "URL" not in name and "SYNCLINE" not in name}
    environment["DATABASE_URL"] = (tmp_path / "syncline.toml").read_text().split('"')[1]
    if path[0] == "db":
        monkeypatch.chdir(tmp_path)
        made = CliRunner().invoke(app, ["db", "new", "primary", "-m", "first", "--empty"], env=environment)
        assert made.exit_code == 0, made.output

    ended, errors = interrupted([*path, *arguments], tmp_path, environment, silent.is_set)

    assert (ended, "Traceback" in errors) == (130, False), errors
    assert (advice in errors) if advice else not errors, errors


@pytest.mark.parametrize(
    ("path", "number", "status"),
    [
        *((path, signal.SIGINT, 130) for path in ("status", "doctor", "db doctor")),
        *(("worker", number, 0) for number in (signal.SIGINT, signal.SIGTERM)),
    ],
)
def test_a_name_that_no_resolver_answers_for_keeps_no_command_from_ending(
    path: str, number: signal.Signals, status: int, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(NAMELESS.format(asked=str(tmp_path / "asked")))
    (tmp_path / "shop.py").write_text(SHOP)
    file = FILE.format(postgres=5432, mongo=27017).replace("127.0.0.1", "database.example")
    (tmp_path / "syncline.toml").write_text(file)
    environment = {name: value for name, value in os.environ.items() if "URL" not in name and "SYNCLINE" not in name}
    environment |= {"DATABASE_URL": file.split('"')[1], "PYTHONPATH": str(tmp_path)}

    ended, errors = interrupted(path.split(), tmp_path, environment, (tmp_path / "asked").exists, number)

    assert (ended, "Traceback" in errors) == (status, False), errors


def interrupted(
    arguments: list[str],
    folder: Path,
    environment: dict[str, str],
    waits: Callable[[], bool],
    number: signal.Signals = signal.SIGINT,
) -> tuple[int, str]:
    """Send a command a signal when it waits; its exit status, and what it said of errors."""
    line = [sys.executable, "-m", "syncline.cli.main", *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)
    while not waits() and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    try:
        _, errors = process.communicate(timeout=50)
    except subprocess.TimeoutExpired:
        process.kill()
        _, errors = process.communicate()
    return process.returncode, errors


DEAD = (
    "install --yes", "uninstall --yes", "adopt --yes", "backfill", "resync", "verify", "repair", "explain item 5", "load --yes", "parked list",
    "parked retry item 5", "notices list", "notices resolve --all", "tracing", "worker",
)  # fmt: skip


@pytest.mark.parametrize("line", DEAD)
def test_every_command_says_in_the_same_words_that_there_is_no_source(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    Path("syncline.toml").write_text(FILE.format(postgres=1, mongo=1).replace("600", "1"))

    ended = CliRunner().invoke(app, line.split())

    assert ended.exit_code == 3, ended.output
    said = "".join(ended.stderr.splitlines()[-2:])
    assert "error: PostgreSQL at 127.0.0.1:1 cannot be reached: " in said
    assert "Connection refused" in said
    assert "is the server running, and is this its port?" in said
