"""A run of schema changes: one of some fifty kinds after the other beside writers, kills and freezes. Nothing is lost, or it is said.

A round ends with a question: status says that all is well, then both sides are equal; or it names the cause and the command,
and after that command both sides are equal.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import DamagedError, SynclineError
from syncline.insight.status import Status, read_status
from syncline.model.thresholds import Severity
from tests import engines
from tests.chaos import changes
from tests.chaos.changed_sides import differences
from tests.chaos.changes import Changer
from tests.chaos.ddl_writers import Clerk
from tests.chaos.journal import Journal
from tests.chaos.workers import Supervisor, WorkerSlot

DATABASE = "changes"
PAUSE_SECONDS = 0.2
ROUND_SECONDS = 20.0
PATIENCE = 90.0
"""How long both sides may take to be equal, or to be said unequal, on a busy machine."""
CALM_SECONDS = 2.5
"""A worker looks at the catalog every second; a difference that is not said after several looks is lost."""
ROLE = "plain_owner"
IN_THE_WAY = (
    psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected, psycopg.errors.QueryCanceled, psycopg.OperationalError,
)  # fmt: skip


SESSIONS = (
    "SELECT application_name, state, wait_event, xact_start::text, left(query, 200) FROM pg_stat_activity WHERE datname IS NOT NULL"
    " UNION ALL SELECT 'lanes of ' || coalesce(owner::text, 'nobody'), count(*)::text, max(epoch)::text, max(confirmed)::text, '' FROM syncline.lane GROUP BY owner"
)


class LostError(AssertionError):
    """Something is lost and nobody says so."""


@dataclass
class Outcome:
    """What a run did."""

    seed: int
    seconds: float = 0.0
    rounds: int = 0
    said: int = 0
    """Rounds after which status named a cause and a command."""
    changes: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    writes: int = 0
    kills: int = 0

    def __str__(self) -> str:
        return (
            f"seed {self.seed}: {sum(self.changes.values())} changes of {len(self.changes)} kinds in {self.seconds:.0f} s,"
            f" {sum(self.refused.values())} refused or impossible, {self.writes} writes, {self.kills} kills and freezes,"
            f" {self.rounds} rounds, {self.said} of them said"
        )


def run(
    seed: int,
    *,
    minutes: float | None = None,
    rounds: int | None = None,
    seconds: float = ROUND_SECONDS,
    superuser: bool = True,
    reinstall: bool | None = None,
    trouble: bool = True,
    say: bool = True,
    aloud: bool = False,
) -> Outcome:
    """Run rounds until the time is over.

    Args:
        seed: of changes, writers and faults.
        minutes: how long.
        rounds: how many.
        seconds: how long changes are made before both sides are compared.
        superuser: False: everything belongs to a plain role, which changes, installs and works. A superuser's run has an
            event trigger where the seed is odd.
        reinstall: whether workers put capture back by themselves; by default the seed says.
        trouble: whether workers and servers are killed and frozen.
        say: print a line after each round.
        aloud: print every event.

    Raises:
        LostError: both sides differ and status is well, or the named command does not make them equal and status well; a write or a change
            failed because of capture; a worker ended by itself.

    """
    folder = Path(tempfile.mkdtemp(prefix="syncline-ddl-", dir="/tmp"))
    with engines.running_postgres() as postgres, engines.running_mongo() as mongo:
        game = Game(seed, folder, postgres, mongo, superuser=superuser, reinstall=reinstall, trouble=trouble)
        game.journal.aloud = aloud
        with game.everything():
            until = None if minutes is None else time.monotonic() + minutes * 60
            while (rounds is None or game.outcome.rounds < rounds) and (until is None or time.monotonic() < until):
                game.round(seconds)
                if say:
                    print(game.outcome, flush=True)  # noqa: T201
    shutil.rmtree(folder, ignore_errors=True)
    return game.outcome


class Game:
    """One run."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        postgres: PrivatePostgres,
        mongo: PrivateMongo,
        *,
        superuser: bool,
        reinstall: bool | None,
        trouble: bool,
    ) -> None:
        self.outcome = Outcome(seed)
        self.journal = Journal()
        self._seed = seed
        self._dice = random.Random(f"{seed} changes")
        self._folder = folder
        self._postgres = postgres
        self._mongo = mongo
        self._superuser = superuser
        self._reinstall = self._dice.random() < 0.5 if reinstall is None else reinstall
        self._trouble = trouble
        self.url = postgres.url if superuser else postgres.url.replace("postgres@", f"{ROLE}@", 1)
        self._timers: list[threading.Timer] = []
        self._slots: list[WorkerSlot] = []

    @contextlib.contextmanager
    def everything(self) -> Iterator[None]:
        """Set up tables, workers and writers."""
        self._prepare()
        self._config = self._folder / "syncline.toml"
        self._config.write_text(self._settings())
        self._must_install()
        self._slots = [WorkerSlot(number, self._config, self.journal) for number in range(2)]
        supervisor = Supervisor(self._slots)
        supervisor.start()
        self._clerks = [Clerk(self.url, self.journal, number=n, seed=self._seed) for n in range(2)]
        for clerk in self._clerks:
            clerk.start()
        try:
            yield
        finally:
            for clerk in self._clerks:
                clerk.stop()
            self._thaw()
            supervisor.stop()

    def _prepare(self) -> None:
        with psycopg.connect(self._postgres.url, autocommit=True) as connection:
            if not self._superuser:
                connection.execute(f"CREATE ROLE {ROLE} LOGIN")
                connection.execute(f"GRANT CREATE ON DATABASE postgres TO {ROLE}; ALTER SCHEMA public OWNER TO {ROLE}")
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(changes.TABLES)
            connection.execute("CREATE SCHEMA elsewhere")

    def _settings(self) -> str:
        return f"""
[source]
url = "{self.url}"
reinstall = {str(self._reinstall).lower()}
event_triggers = {str(self._superuser and self._seed % 2 == 1).lower()}
[target]
url = "{self._mongo.url}"
database = "{DATABASE}"
timeout_seconds = 2
connect_timeout_seconds = 1
[worker]
lease_seconds = 2
renew_seconds = 0.5
grace_seconds = 6
max_batch_age_seconds = 1
[history]
keep = "off"
[log]
format = "json"
[entities.item]
[entities.part]
[entities.parent.embed.lines]
table = "child"
on = "parent_id"
"""

    # -- a round

    def round(self, seconds: float) -> None:
        """Change the schema for a while, then judge."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with (
                contextlib.suppress(psycopg.OperationalError),
                psycopg.connect(self.url, autocommit=True, connect_timeout=3) as session,
            ):
                session.execute("SET lock_timeout = '1s'")
                self._change_until(
                    until, Changer(session, self._dice, superuser=self._superuser, reinstall=self._reinstall)
                )
        for clerk in self._clerks:
            clerk.pause()
        self._thaw()
        self.journal.note("changes and writes end")
        self._judge()
        outcome = self.outcome
        outcome.rounds += 1
        outcome.seconds = self.journal.now()
        outcome.writes = sum(clerk.commits for clerk in self._clerks)
        for clerk in self._clerks:
            clerk.resume()

    def _change_until(self, until: float, changer: Changer) -> None:
        while time.monotonic() < until:
            began = time.monotonic()
            kind, statements = changer.draw()
            if statements:
                self._change(changer, kind, statements)
            if self._trouble and self._dice.random() < 0.08:
                self._strike()
            time.sleep(max(0.0, began + PAUSE_SECONDS - time.monotonic()))

    def _change(self, changer: Changer, kind: str, statements: changes.Statements) -> None:
        session = changer.session
        try:
            for statement in statements:
                session.execute(statement)
            self.outcome.changes[kind] += 1
            self.journal.note(f"{kind}: {'; '.join(statements)}")
        except psycopg.Error as error:
            if not session.closed:
                session.execute("ROLLBACK")
            self.outcome.refused[kind] += 1
            self.journal.note(f"{kind} failed: {str(error).splitlines()[0]}: {'; '.join(statements)}")
            of_ours = any("syncline." in statement for statement in statements)  # which another change may have dropped
            if not isinstance(error, IN_THE_WAY) and not of_ours and "syncline" in f"{error} {error.diag.context}":
                raise LostError(
                    self._story(f"a change failed because of capture: {error} {error.diag.context}")
                ) from error
            if session.closed:
                raise

    def _strike(self) -> None:
        self.outcome.kills += 1
        slot = self._dice.choice(self._slots)
        kind = self._dice.choices(("kill", "freeze", "stop", "postgres", "mongo"), (8, 8, 3, 1, 1))[0]
        self.journal.note(f"{kind} (worker {slot.number})")
        if kind == "kill":
            slot.send(signal.SIGKILL)
        elif kind == "freeze":
            slot.send(signal.SIGSTOP)
            self._later(self._dice.uniform(0.3, 1.5), slot)
        elif kind == "stop":
            slot.terminate()
        else:
            server = self._postgres if kind == "postgres" else self._mongo
            server.kill()
            server.start()

    def _later(self, seconds: float, slot: WorkerSlot) -> None:
        timer = threading.Timer(seconds, slot.send, [signal.SIGCONT])
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _thaw(self) -> None:
        while self._timers:
            self._timers.pop().join()
        for slot in self._slots:
            slot.send(signal.SIGCONT)

    # -- the judgement

    def _judge(self) -> None:
        said = self._await_answer()
        if said:
            self.outcome.said += 1
            self.journal.note(f"said: {said}")
            self._obey(said)
        for one in (*self._slots, *self._clerks):
            if one.complaints:
                raise LostError(self._story("; ".join(one.complaints)))
        with psycopg.connect(self.url, autocommit=True) as session:
            for statement in changes.go_home(session):
                session.execute(statement)

    def _await_answer(self, *, obeyed: bool = False) -> list[str]:
        """Wait until both sides are equal (then nothing is returned) or what is amiss is said.

        Where the command was obeyed already, what is said must end by itself.
        """
        until = time.monotonic() + PATIENCE
        calm = time.monotonic()
        before: Any = None
        while True:
            status, damage = self._status()
            critical = _critical(status) if status else damage
            drained = status is not None and not status.tasks and status.measures and not status.measures.queue_size
            now = (sorted(critical), bool(drained), status is None)
            if now != before:
                before, calm = now, time.monotonic()
            if time.monotonic() - calm > CALM_SECONDS:
                if critical and not obeyed:
                    return critical
                if status and drained and not critical and not status.measures.deferred_deletes and not self._unlike():
                    return []
            if not self._trouble:
                self._call_second_deletes_due()
            if time.monotonic() > until:
                unlike = self._unlike()
                raise LostError(
                    self._story(f"status: {status and status.health}, {critical}; {len(unlike)} records differ", unlike)
                )
            time.sleep(0.3)

    def _call_second_deletes_due(self) -> None:
        """Nothing was frozen: there is no late write that they would have to outlast."""
        with contextlib.suppress(psycopg.Error), psycopg.connect(self.url, autocommit=True) as session:
            session.execute("UPDATE syncline.deferred SET due = clock_timestamp() WHERE due > clock_timestamp()")

    def _obey(self, said: list[str]) -> None:
        """Do what was said: bring tables back, and install."""
        if not any(word in message for message in said for word in ("syncline ", "there is no table", '"never"')):
            raise LostError(self._story(f"no command is named: {said}"))
        with psycopg.connect(self.url, autocommit=True) as session:
            for back in (changes.come_back, changes.go_home):
                for statement in back(session):
                    session.execute(statement)
        self._must_install()
        self._await_answer(obeyed=True)

    def _status(self) -> tuple[Status | None, list[str]]:
        """Ask for the status; where our schema is damaged that is what is said."""
        try:
            return asyncio.run(read_status(self.url, None)), []
        except DamagedError as error:
            return None, [str(error)]
        except SynclineError:
            return None, []

    def _unlike(self) -> list[str]:
        try:
            with (
                psycopg.connect(self.url, autocommit=True) as session,
                MongoClient[dict[str, Any]](self._mongo.url) as client,
            ):
                return differences(session, client[DATABASE])
        except psycopg.Error as error:
            return [f"a table cannot be read: {error}"]

    def _must_install(self) -> None:
        command = [sys.executable, "-m", "syncline.cli.main", "install", "--yes", "-c", str(self._config)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        self.journal.note(f"install: {done.returncode}: {done.stdout}")
        if done.returncode:
            raise LostError(
                self._story(f"`syncline install` ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
            )

    def _story(self, what: str, details: list[str] | None = None) -> str:
        lines = [
            f"{what} (seed {self._seed}, reinstall {self._reinstall}; logs in {self._folder})",
            *(details or ())[:6],
        ]
        for slot in self._slots:
            slot.send(signal.SIGUSR2)  # what they wait for stands in their logs
        time.sleep(1)
        with contextlib.suppress(psycopg.Error), psycopg.connect(self._postgres.url, autocommit=True) as session:
            for table in ("notice", "task", "outbox", "deferred", "parked", "worker", "entity"):
                rows = session.execute(f"SELECT t::text FROM syncline.{table} AS t LIMIT 12").fetchall()
                lines += [f"--- syncline.{table}", *(text for (text,) in rows)]
            rows = session.execute(SESSIONS).fetchall()
            lines += ["--- sessions", *map(str, rows)]
        lines += ["--- timeline", self.journal.timeline(120)]
        (self._folder / "story.txt").write_text("\n".join(lines))
        return "\n".join(lines)


def _critical(status: Status) -> list[str]:
    """List what notices say; lag and queue of a busy machine are no answer."""
    return [n["message"] for n in status.notices if not n["resolved"] and n["severity"] == Severity.CRITICAL.value]
