"""A chaos run: everything is killed, frozen and cut off while an application writes and operators verify and repair."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pymongo import MongoClient

from syncline.capture.postgres.install import InstallOptions, install
from syncline.capture.postgres.install import plan as plan_install
from syncline.config import load
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.chaos import archive, faults, points, schema
from tests.chaos.archive import Vandal
from tests.chaos.commands import CommandError, command
from tests.chaos.faults import Fault
from tests.chaos.journal import Journal
from tests.chaos.operators import Operator
from tests.chaos.proxy import Proxy
from tests.chaos.readers import Reader, regressions
from tests.chaos.workers import Supervisor, WorkerSlot
from tests.chaos.writers import Writer

KILLS = 500
ROUND_KILLS = 40
"""After so many kills everything may settle, and is compared."""
SETTLE_SECONDS = 150.0
"""Without any progress; as long as less and less waits, a slow machine has its time."""
ROWS_PER_SECOND = 2000
"""Rows of the archive that may be on their way add so much to it."""
COMMAND_TRIES = 5
LATE_SECONDS = faults.MAX_BATCH_AGE_SECONDS + 2 * faults.TIMEOUT_SECONDS
"""So long after the end of all trouble nothing that was read before is executed any more."""
AT_ONCE = "UPDATE {}.deferred SET due = clock_timestamp() WHERE due > clock_timestamp()"
POINT_PATIENCE = 2.0
UP_PATIENCE = 15.0


class ChaosError(AssertionError):
    """A guarantee did not hold."""


@dataclass
class Outcome:
    """What a run did."""

    seed: int
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    commits: int = 0
    looks: int = 0
    rounds: int = 0
    settled: list[float] = field(default_factory=list)
    slowest_stop: float = 0.0
    records: int = 0
    turned_away: int = 0
    """Workers that found no source at their start, and ended."""
    commands: Counter[str] = field(default_factory=Counter)
    """What operators ran, with how it ended."""
    damaged: int = 0
    found: int = 0
    """Damage done by hand, and how much of it operators saw while everything was in trouble."""
    judged: int = 0
    """Damage that was still there when all was calm: found exactly, and mended."""

    def __str__(self) -> str:
        named = sum(self.points.values())
        return (
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s, {sum(self.faults.values())} faults"
            f" ({', '.join(f'{n} {kind}' for kind, n in sorted(self.faults.items()))}; {named} of them at"
            f" {len(self.points)} named steps), {self.commits} commits, {self.looks} looks at the target,"
            f" {self.rounds} rounds, settled in {max(self.settled, default=0):.1f} s at most,"
            f" slowest stop {self.slowest_stop:.1f} s, {self.turned_away} starts without a source, {self.records} records at the end"
            + (self._operated() if self.commands else "")
        )

    def _operated(self) -> str:
        ended = ", ".join(f"{n} {what}" for what, n in sorted(self.commands.items()))
        return (
            f"; operators: {ended}; {self.damaged} times damage by hand, {self.found} of it seen under way,"
            f" {self.judged} found exactly at the end of a round and mended"
        )


@dataclass(frozen=True)
class Wanted:
    """What a run is to be: of one seed, the same plan of faults, settings and writers."""

    seed: int
    kills: int = KILLS
    """Processes to kill."""
    minutes: float | None = None
    """Stop after so long, however many were killed."""
    say: bool = True
    """Print a line after each round."""
    round_kills: int = ROUND_KILLS
    """Kills until everything is compared."""
    workers: int | None = None
    """How many; by default two or three, by the seed."""
    hurry: float = 1.0
    """Above 1, the faults follow each other faster, and those that take long are left out."""
    aloud: bool = False
    """Print every fault."""
    operators: int = 0
    """How many backfill, verify and repair all the time; with any, somebody damages the target by hand."""
    rows: int = 1000
    """Of the large table."""


def played(kind: type[Chaos], wanted: Wanted) -> Outcome:
    """Run until so many processes were killed, or the time is over.

    Raises:
        ChaosError: a record is lost, different, parked or went back, or a verification told something wrong; with the
            seed, the timeline and the record's history.

    """
    folder = Path(tempfile.mkdtemp(prefix="syncline-chaos-", dir="/tmp"))
    with contextlib.ExitStack() as stack:
        chaos = kind(wanted, folder, *map(stack.enter_context, kind.servers(wanted)))
        stack.enter_context(chaos.everything())
        outcome = chaos.run()
    shutil.rmtree(folder, ignore_errors=True)
    return outcome


class Chaos:
    """One run."""

    _with_vandals = True
    """Somebody damages the target by hand, where operators can find it."""
    _entities = schema.ENTITIES
    _tables = schema.TABLES

    def __init__(self, wanted: Wanted, folder: Path, postgres: PrivatePostgres, mongo: Any) -> None:
        self.outcome = Outcome(wanted.seed)
        self.journal = Journal()
        self.journal.aloud = wanted.aloud
        self._wanted = wanted
        self._seed = wanted.seed
        self._folder = folder
        self._postgres = postgres
        self._mongo = mongo
        self._dice = random.Random(f"{wanted.seed} settings")
        self._workers = self._dice.choice((2, 2, 3)) if wanted.workers is None else wanted.workers
        self._hurry = wanted.hurry
        self._timers: list[threading.Timer] = []
        self._slots: list[WorkerSlot] = []
        self._writers: list[Writer] = []
        self._operators: list[Operator] = []
        self._vandals: list[Vandal] = []
        self._rows = wanted.rows

    @staticmethod
    def servers(wanted: Wanted) -> Sequence[AbstractContextManager[Any]]:
        """Give the servers that a run needs, not yet running."""
        size = {"shared_buffers": "128MB", "max_wal_size": "1GB"} if wanted.rows > 100_000 else {}
        return engines.running_postgres(settings=size), engines.running_mongo()

    @contextlib.contextmanager
    def everything(self) -> Iterator[None]:
        """Set up the databases, the networks, the workers, the application and the reader."""
        with contextlib.ExitStack() as stack:
            sockets = Path(self._postgres.url.partition("host=")[2].partition("&")[0])
            self.source_net = stack.enter_context(Proxy(sockets / ".s.PGSQL.5432", seed=self._seed))
            self.target_net = stack.enter_context(Proxy(self._target_socket(), seed=self._seed))
            self._nets = stack
            self._config = config = self._configure()
            with psycopg.connect(self._postgres.url, autocommit=True) as connection:
                connection.execute(self._tables)
                connection.execute(archive.TABLE)
                connection.execute(archive.FILL, (self._rows,))
            self._install()
            self._slots = [WorkerSlot(n, config, self.journal) for n in range(self._workers)]
            self._supervisor = Supervisor(self._slots)
            self._supervisor.start()
            stack.callback(self._supervisor.stop)
            self._fill_target()
            self._begin_traffic(stack)
            stack.callback(self._thaw_all)
            yield

    def _target_socket(self) -> Path:
        return self._mongo._socket

    def _install(self) -> None:
        _install(self._config, self._postgres.url)

    def _fill_target(self) -> None:
        with MongoClient[dict[str, Any]](self._mongo.url) as client:
            archive.copy(client[schema.DATABASE], self._rows)
        self._verify(set())

    def _make_reader(self) -> Reader:
        return Reader(self._mongo.url, self.journal)

    def _make_operator(self, number: int) -> Operator:
        return Operator(
            number, self._config, self.journal, seed=self._seed, damaged=self._was_damaged, hurry=self._hurry
        )

    def _begin_traffic(self, stack: contextlib.ExitStack) -> None:
        self._writers = self._make_writers()
        self._reader = self._make_reader()
        self._operators = [self._make_operator(number) for number in range(self._wanted.operators)]
        if self._operators and self._with_vandals:
            self._vandals = [self._make_vandal()]
        for thread in self._threads():
            thread.start()
            stack.callback(thread.stop)

    def _make_writers(self) -> list[Writer]:
        url, options = self._postgres.url, {"of": 3, "seed": self._seed, "rows": self._rows}
        return [Writer(url, self.journal, number=n, **options) for n in range(3)]

    def _make_vandal(self) -> Vandal:
        pause = 0.5 / self._hurry
        return Vandal(self._mongo.url, schema.DATABASE, self.journal, self._rows, seed=self._seed, pause=pause)

    def _threads(self) -> list[Any]:
        return [*self._writers, self._reader, *self._operators, *self._vandals]

    def _was_damaged(self, finding: tuple[str, str]) -> bool:
        entity, key = finding
        return entity == archive.NAME and any(key in vandal.book for vandal in self._vandals)

    def _worker_settings(self) -> str:
        pick = self._dice.choice
        batch = pick(("", "batch_size = 7\n", "batch_size = 500\n"))
        return f"""lease_seconds = {faults.LEASE_SECONDS}
