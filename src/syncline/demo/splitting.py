"""``syncline demo split``: an application's database becomes two under traffic, and one again; nothing is lost."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier
from rich.console import Console

from syncline.demo.played import go_on, judged, played
from syncline.demo.split_stage import ADMIN, PASSWORD, Stage, opened
from syncline.demo.split_traffic import Traffic
from syncline.errors import SynclineError

TITLE = "backoffice in use: its one database becomes two, and one again"
CLOSED = "data is the link's"
"""Said by the coordinator when the side that served is closed, and no side has been opened."""
MODE = "SELECT mode FROM syncline_gate.gate WHERE name = 'data'"
OWNED = SQL("SELECT EXISTS (SELECT FROM {}.lane WHERE owner IS NOT NULL)")
CODES = "SELECT code FROM carriers WHERE code ~ '^P[0-9]+N'"


def run_split_demo(app: Path, console: Console, record: Path | None = None) -> int:
    """Run it; 0: both sides were proved equal, no request failed, and every acknowledged write is there.

    Args:
        app: the folder of backoffice.
        console: where it says what happens.
        record: write a picture of that there (SVG).

    Raises:
        SynclineError: a command has failed, or a server does not start.
        KeyboardInterrupt: Ctrl-C.

    """

    def play(tell: Callable[..., None]) -> int:
        with opened(app, tell) as stage:
            _prepare(stage)
            port, single = stage.serve(split=False)
            with Traffic(port, ADMIN, PASSWORD) as traffic:
                _becomes_two(stage, traffic, single)
                _becomes_one(stage, traffic)
            return _conclude(stage, traffic)

    return played("split", TITLE, play, console, record)


def _prepare(stage: Stage) -> None:
    stage.note("migrating one database, and filling it")
    stage.run("db", "migrate", split=False)
    stage.module("backoffice.seed", "--admin", ADMIN, "--sample", split=False)
    stage.note("backoffice serves in single mode, and people use it")


def _becomes_two(stage: Stage, traffic: Traffic, single: subprocess.Popen[str]) -> None:
    stage.run("split", "check", split=False)
    stage.note("guard: nothing crosses from one side to the other")
    steps = len(stage.run("split", "plan", split=False).splitlines())
    stage.note(f"plan: {steps} lines of what will be done; copying beside the traffic")
    stage.run("split", "copy", "data", "--rate", "0", split=False)
    stage.note("copied; a process in split mode takes over from the one in single mode")
    traffic.port, _ = stage.serve(split=True)
    follower = stage.begin("follow", "syncline.cli.main", "split", "follow", "data")
    stage.until(lambda: _is_followed(stage), "a worker carries changes", follower)
    time.sleep(0.3)  # requests that were sent to the old process are answered
    single.terminate()
    stage.run("verify", "--link", "move_data")
    stage.note("followed, and verified equal; the switch begins, and its coordinator is killed in the middle")
    _switch_and_kill(stage, traffic)
    stage.run("verify", "--link", "move_data_back")
    stage.note("verified equal again, in the direction that runs now", "green")


def _switch_and_kill(stage: Stage, traffic: Traffic) -> None:
    traffic.counts.longest = 0.0
    forced = ("--force", "--reason", "a demo does not watch its guard for 24 hours")
    command = ("syncline.cli.main", "split", "switch", "data", "--pause", "10s", *forced)
    coordinator = stage.begin("switch", *command, pipe=True)
    said = []
    for line in coordinator.stdout or ():
        said.append(line)
        if CLOSED in line:
            break
    else:
        raise SynclineError("the switch was not begun", hint="".join(said))
    coordinator.kill()
    coordinator.wait()
    late = _mode(stage.data) == "a"
    then = "it had opened DATA already" if late else "neither side accepts writes until the worker takes over"
    stage.note(f"kill -9 of the coordinator: {then}", "red")
    stage.until(lambda: _mode(stage.data) == "a", "the new side serves")
    go_on(stage, traffic, "people write on the new side")
    stage.note(f"DATA serves from a server of its own; the longest request took {traffic.counts.longest:.1f} s")


def _becomes_one(stage: Stage, traffic: Traffic) -> None:
    traffic.counts.longest = 0.0
    stage.run("split", "back", "data", "--pause", "10s")
    go_on(stage, traffic, "people write on the old side")
    took = f"{traffic.counts.longest:.1f} s"
    stage.note(f"back: one database serves, with every later write; the longest request took {took}")


def _conclude(stage: Stage, traffic: Traffic) -> int:
    stage.run("verify", "--link", "move_data")
    with psycopg.connect(stage.primary) as connection:
        there = {code for (code,) in connection.execute(CODES)}
    stage.note("verified equal")
    return judged(stage, traffic.counts, there, "carriers")


def _mode(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(MODE).fetchone()
        return str(row[0]) if row else ""


def _is_followed(stage: Stage) -> bool:
    found = {"syncline_move_data": stage.primary, "syncline_move_data_back": stage.data}
    for schema, url in found.items():
        with psycopg.connect(url) as connection:
            row = connection.execute(OWNED.format(Identifier(schema))).fetchone()
            if not row or not row[0]:
                return False
    return True
