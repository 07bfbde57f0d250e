"""``syncline demo migrate``: an application in use on MongoDB goes to PostgreSQL, and back; nothing is lost."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient
from rich.console import Console

from syncline.demo.migrate_stage import MigrateStage, opened
from syncline.demo.played import go_on, judged, played
from syncline.demo.split_stage import ADMIN, PASSWORD
from syncline.demo.split_traffic import Traffic
from syncline.errors import SynclineError

TITLE = "taskboard in use: from MongoDB to PostgreSQL, and back"
AWAY_SECONDS = 5
TITLES = "SELECT title FROM postgres_tasks WHERE title ~ '^P[0-9]+N'"
FORCED = ("--force", "--reason", "verified just now; a demo does not wait for 10,000 reads")
PAUSE = ("--pause", "10s")
CLOSED = "tasks: PostgreSQL is the link's"
"""Said by the command when MongoDB is closed for the tasks, and no side has been opened."""


class Tasks(Traffic):
    """People who write tasks and read them."""

    def asks_again(self, problem: Any) -> bool:
        """Tell whether MongoDB was closed while it was written: to do it twice is no harm here."""
        return "not known" in str(problem)

    def _go(self, number: int) -> None:
        token = str(self._send("POST", "/v1/auth/login", self._login, "")["token"])
        for count in itertools.count():
            if self._stop.wait(0.1):
                return
            title = f"P{number}N{count}"
            made = self._send("POST", "/v1/tasks", {"title": title, "priority": "HIGH"}, token)
            if "id" not in made:
                continue
            self.counts.acknowledged.append(title)
            self._send("PATCH", f"/v1/tasks/{made['id']}", {"status": "DONE"}, token)
            self._send("GET", f"/v1/tasks/{made['id']}", None, token)
            self._send("GET", "/v1/tasks?status=DONE&sort=-createdAt&limit=5", None, token)


def run_migrate_demo(app: Path, console: Console, record: Path | None = None) -> int:
    """Run it; 0: both sides were proved equal, no request failed, and every acknowledged write is there.

    Args:
        app: the folder of taskboard.
        console: where it says what happens.
        record: write a picture of that there (SVG).

    Raises:
        SynclineError: a command has failed, or a server does not start.
        KeyboardInterrupt: Ctrl-C.

    """

    def play(tell: Callable[..., None]) -> int:
        with opened(app, tell) as stage:
            _prepare(stage)
            port, _ = stage.serve(split=False)
            with Tasks(port, ADMIN, PASSWORD) as traffic:
                _to_ramp(stage, traffic)
                _to_live(stage, traffic)
                _back(stage, traffic)
            return _conclude(stage, traffic)

    return played("migrate", TITLE, play, console, record)


def _prepare(stage: MigrateStage) -> None:
    stage.note("tables in PostgreSQL, indexes in MongoDB, a few people and tasks")
    stage.manage("migrate", "--verbosity", "0")
    stage.manage("seed", "--admin", ADMIN, "--sample")
    stage.note("taskboard serves from MongoDB, and people use it")


def _to_ramp(stage: MigrateStage, traffic: Tasks) -> None:
    worker = stage.worker()
    stage.run("phase", "advance")
    _in_use(stage, traffic)
    _proved(stage, "dual_write: every write reaches PostgreSQL, too")
    stage.run("phase", "advance", *FORCED)
    stage.note("shadow: reads are compared with PostgreSQL's")
    _without_postgresql(stage, traffic)
    worker.kill()
    worker.wait()
    stage.note("kill -9 of the worker; another one begins", "red")
    stage.worker()
    _in_use(stage, traffic)
    _proved(stage, "PostgreSQL is back, and has caught up")
    stage.run("phase", "advance", "--percent", "50", *FORCED)
    _in_use(stage, traffic)
    _proved(stage, "ramp: half of the reads are PostgreSQL's")


def _without_postgresql(stage: MigrateStage, traffic: Tasks) -> None:
    before, traffic.counts.longest = len(traffic.counts.acknowledged), 0.0
    stage.postgres.kill()
    stage.note(f"PostgreSQL is killed, for {AWAY_SECONDS} s", "red")
    time.sleep(AWAY_SECONDS)
    stage.postgres.start()
    written = len(traffic.counts.acknowledged) - before
    stage.note(f"meanwhile {written} tasks were written; the longest request took {_longest(traffic)}")


def _to_live(stage: MigrateStage, traffic: Tasks) -> None:
    traffic.counts.longest = 0.0
    _advance_and_kill(stage)
    stage.until(lambda: stage.phases()["tasks"] == "live", "the worker takes over")
    _in_use(stage, traffic)
    stage.note(f"the worker takes over: PostgreSQL serves tasks; longest request {_longest(traffic)}")
    traffic.counts.longest = 0.0
    stage.run("phase", "advance", *(name for name in stage.phases() if name != "tasks"), *PAUSE, *FORCED)
    _in_use(stage, traffic)
    _proved(stage, f"live: PostgreSQL is the truth; longest request {_longest(traffic)}")


def _advance_and_kill(stage: MigrateStage) -> None:
    """Take the tasks to live; the command is killed when no side accepts a write of them."""
    command = stage.begin("advance", "syncline.cli.main", "phase", "advance", "tasks", *PAUSE, *FORCED, pipe=True)
    said = []
    for line in command.stdout or ():
        said.append(line)
        if CLOSED in line:
            break
    else:
        raise SynclineError("the step to live was not begun", hint="".join(said))
    command.kill()
    command.wait()
    stage.note("to live: kill -9 of the command while no side accepts tasks", "red")


def _back(stage: MigrateStage, traffic: Tasks) -> None:
    traffic.counts.longest = 0.0
    stage.run("phase", "back", *PAUSE)
    _in_use(stage, traffic)
    _proved(stage, f"ramp again, with all writes of live; longest request {_longest(traffic)}")
    for phase in ("shadow", "dual_write"):
        stage.run("phase", "back")
        stage.note(f"back to {phase}: one command")
    _in_use(stage, traffic)


def _longest(traffic: Tasks) -> str:
    return f"{traffic.counts.longest:.1f} s"


def _in_use(stage: MigrateStage, traffic: Tasks) -> None:
    go_on(stage, traffic, "people write", more=10)


def _proved(stage: MigrateStage, what: str) -> None:
    stage.run("verify")
    stage.note(f"{what}; verified equal", "green")


def _conclude(stage: MigrateStage, traffic: Tasks) -> int:
    _proved(stage, "dual_write again, with every later write")
    with psycopg.connect(stage.data) as connection, MongoClient[dict[str, str]](stage.primary) as client:
        rows = {title for (title,) in connection.execute(TITLES)}
        there = rows.intersection(client.get_default_database()["tasks"].distinct("title"))
    return judged(stage, traffic.counts, there, "tasks")