renew_seconds = 0.5
grace_seconds = {faults.GRACE_SECONDS}
max_batch_age_seconds = {faults.MAX_BATCH_AGE_SECONDS}
writers = {pick((1, 2, 4))}
{batch}"""

    def _configure(self) -> Path:
        pick = self._dice.choice
        history = pick(("7d", "off"))
        documents = pick(("true", "false")) if history != "off" else "false"
        config = self._folder / "syncline.toml"
        config.write_text(
            f"""
[source]
url = "postgresql://postgres@127.0.0.1:{self.source_net.port}/postgres?sslmode=disable&gssencmode=disable"
connect_timeout_seconds = 2
[target]
{self._target()}
timeout_seconds = {faults.TIMEOUT_SECONDS}
connect_timeout_seconds = 1
[worker]
{self._worker_settings()}
[history]
keep = "{history}"
documents = {documents}
[log]
format = "json"
{self._entities}
[entities.{archive.NAME}]
"""
        )
        return config

    def _target(self) -> str:
        url = f"mongodb://127.0.0.1:{self.target_net.port}/?directConnection=true"
        return f'url = "{url}"\ndatabase = "{schema.DATABASE}"'

    # -- the run

    def run(self) -> Outcome:
        """Carry out the plan, in rounds."""
        outcome, kills, minutes = self.outcome, self._wanted.kills, self._wanted.minutes
        until = None if minutes is None else time.monotonic() + minutes * 60
        coming = faults.plan(self._seed, workers=len(self._slots), quick=self._hurry > 1)
        try:
            while outcome.kills < kills and (until is None or time.monotonic() < until):
                goal = min(outcome.kills + self._wanted.round_kills, kills)
                while outcome.kills < goal and (until is None or time.monotonic() < until):
                    self._strike(next(coming))
                self._settle()
                self._judge()
                outcome.rounds += 1
                self._report()
                self.journal.retired.clear()
                for thread in (*self._writers, *self._operators, *self._vandals):
                    thread.resume()
        except ChaosError:
            raise
        except BaseException as error:
            raise ChaosError(self._story(f"the run itself failed: {error!r}")) from error
        return outcome

    def _report(self) -> None:
        outcome = self.outcome
        outcome.seconds = self.journal.now()
        outcome.commits = sum(writer.commits for writer in self._writers)
        outcome.looks = self._reader.looks
        outcome.slowest_stop = max(slot.slowest_stop for slot in self._slots)
        outcome.turned_away = sum(slot.turned_away for slot in self._slots)
        outcome.commands = sum((one.done for one in self._operators), Counter[str]())
        outcome.found = len(set[Any]().union(*(one.found for one in self._operators)))
        outcome.damaged = sum(vandal.acts for vandal in self._vandals)
        if self._wanted.say:
            print(outcome, flush=True)  # noqa: T201

    def _strike(self, fault: Fault) -> None:
        time.sleep(fault.after / self._hurry)
        struck = getattr(self, "_" + fault.kind.replace(" ", "_"))(fault)
        if struck:
            self.outcome.faults[fault.kind] += 1
            self.outcome.kills += fault.kills
            if fault.point:
                self.outcome.points[fault.point] += 1

    def _victim(self, wanted: int) -> WorkerSlot | None:
        """Find the worker, or the next one that is at work."""
        until = time.monotonic() + UP_PATIENCE
        while time.monotonic() < until:
            for slot in (*self._slots[wanted:], *self._slots[:wanted]):
                if slot.up:
                    return slot
            time.sleep(0.02)
        return None

    def _signal(self, fault: Fault, number: signal.Signals) -> WorkerSlot | None:
        slot = self._victim(fault.worker)
        if slot is None:
            return None
        if fault.point:
            struck = slot.send_at(
                number, fault.point, fault.times, patience=self._patience(fault), provoke=self._provoke(fault, slot)
            )
        else:
            struck = slot.send(number)
        where = f" at {fault.point}" if fault.point else ""
        self.journal.note(f"{number.name} worker {slot.number}{where}{'' if struck else ': it did not come there'}")
        return slot if struck else None

    @staticmethod
    def _patience(fault: Fault) -> float:
        return POINT_PATIENCE + (faults.LEASE_SECONDS if fault.point in points.TAKEOVER_POINTS else 0)

    def _provoke(self, fault: Fault, slot: WorkerSlot) -> Callable[[], object]:
        """Give what brings a worker to a step that it does not come to by itself."""
        if fault.point in points.TAKEOVER_POINTS:
            other = self._slots[(slot.number + 1) % len(self._slots)]

            def take_away() -> None:
                self.outcome.kills += not other.frozen and other.send(signal.SIGKILL)

            return take_away
        if fault.point in points.LEAVING_POINTS:
            return lambda: slot.send(signal.SIGTERM)
        return lambda: None

    def _kill(self, fault: Fault) -> bool:
        return self._signal(fault, signal.SIGKILL) is not None

    def _freeze(self, fault: Fault) -> bool:
        slot = self._signal(fault, signal.SIGSTOP)
        if slot is None:
            return False
        number = signal.SIGKILL if fault.then_kill else signal.SIGCONT

        def go_on() -> None:
            self.journal.note(f"{number.name} worker {slot.number}, frozen for {fault.seconds:.1f} s")
            slot.send(number)

        self._later(fault.seconds, go_on)
        return True

    def _purge_newest(self) -> None:
        """Delete for good what was written just now: some of it is in the hands of the worker that has just been frozen."""
        self._purge(dict.fromkeys(schema.KEY_TEXTS, "true"))

    def _purge(self, which: Mapping[str, str]) -> None:
        with psycopg.connect(self._postgres.url, autocommit=True, connect_timeout=3) as connection:
            for collection, key in schema.KEY_TEXTS.items():
                newest = f"SELECT {key} FROM {collection} WHERE version > (SELECT last_value - 30 FROM versions)"
                newest += f" AND {which[collection]}"
                keys = [text for (text,) in connection.execute(newest)]
                self.journal.retired |= {(collection, text) for text in keys}
                for text in keys:
                    self.journal.wrote((collection, text), "delete for good", removes=True)
                connection.execute(f"DELETE FROM {collection} WHERE {key} = ANY(%s)", (keys,))
                for text in keys:
                    self.journal.wrote((collection, text), "deleted for good", removes=True)

    def _send_late_and_die(self, fault: Fault) -> bool:
        """Wake up when another worker has the lane, write what was read before, and never get to say so."""
        slot = self._signal(fault, signal.SIGSTOP)
        if slot is None:
            return False
        self._purge_newest()

        def go_on() -> None:
            self.journal.note(f"SIGCONT worker {slot.number}, frozen for {fault.seconds:.1f} s: it sends, and dies")
            slot.arm(signal.SIGKILL, "apply.after", 1, patience=POINT_PATIENCE)
            slot.send(signal.SIGCONT)
            self._later(POINT_PATIENCE, lambda: slot.send(signal.SIGKILL))

        self._later(fault.seconds, go_on)
        return True

    def _freeze_beyond_grace(self, fault: Fault) -> bool:
        """Nothing else happens meanwhile; the others have done the work twice when it wakes up and sends."""
        slot = self._signal(fault, signal.SIGSTOP)
        if slot is None:
            return False
        self._purge_newest()
        time.sleep(fault.seconds)
        self.target_net.weather = fault.weather
        self.journal.note(f"SIGCONT worker {slot.number}, frozen beyond grace; network of the target: {fault.weather}")
        slot.send(signal.SIGCONT)
        time.sleep(2)
        self.target_net.weather = "fine"
        return True

    def _terminate(self, fault: Fault) -> bool:
        slot = self._victim(fault.worker)
        if slot is None:
            return False
        self.journal.note(f"SIGTERM worker {slot.number}")
        took = slot.terminate()
        self.journal.note(f"worker {slot.number} ended after {took:.1f} s")
        return True

    def _kill_postgres(self, fault: Fault) -> bool:
        self.journal.note("kill postgres")
        self._postgres.kill()
        time.sleep(fault.seconds)
        self._postgres.start()
        self.journal.note("postgres is back")
        return True

    def _kill_mongo(self, fault: Fault) -> bool:
        self.journal.note("kill mongo")
        self._cut_power()
        self._mongo.kill()
        time.sleep(fault.seconds)
        self._mongo.start()
        self.journal.note("mongo is back")
        return True

    def _cut_power(self) -> None:
        """Note that the target may forget what it has shown and not made durable."""
        self.journal.power_cuts.append(self.journal.now())

    def _kill_all(self, fault: Fault) -> bool:
        with self._supervisor.held:
            self._kill(Fault("kill", 0, fault.worker))
            self._cut_power()
            self.journal.note("kill postgres and mongo")
            self._postgres.kill()
            self._mongo.kill()
            time.sleep(fault.seconds)
            self._mongo.start()
            self._postgres.start()
        return True

    def _freeze_postgres(self, fault: Fault) -> bool:
        self.journal.note(f"freeze postgres for {fault.seconds:.1f} s")
        self._postgres.freeze()
        time.sleep(fault.seconds)
        self._postgres.thaw()
        return True

    def _freeze_mongo(self, fault: Fault) -> bool:
        self.journal.note(f"freeze mongo for {fault.seconds:.1f} s")
        self._mongo.freeze()
        time.sleep(fault.seconds)
        self._mongo.thaw()
        return True

    def _source_network(self, fault: Fault) -> bool:
        return self._weather(self.source_net, "source", fault)

    def _target_network(self, fault: Fault) -> bool:
        return self._weather(self.target_net, "target", fault)

    def _weather(self, net: Proxy, name: str, fault: Fault) -> bool:
        self.journal.note(f"network of the {name}: {fault.weather} for {fault.seconds:.1f} s")
        net.weather = fault.weather
        if fault.weather == "refuse":
            net.hang_up()
        time.sleep(fault.seconds)
        net.weather = "fine"
        return True

    def _later(self, seconds: float, what: Any) -> None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _thaw_all(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers = []
        for slot in self._slots:
            slot.send(signal.SIGCONT)

    # -- the judgement

    def _settle(self) -> None:
        """End all trouble and wait until nothing is waiting any more."""
        self.journal.note("the trouble ends")
        while self._timers:
            self._timers.pop().join()
        self._thaw_all()
        for thread in (*self._writers, *self._vandals, *self._operators):
            thread.pause()
        self.outcome.settled.append(self._wait_settled())
        self.journal.note(f"settled after {self.outcome.settled[-1]:.1f} s")
        time.sleep(0.5)  # the reader takes a last look

    def _wait_settled(self, *, deferred: bool = True) -> float:
        """Wait until every mark is applied (``deferred``: every delete twice) and every task has ended."""
        began = time.monotonic()
        limit = SETTLE_SECONDS + self._rows / ROWS_PER_SECOND
        calm, least, progress = 0, float("inf"), began
        waiting: Any = None
        while calm < 2:
            if time.monotonic() - progress > limit:
                raise ChaosError(self._story(f"no progress for {limit:g} s: {waiting}"))
            time.sleep(0.25)
            late = self._hurry > 1 and time.monotonic() - began > LATE_SECONDS
            waiting = [self._waiting(*one, deferred=deferred, late=late) for one in self._journals()]
            calm = calm + 1 if set(waiting) == {(0, 0, 0)} else 0
            if (total := sum(map(sum, waiting))) < least:
                least, progress = total, time.monotonic()
        return time.monotonic() - began

    def _journals(self) -> Iterator[tuple[str, str]]:
        """Give each link's source and our schema in it."""
        yield self._postgres.url, "syncline"

    @staticmethod
    def _waiting(url: str, journal: str, *, deferred: bool, late: bool) -> Any:
        with psycopg.connect(url, autocommit=True) as connection:
            if late:
                connection.execute(AT_ONCE.format(journal))  # second deletes have outlasted what they are for
            return connection.execute(
                f"SELECT (SELECT count(*) FROM {journal}.outbox), (SELECT count(*) FROM {journal}.deferred WHERE %s),"
                f" (SELECT count(*) FROM {journal}.task)",
                [deferred],
            ).fetchone()

    def _judge(self) -> None:
        for thread in self._threads():
            if thread.crash is not None:
                raise ChaosError(self._story(f"{thread.name} failed: {thread.crash!r}"))
        with (
            psycopg.connect(self._postgres.url, autocommit=True) as connection,
            MongoClient[dict[str, Any]](self._mongo.url) as client,
        ):
            found = schema.differences(connection, client)
            self.outcome.records = sum(map(len, schema.expected(connection).values()))
            damage = self._damage()
            parked = connection.execute(
                "SELECT e.collection, p.key, p.code, p.error FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity"
            ).fetchall()
            notices = connection.execute(
                "SELECT name, severity, message FROM syncline.notice WHERE NOT (%s AND name IN ('Diverged', 'Repair'))",
                [bool(self._vandals)],
            ).fetchall()
        if found:
            keys = [(one.collection, one.key) for one in found[:5]]
            raise ChaosError(self._story(f"{len(found)} records differ", [*map(str, found[:5])], keys))
        self._judge_damage(damage)
        if parked:
            raise ChaosError(
                self._story(f"{len(parked)} records are parked", [*map(str, parked[:5])], [p[:2] for p in parked[:5]])
            )
        if notices:
            raise ChaosError(self._story("there are notices", [*map(str, notices)]))
        back = list(regressions(self.journal, window=faults.GRACE_SECONDS))
        if back:
            raise ChaosError(
                self._story(
                    f"{len(back)} records went back",
                    [f"{key}: {how}" for key, how in back[:5]],
                    [key for key, _ in back[:5]],
                )
            )
        self._judge_processes()

    def _judge_processes(self) -> None:
        complaints = [complaint for one in (*self._slots, *self._operators) for complaint in one.complaints]
        if complaints:
            raise ChaosError(self._story("workers or operators misbehaved", complaints))

    def _judge_damage(self, damage: set[str]) -> None:
        """Have the product say the same: exactly this damage, and none when it is repaired."""
        surplus = [key for key in damage if not self._was_damaged((archive.NAME, key))]
        if surplus:
            raise ChaosError(self._story(f"{len(surplus)} records of the archive differ", sorted(surplus)[:20]))
        if damage:
            self._verify({(archive.NAME, key) for key in damage})
            self._command("repair")
            self._wait_settled(deferred=False)
        self._verify(set())
        if left := sorted(self._damage()):
            raise ChaosError(self._story(f"{len(left)} records were not mended", left[:20]))
        self.outcome.judged += len(damage)
        for vandal in self._vandals:
            vandal.book.clear()

    def _damage(self) -> set[str]:
        """Find the rows of the archive that differ."""
        with (
            psycopg.connect(self._postgres.url, autocommit=True) as connection,
            MongoClient[dict[str, Any]](self._mongo.url) as client,
        ):
            return set(archive.unlike(connection, client, schema.DATABASE))

    def _verify(self, wanted: set[tuple[str, str]], *words: str) -> None:
        status, said = self._command("verify", *words, ok=(0, 1, 2))
        found = {(one["entity"], str(one["key"])) for entity in said["entities"] for one in entity["findings"]}
        if found != wanted or status != bool(wanted):
            details = [f"only here: {wanted - found}", f"only there: {found - wanted}", json.dumps(said)[:5000]]
            raise ChaosError(self._story(f"`syncline verify` ends with {status}, and says something else", details))

    def _command(self, *words: str, ok: tuple[int, ...] = (0,)) -> tuple[int, Any]:
        """Run a command while all is calm; again where two seconds (the target's time limit here) were not enough."""
        try:
            return command(self._config, *words, ok=ok, tries=COMMAND_TRIES)
        except CommandError as error:
            raise ChaosError(self._story(str(error))) from error

    def _story(self, what: str, details: list[str] | None = None, keys: list[tuple[str, str]] | None = None) -> str:
        lines = [f"{what} (seed {self._seed}; logs in {self._folder})", *(details or ())]
        for key in keys or ():
            lines += [f"--- {key[0]}/{key[1]}", self.journal.history(key)]
        for url, journal in self._journals():
            with contextlib.suppress(psycopg.Error), psycopg.connect(url, autocommit=True, connect_timeout=3) as c:
                for table in ("outbox", "deferred", "parked", "lane", "worker", "notice", "meta", "task"):
                    found = c.execute(f"SELECT t::text FROM {journal}.{table} AS t LIMIT 8")
                    lines += [f"--- {journal}.{table}", *(text for (text,) in found)]
        lines += ["--- timeline", self.journal.timeline()]
        (self._folder / "story.txt").write_text("\n".join(lines))
        return "\n".join(lines)


def _install(config: Path, url: str) -> None:
    import asyncio

    async def work() -> None:
        entities = load(config).entities
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            await install(connection, await plan_install(connection, entities, InstallOptions()))

    asyncio.run(work())
