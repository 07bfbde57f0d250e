"""A run: sides change again and again under writers, and something goes wrong each time."""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.journal import Journal
from tests.chaos.processes import PATIENCE_SECONDS, Keeper, Process
from tests.chaos.run import ChaosError
from tests.chaos.switches import book as books
from tests.chaos.switches.book import Book
from tests.chaos.switches.plan import Fault, plan
from tests.chaos.switches.sabotage import SABOTEURS
from tests.chaos.switches.scene import SIDES, Scene, scene, until
from tests.chaos.switches.straggling import Straggler

ROUND = 10
"""Changes of sides until everything is compared; half as many tries of one that all came to nothing do, too."""
FRUITLESS = 4
"""Rounds in a row without a change: something keeps sides from changing."""
PROCESSES, THREADS = 2, 4
REFUSED = 3
"""The exit status of a switch that was not done."""
LOG_CHARACTERS = 20_000
"""Of the logs of servers and poolers, in the story of a run that failed."""
LONGEST_LEASES = 10
"""Neither side may refuse for longer than a lease and a takeover; a machine that has much else to do has its time."""


@dataclass
class Outcome:
    """What a run did."""

    seed: int
    changes: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    unknown: int = 0
    failed: int = 0
    """In outages: requests that were answered by an error while a server or pooler was away."""
    reads: int = 0
    stragglers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    neither: list[float] = field(default_factory=list)
    """Seconds in which no side accepted writes, without those of outages."""
    waits: list[float] = field(default_factory=list)

    def __str__(self) -> str:
        faults = ", ".join(f"{n} {kind}" for kind, n in sorted(self.faults.items()))
        return (
            f"seed {self.seed}: {self.changes} changes of sides in {self.seconds:.0f} s"
            f" ({', '.join(f'{n} {how}' for how, n in sorted(self.commands.items()))}); {faults}; {self.acknowledged} writes"
            f" acknowledged ({self.acknowledged / max(self.seconds, 1):.0f}/s), {self.unknown} of unknown outcome and {self.failed}"
            f" failed in outages, {self.reads} reads; stragglers: {dict(self.stragglers)}; neither side accepted for"
            f" {_share(self.neither, 0.5):.0f} ms in the median, {_share(self.neither, 0.95):.0f} p95, {_share(self.neither, 1):.0f} at most;"
            f" slowest write {_share(self.waits, 1):.0f} ms"
        )


def run(
    seed: int,
    *,
    switches: int = 400,
    minutes: float | None = None,
    say: bool = True,
    aloud: bool = False,
    lease: float = 3.0,
    pause: str = "2s",
    rate: int = 500,
    sabotage: str | None = None,
) -> Outcome:
    """Run until the sides have changed so often, or the time is over.

    Args:
        seed: of the plan of faults.
        switches: changes of sides: every other one is a way back.
        minutes: stop after so long.
        say: print a line after each round.
        aloud: print every event.
        lease: seconds of a coordinator's lease.
        pause: how long a switch may take; it turns back then.
        rate: writes a second that are asked for, all together.
        sabotage: the rule to take out.

    Raises:
        ChaosError: a write is lost, doubled or stale, a request failed, both sides accepted, or neither for too long.

    """
    with scene(lease=lease, pause=pause) as made:
        switching = Switching(seed, made, rate=rate, say=say)
        switching.journal.aloud = aloud
        with switching.everything(sabotage):
            return switching.run(switches, minutes)


class Switching:
    """One run."""

    def __init__(self, seed: int, made: Scene, *, rate: int, say: bool) -> None:
        self.outcome = Outcome(seed)
        self.journal = Journal()
        self._scene = made
        self._say = say
        self._coming = plan(seed)
        self._dice = random.Random(f"{seed} what is done")
        self._pause = PROCESSES * THREADS / rate
        self._hold = made.folder / "hold"
        self._slots = [(number, place) for number in range(PROCESSES) for place in range(THREADS)]
        every = [10 * number + place for number, place in self._slots]
        self._watched = dict(zip(every, [*every[1:], every[0]], strict=True))
        self._lives = Counter[int]()
        self._book = Book()
        self._outages: list[list[float]] = []
        self._complaints: list[str] = []
        self._fruitless = 0
        self._off = time.time() - time.monotonic()

    @contextlib.contextmanager
    def everything(self, sabotage: str | None) -> Iterator[None]:
        """Start the application and the workers."""
        if sabotage:
            for side in SIDES:
                with self._scene.connected(side) as connection:
                    SABOTEURS[sabotage].in_database(connection)
        self._workers = [self._scene.process(f"worker-{number}") for number in range(2)]
        self._applications = [self._scene.application(number) for number in range(PROCESSES)]
        follow = ["split", "follow", *self._scene.options]
        started: list[tuple[Process, Callable[[], Sequence[str]]]] = [(one, lambda: follow) for one in self._workers]
        for number, one in enumerate(self._applications):
            started.append((one, lambda number=number: self._application(number)))  # type: ignore[misc]
        self._keeper = Keeper(started)
        self._keeper.start()
        try:
            if not until(self._all_write, PATIENCE_SECONDS):
                raise ChaosError(self._story("nobody writes"))
            yield
        finally:
            self._keeper.stop()

    def _application(self, number: int) -> list[str]:
        self._lives[number] += 1
        slots = [f"{10 * number + n}:{self._watched[10 * number + n]}" for n in range(THREADS)]
        log = self._scene.folder / f"requests-{number}"
        options = (self._scene.config, log, self._hold, self._lives[number], self._pause)
        return [*map(str, options), *slots]

    def run(self, switches: int, minutes: float | None) -> Outcome:
        """Carry out the plan."""
        end = None if minutes is None else time.monotonic() + minutes * 60
        try:
            while self.outcome.changes < switches and (end is None or time.monotonic() < end):
                began, goal = self.outcome.changes, min(self.outcome.changes + ROUND, switches)
                tries = 0
                while self._count() < goal and (end is None or time.monotonic() < end):
                    if tries >= ROUND // 2 and self.outcome.changes == began:
                        break
                    tries += 1
                    self._turn(next(self._coming))
                    if self._complaints:
                        raise ChaosError(self._story(self._complaints[0], self._complaints[1:]))
                self._fruitless = self._fruitless + 1 if self.outcome.changes == began else 0
                self._settle()
                self._judge()
                self._hold.unlink()
                if self._say:
                    print(self.outcome, flush=True)  # noqa: T201
        except ChaosError:
            raise
        except BaseException as error:
            raise ChaosError(self._story(f"the run itself failed: {error!r}")) from error
        return self.outcome

    def _count(self) -> int:
        self.outcome.changes = len(books.openings(self._scene.changes()))
        return self.outcome.changes

    # -- one change of sides

    def _turn(self, fault: Fault) -> None:
        serving = self._scene.settled() or self._dice.choice(SIDES)
        goal = next(side for side in SIDES if side != serving)
        where = fault.point if fault.kind.endswith(("worker", "application")) else fault.step
        self.journal.note(f"to {goal}: {fault.kind} {'at ' + where if where else 'anywhere'}")
        self.outcome.faults[fault.kind] += 1
        getattr(self, "_" + fault.kind.replace(" ", "_"))(fault, goal)

    def _nothing(self, _: Fault, goal: str) -> None:
        self._ended(self._command(goal))

    def _kill_coordinator(self, fault: Fault, goal: str) -> None:
        command = self._command(goal, signal.SIGKILL, fault.step)
        self._ended(command)
        if fault.left:
            self._see_that_it_ends(f"after a coordinator that was killed at {fault.step}")

    def _freeze_coordinator(self, fault: Fault, goal: str) -> None:
        command = self._command(goal, signal.SIGSTOP, fault.step)
        if command.fires(signal.SIGSTOP):
            self._see_that_it_ends(f"after a coordinator that was frozen at {fault.step}")
            if fault.turns:
                serving = self._scene.settled() or goal
                other = next(side for side in SIDES if side != serving)
                self._ended(self._command(other, name="beside"))
            command.send(signal.SIGCONT)
        self._ended(command)

    def _kill_worker(self, fault: Fault, goal: str) -> None:
        self._strike(self._workers[fault.which], signal.SIGKILL, fault, goal)

    def _freeze_worker(self, fault: Fault, goal: str) -> None:
        self._strike(self._workers[fault.which], signal.SIGSTOP, fault, goal)

    def _kill_application(self, fault: Fault, goal: str) -> None:
        self._strike(self._applications[fault.which], signal.SIGKILL, fault, goal)

    def _freeze_application(self, fault: Fault, goal: str) -> None:
        self._strike(self._applications[fault.which], signal.SIGSTOP, fault, goal)

    def _strike(self, process: Process, number: signal.Signals, fault: Fault, goal: str) -> None:
        """Do something to a process while a coordinator stands at a step, or have it do that to itself."""
        if fault.point:
            process.arm(number, fault.point, seconds=PATIENCE_SECONDS)
            self._ended(self._command(goal))
            process.fires(number, fault.seconds)
        else:
            command = self._command(goal, signal.SIGSTOP, fault.step)
            command.fires(signal.SIGSTOP)
            process.send(number)
            command.send(signal.SIGCONT)
            self._ended(command)
        if number is signal.SIGSTOP:
            if fault.turns:  # it wakes up when its side serves again
                wanted = _other(goal) if self._scene.settled() == goal else goal
                self._ended(self._command(wanted, name="beside"))
            process.send(signal.SIGCONT)

    def _kill_pooler(self, fault: Fault, goal: str) -> None:
        pooler = self._scene.poolers[SIDES[fault.which]]
        self._outage(fault, goal, pooler.kill, pooler.start)

    def _freeze_pooler(self, fault: Fault, goal: str) -> None:
        pooler = self._scene.poolers[SIDES[fault.which]]
        self._outage(fault, goal, pooler.freeze, pooler.thaw)

    def _kill_server(self, fault: Fault, goal: str) -> None:
        server = self._scene.servers[SIDES[fault.which]]
        self._outage(fault, goal, server.kill, server.start)

    def _freeze_server(self, fault: Fault, goal: str) -> None:
        server = self._scene.servers[SIDES[fault.which]]
        self._outage(fault, goal, server.freeze, server.thaw)

    def _outage(self, fault: Fault, goal: str, begin: Callable[[], object], end: Callable[[], object]) -> None:
        """Have something be away while a coordinator goes on from a step."""
        command = self._command(goal, signal.SIGSTOP, fault.step)
        command.fires(signal.SIGSTOP)
        outage = [time.monotonic(), float("inf")]
        self._outages.append(outage)
        begin()
        command.send(signal.SIGCONT)
        time.sleep(fault.seconds)
        end()
        back = time.monotonic()
        self._ended(command)
        if not until(lambda: self._all_write(back), PATIENCE_SECONDS):
            raise ChaosError(self._story(f"not everybody writes {PATIENCE_SECONDS:g} s after {fault.kind}"))
        outage[1] = time.monotonic()

    def _straggle(self, fault: Fault, goal: str) -> None:
        """Have transactions begin on either side before it changes, and write after it."""
        serving = _other(goal)
        for side, kind in ((goal, "older"), (serving, "snapshot")):
            slot = 90 + SIDES.index(side)
            straggler = Straggler(self._scene, side, kind, slot)
            with straggler:
                before = self._count()
                self._ended(self._command(goal))
                if (
                    self._count() == before
                ):  # the goal served already, or does not now: nothing speaks against the write
                    continue
                if kind == "snapshot" and self._scene.settled() == goal:
                    straggler.write()
                    serving, goal = goal, serving
                elif self._scene.settled() == goal:
                    straggler.write()
                    self._ended(self._command(serving))
            self.outcome.stragglers[f"{kind}: {straggler.came_to}"] += 1
            if straggler.came_to == "accepted":
                self._complaints.append(f"a transaction ({kind}) from before the change was let in on {side}")

    def _command(self, goal: str, number: signal.Signals | None = None, step: str = "", *, name: str = "") -> Process:
        """Begin a switch or its way back; with a signal, it is sent at a step."""
        process = self._scene.process(name or "coordinator")
        if number is not None:
            process.arm(number, step)
        forced = ["--force", "--reason", "chaos"] if goal == "data" else []
        words = ["split", "switch" if goal == "data" else "back", "--pause", self._scene.pause, "--json", *forced]
        process.log.unlink(missing_ok=True)
        process.begin(*words, *self._scene.options)
        return process

    def _ended(self, command: Process) -> None:
        """Wait until it has ended, and note how."""
        until = time.monotonic() + 4 * PATIENCE_SECONDS
        while (status := command.wait(5)) is None and time.monotonic() < until:
            command.send(signal.SIGCONT)  # it has come to its step when nobody waited for that any more
        said = command.last_words()
        self.journal.note(f"{command.name} ended with {status}: {' '.join(said.splitlines()[-3:])[-300:]}")
        how = {0: "done", REFUSED: "not done", -signal.SIGKILL: "killed"}.get(status if status is not None else 99)
        self.outcome.commands[how or "wrong"] += 1
        if how is None or "Traceback" in said:
            self._complaints.append(f"{command.name} ended with {status}: {said}")

    def _see_that_it_ends(self, when: str) -> None:
        """A running worker takes over when the lease is free."""
        if not until(self._scene.settled, LONGEST_LEASES * self._scene.lease + PATIENCE_SECONDS):
            raise ChaosError(self._story(f"nobody has taken over {when}: the gates say {self._scene.modes()}"))

    # -- the application

    def _files(self) -> list[Any]:
        return [path for path in self._scene.folder.glob("requests-*") if path.is_file()]

    def _all_write(self, since: float = 0.0) -> bool:
        self._book.read(self._files())
        return self._book.since(since, self._watched)

    def _settle(self) -> None:
        """Have nobody write any more, and wait until nothing is on its way."""
        self._hold.touch()
        if not until(lambda: not self._under_way(), 2 * PATIENCE_SECONDS):
            raise ChaosError(self._story(f"requests are under way for ever: {sorted(self._under_way())[:5]}"))
        self._see_that_it_ends("at the end of a round")
        if not until(lambda: self._scene.waiting() == 0, 2 * PATIENCE_SECONDS):
            made = self._scene
            differ = {*made.items("primary")} ^ {*made.items("data")} or made.tallies("primary") != made.tallies("data")
            what = (
                f"{made.waiting()} marks wait for ever, {'and the sides differ' if differ else 'the sides are equal'}"
            )
            raise ChaosError(self._story(what, made.marks()))

    def _under_way(self) -> set[books.Write]:
        self._book.read(self._files())
        return self._book.under_way({10 * n + place: self._lives[n] for n, place in self._slots})

    # -- the judgement

    def _judge(self) -> None:
        made, book, outcome = self._scene, self._book, self.outcome
        items, tallies = made.items("primary"), made.tallies("primary")
        changes = made.changes()
        wrong = list(book.against(items, tallies, self._watched))
        if {*items} ^ {*made.items("data")} or tallies != made.tallies("data"):
            other = {*made.items("data")}
            wrong.append(f"the sides differ: {sorted({*items} ^ other, key=lambda one: one.at)[:5]}")
        acted, rows = made.acted("primary"), Counter(item.write[0] for item in items)
        if acted != rows:
            wrong.append(f"the trigger of items has acted {acted}, and there are {dict(rows)}")
        wrong += [*books.both(changes), *books.outside(items, changes)]
        wrong += [
            f"a request failed from {one.began - self.journal.began:.3f} to {one.ended - self.journal.began:.3f}: {one.said}"
            for one in book.failures
            if not self._excused(one.began, one.ended)
        ]
        for begin, end in books.neither(changes):
            if self._excused(begin - self._off, end - self._off):
                continue
            outcome.neither.append(end - begin)
            if end - begin > LONGEST_LEASES * made.lease:
                wrong.append(f"neither side accepted writes for {end - begin:.1f} s from {begin - self._off:.3f}")
        wrong += [
            f"{one.name} ended by itself with {status}: {one.last_words()}"
            for at, one, status in self._keeper.ended
            if not self._excused(at - PATIENCE_SECONDS, at)
        ]
        self._note(book, changes)
        if self._fruitless >= FRUITLESS:
            wrong.append(f"sides have not changed in {FRUITLESS} rounds")
        if wrong:
            raise ChaosError(self._story(f"{len(wrong)} things are wrong", wrong[:20]))

    def _note(self, book: Book, changes: Sequence[books.Changed]) -> None:
        outcome = self.outcome
        outcome.changes = len(books.openings(changes))
        outcome.acknowledged, outcome.unknown = len(book.acknowledged), len(book.unknown)
        outcome.failed = len(book.failures) - len(book.unknown)
        outcome.reads, outcome.waits = len(book.reads), book.waits
        outcome.seconds = self.journal.now()

    def _excused(self, began: float, ended: float) -> bool:
        """Tell whether a server or pooler was away meanwhile."""
        return any(began <= end and ended >= begin for begin, end in self._outages)

    def _story(self, what: str, details: Sequence[str] = ()) -> str:
        lines = [f"{what} (seed {self.outcome.seed})", *details, "--- timeline", self.journal.timeline()]
        for process in (*self._workers, *self._applications):
            lines += [f"--- {process.name}", process.last_words()]
        for side in SIDES:
            for kind, one in (("server", self._scene.servers[side]), ("pooler", self._scene.poolers[side])):
                lines += [f"--- {kind} of {side}", one.log_path.read_text(errors="replace")[-LOG_CHARACTERS:]]
        return "\n".join(lines)


def _other(side: str) -> str:
    return next(one for one in SIDES if one != side)


def _share(values: Sequence[float], share: float) -> float:
    """Give a quantile in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] * 1000 if values else 0.0
