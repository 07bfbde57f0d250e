"""A run: the phase goes to and fro under writers, and everything is killed, frozen and cut off meanwhile."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from pymongo.errors import PyMongoError

from tests.chaos.journal import Journal
from tests.chaos.migrate import cards
from tests.chaos.migrate.ledger import Changed, Ledger
from tests.chaos.migrate.plan import PHASES, Fault, plan
from tests.chaos.migrate.scene import IN_THE_WAY, MISMATCHES, REJECTED, Scene, scene
from tests.chaos.processes import Keeper, Process
from tests.chaos.run import ROUND_KILLS, ChaosError

KILLS = 300
PROCESSES, WORKERS = 2, 2
SETTLE_SECONDS = 120.0
"""Without any progress."""
PATIENCE_SECONDS = 60.0
POINT_SECONDS = 2.0
"""How long a process is given to come to a step."""
HELD_BACK, NOT_DONE = 1, 3
LONGEST_FREEZE_OF_A_SERVER = 1.2
FIRST = PHASES[0]
_REACHED = re.compile(r"→ (\w+)(?: \([\d.]+ %\))?; in effect after")
ANY = -1
"""However many wait for a row that is in their way."""


@dataclass
class Outcome:
    """What a run did."""

    seed: int
    kills: int = 0
    rounds: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    acknowledged: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reads: Counter[str] = field(default_factory=Counter)
    documents: int = 0
    rows: int = 0
    repaired: int = 0
    """Rows of what was deleted in `off`, named by verification and by nothing else, and taken away."""
    settled: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        def listed(counts: Counter[str]) -> str:
            return ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))

        return (
            f"seed {self.seed}: {self.kills} kills in {self.seconds:.0f} s, {self.faults.total()} faults ({listed(self.faults)};"
            f" {self.points.total()} of them at {len(self.points)} named steps); phases: {listed(self.changes)}; commands:"
            f" {listed(self.commands)}; {self.acknowledged} writes acknowledged ({listed(self.outcomes)}); reads:"
            f" {listed(self.reads)}; {self.rounds} rounds, settled in {max(self.settled, default=0):.1f} s at most;"
            f" {self.repaired} documents deleted in `off` repaired; {self.documents} documents and their {self.rows} rows equal"
        )


def run(
    seed: int,
    *,
    kills: int = KILLS,
    minutes: float | None = None,
    round_kills: int = ROUND_KILLS,
    say: bool = True,
    aloud: bool = False,
    lease: float = 1.0,
    pause: float = 0.03,
    hurry: float = 1.0,
    last: str = PHASES[-1],
) -> Outcome:
    """Run until so many were killed, or the time is over.

    Args:
        seed: of the plan of faults.
        kills: processes to kill, servers among them.
        minutes: stop after so long.
        round_kills: kills until everything is compared.
        say: print a line after each round.
        aloud: print every event.
        lease: seconds for which an application goes by a phase without asking again.
        pause: seconds between two writes of a writer.
        hurry: above 1, faults follow each other faster.
        last: the phase in which it turns round.

    Raises:
        ChaosError: an acknowledged write is lost, a key differs, a document was not taken, somebody read what was over,
            or went by a phase that was over.

    """
    with scene(seed, lease=lease) as made:
        phases = PHASES[: PHASES.index(last) + 1]
        migration = Migration(seed, made, phases, pause=pause, hurry=hurry, say=say)
        migration.journal.aloud = aloud
        with migration.everything():
            return migration.run(kills, minutes, round_kills)


class Migration:
    """One run."""

    def __init__(self, seed: int, made: Scene, phases: Sequence[str], *, pause: float, hurry: float, say: bool) -> None:
        self.outcome = Outcome(seed)
        self.journal = Journal()
        self._scene, self._pause, self._hurry, self._say = made, pause, hurry, say
        self._phases, self._coming = phases, plan(seed)
        self._dice = random.Random(f"{seed} phases")
        self._hold = made.folder / "hold"
        self._ledger = Ledger()
        for slot in range(cards.WRITERS):
            for key in cards.shared():
                self._ledger.known[slot, key].certain = 0
        self._lives = Counter[int]()
        self._timers: list[threading.Timer] = []
        self._back = False
        self._changing: tuple[Process, float, str] | None = None
        self._changed: list[Changed] = []
        self._outages: list[tuple[float, float]] = []
        self._was_off = self._rows_of_nobody = True
        """The phase was `off` since the last judgement: what was deleted then may have rows."""
        self._mismatches: set[str] = set()
        self._complaints: list[str] = []

    @contextlib.contextmanager
    def everything(self) -> Iterator[None]:
        """Start the application and the workers."""
        made = self._scene
        self._workers = [made.process(f"worker-{number}") for number in range(WORKERS)]
        program = "tests.chaos.migrate.application"
        self._applications = [made.process(f"application-{number}", program) for number in range(PROCESSES)]
        started: list[tuple[Process, Callable[[], Sequence[str]]]] = [
            (one, lambda: ["worker", *made.options]) for one in self._workers
        ]
        for number, one in enumerate(self._applications):
            started.append((one, lambda number=number: self._application(number)))  # type: ignore[misc]
        self._keeper = Keeper(started)
        self._keeper.start()
        try:
            self._until(lambda: len(self._writing(0.0)) == cards.WRITERS, PATIENCE_SECONDS, "not everybody writes")
            yield
        finally:
            self._calm()
            self._keeper.stop()
            if self._changing is not None:
                self._changing[0].end()

    def _application(self, number: int) -> list[str]:
        self._lives[number] += 1
        made = self._scene
        given = (
            made.config,
            made.folder / f"requests-{number}",
            self._hold,
            self._lives[number],
            made.lease,
            self._pause,
        )
        # FILE of the trap comes first: `Process` puts it there.
        config, log, hold, life, lease, pause = map(str, given)
        return [config, log, hold, life, lease, pause, *(str(slot) for slot in _slots(number))]

    def run(self, kills: int, minutes: float | None, round_kills: int) -> Outcome:
        """Carry out the plan, in rounds."""
        end = None if minutes is None else time.monotonic() + minutes * 60
        outcome = self.outcome
        try:
            while outcome.kills < kills and (end is None or time.monotonic() < end):
                goal = min(outcome.kills + round_kills, kills)
                while outcome.kills < goal and (end is None or time.monotonic() < end):
                    self._strike(next(self._coming))
                self._settle()
                self._judge()
                self._hold.unlink()
                if self._say:
                    print(outcome, flush=True)  # noqa: T201
        except ChaosError:
            raise
        except BaseException as error:
            raise ChaosError(self._story(f"the run itself failed: {error!r}")) from error
        return outcome

    # -- faults

    def _strike(self, fault: Fault) -> None:
        time.sleep(fault.after / self._hurry)
        self._see_change()
        what, _, who = fault.kind.rpartition(" ")
        if who == "change":
            struck = self._change(fault, {"kill": signal.SIGKILL, "freeze": signal.SIGSTOP}.get(what))
        elif who in ("application", "worker"):
            process = (self._applications if who == "application" else self._workers)[fault.which]
            struck = self._kill(process, fault) if what == "kill" else self._freeze(process, fault)
        else:
            struck = True
            self._outage(fault, what.partition(" ")[0], who)
        if struck:
            self.outcome.faults[fault.kind] += 1
            if fault.point:
                self.outcome.points[fault.point] += 1

    def _kill(self, process: Process, fault: Fault) -> bool:
        if not self._reached(process, signal.SIGKILL, fault):
            return False
        self.outcome.kills += 1
        return True

    def _freeze(self, process: Process, fault: Fault) -> bool:
        if process.frozen or not self._reached(process, signal.SIGSTOP, fault):
            return False

        def go_on() -> None:
            number = signal.SIGKILL if fault.then_kill else signal.SIGCONT
            self.journal.note(f"{number.name} {process.name}, frozen for {fault.seconds:.1f} s")
            self.outcome.kills += process.send(number) and fault.then_kill

        self._later(fault.seconds, go_on)
        return True

    def _reached(self, process: Process, number: signal.Signals, fault: Fault) -> bool:
        """Have a process send itself a signal at a step, or send it one wherever it is."""
        if fault.point:
            process.arm(number, fault.point, seconds=POINT_SECONDS)
            struck = process.fires(number, POINT_SECONDS)
        else:
            struck = process.send(number)
        where = f" at {fault.point}" if fault.point else ""
        self.journal.note(f"{number.name} {process.name}{where}{'' if struck else ': it did not come there'}")
        return struck

    def _outage(self, fault: Fault, what: str, who: str) -> None:
        server: Any = self._scene.mongodb if who == "mongodb" else self._scene.postgresql
        net, seconds = self._scene.nets[who], fault.seconds / self._hurry
        self.journal.note(f"{fault.kind}{f': {fault.weather}' if what == 'network' else ''}")
        began = time.monotonic()
        if what == "kill":
            server.kill()
            time.sleep(seconds / 4)
            server.start()
            self.outcome.kills += 1
        elif what == "freeze":
            server.freeze()
            time.sleep(min(seconds, LONGEST_FREEZE_OF_A_SERVER))
            server.thaw()
        else:
            net.weather = fault.weather
            if fault.weather == "refuse":
                net.hang_up()
            time.sleep(seconds)
            net.weather = "fine"
        self._outages.append((began, time.monotonic()))
        self.journal.note(f"{who} is back")

    def _later(self, seconds: float, what: Callable[[], object]) -> None:
        timer = threading.Timer(seconds, what)
        timer.daemon = True
        self._timers.append(timer)
        timer.start()

    def _calm(self) -> None:
        """End all trouble."""
        while self._timers:
            self._timers.pop().join()
        for net in self._scene.nets.values():
            net.weather = "fine"

    # -- changes of the phase

    def _change(self, fault: Fault, number: signal.Signals | None) -> bool:
        """Begin a step on, or back; one at a time."""
        if self._changing is not None:
            return False
        try:
            at = self._scene.phase()
        except PyMongoError:
            return False
        place = self._phases.index(at)
        back = self._turned(place, fault)
        goal = self._phases[place + (-1 if back else 1)]
        process = self._scene.process("change")
        process.log.unlink(missing_ok=True)
        begin = process.start
        if number is not None and fault.point:
            process.arm(number, fault.point)
            begin = process.begin
        words = ["back"] if back else ["advance", "--force", "--reason", "chaos"]
        percent = ["--percent", str(fault.percent)] if goal == "ramp" and not back else []
        self.journal.note(f"{at} to {goal}{f' {percent[1]} %' if percent else ''}")
        began = time.monotonic()
        begin("phase", *words, *percent, *self._scene.options)
        self._changing = process, began, goal
        return number is None or self._strike_change(process, number, fault)

    def _turned(self, place: int, fault: Fault) -> bool:
        """Go on in the same direction, as a rule; seldom to `off`, where deletes leave rows."""
        if place in (0, len(self._phases) - 1):
            self._back = place > 0
        elif place == 1 and self._back:
            self._back = fault.percent == 1
        elif fault.back:
            self._back = not self._back
        return self._back

    def _strike_change(self, process: Process, number: signal.Signals, fault: Fault) -> bool:
        if fault.point:
            struck = process.fires(number, PATIENCE_SECONDS)
        else:
            time.sleep(min(0.3, fault.seconds))
            struck = process.send(number)
        self.journal.note(f"{number.name} change at {fault.point or 'any step'}{'' if struck else ': it has ended'}")
        if number is signal.SIGKILL:
            self.outcome.kills += struck
        elif struck:
            self._later(fault.seconds, lambda: process.send(signal.SIGCONT))
        return struck

    def _see_change(self, *, to_the_end: bool = False) -> None:
        """Note how a change has ended, if it has."""
        if self._changing is None:
            return
        process, began, goal = self._changing
        if to_the_end and process.wait(PATIENCE_SECONDS) is None:
            raise ChaosError(self._story(f"a change does not end: {process.last_words()}"))
        if process.running:
            return
        self._changing, status, said = None, process.status, process.last_words()
        how = {0: "done", HELD_BACK: "not done", NOT_DONE: "not done", -signal.SIGKILL: "killed"}.get(
            status or 0, "wrong"
        )
        self.journal.note(f"change to {goal}: {how}: {' '.join(said.split())[-200:]}")
        self.outcome.commands[how] += 1
        if how == "wrong" or "Traceback" in said:
            self._complaints.append(f"a change to {goal} ended with {status}: {said}")
        if how == "done" and (reached := _REACHED.search(" ".join(said.split()))):
            goal = reached[1]  # a step back from a change of sides that was left half-way ends in the phase before that
        self._changed.append(Changed(began, time.monotonic() if how == "done" else float("inf"), goal))
        self._was_off |= goal == FIRST
        if how == "done":
            self.outcome.changes[f"to {goal}"] += 1

    # -- the judgement

    def _files(self) -> list[Path]:
        return [path for path in self._scene.folder.glob("requests-*") if path.is_file()]

    def _writing(self, since: float) -> set[int]:
        self._ledger.read(self._files())
        return self._ledger.since(since)

    def _until(self, found: Callable[[], object], seconds: float, otherwise: str) -> None:
        until = time.monotonic() + seconds
        while not found():
            if time.monotonic() > until:
                raise ChaosError(self._story(otherwise))
            time.sleep(0.05)

    def _settle(self) -> None:
        """End all trouble, have nobody write any more, and wait until nothing is on its way."""
        self.journal.note("the trouble ends")
        self._calm()
        self._see_change(to_the_end=True)
        calm = time.monotonic()
        self._until(
            lambda: len(self._writing(calm)) == cards.WRITERS, PATIENCE_SECONDS, "not everybody writes when all is calm"
        )
        self._hold.touch()
        self._until(lambda: not self._under_way(), PATIENCE_SECONDS, "writes are under way for ever")
        self._ledger.close()
        self._rows_of_nobody = self._was_off
        if self._was_off:
            self._come_back()
        self.outcome.settled.append(self._carried())

    def _under_way(self) -> list[int]:
        self._ledger.read(self._files())
        return self._ledger.under_way({slot: self._lives[n] for n in range(PROCESSES) for slot in _slots(n)})

    def _carried(self, *, but_for: int = 0) -> float:
        """Wait until nothing is marked, and nothing that was refused waits for its next attempt."""
        began = progress = time.monotonic()
        least = float("inf")
        while True:
            left = self._scene.waiting()
            if left <= but_for or (but_for == ANY and left == len(self._scene.listed(IN_THE_WAY))):
                return time.monotonic() - began
            if left < least:
                least, progress = left, time.monotonic()
            if time.monotonic() - progress > SETTLE_SECONDS:
                marked = [one for one in self._scene.documents().values() if "mark" in one.get("_sync", {})]
                said = [f"{left} documents are never carried", *map(str, marked[:5]), *self._scene.listed(REJECTED)]
                raise ChaosError(self._story(said[0], said[1:], [one["_id"] for one in marked[:3]]))
            time.sleep(0.05)

    def _come_back(self) -> None:
        """Rows of what was deleted in `off` stay: verification names them, all of them and no others, and a repair ends them.

        Such a row may have a unique value that a document has taken since, which waits for that.
        """
        if self._scene.phase() == FIRST:
            self._change(Fault("change", "", 0, 0, 0, then_kill=False, weather="fine", back=False, percent=1), None)
            self._see_change(to_the_end=True)
        self._carried(but_for=ANY)
        left, waits = self._differences(), {*self._scene.listed(IN_THE_WAY)}
        documents = self._scene.documents()
        wrong = {key: how for key, how in left.items() if key in documents and key not in waits}
        if wrong:
            raise ChaosError(self._story(f"{len(wrong)} keys differ", _shown(wrong), [*wrong][:5]))
        self._verified(left.keys() - waits, parked=len(waits))
        if left:
            self._command("repair")
        if waits:
            self._carried(but_for=ANY)
            self._command("parked", "retry", "--all", json_wanted=False)
        self.outcome.repaired += len(left)
        self._was_off = self._scene.phase() == FIRST

    def _command(self, *words: str, ok: Sequence[int] = (0,), json_wanted: bool = True) -> Any:
        process = self._scene.process(words[0])
        process.log.unlink(missing_ok=True)
        process.start(*words, *(["--json"] if json_wanted else []), *self._scene.options)
        if process.wait(2 * PATIENCE_SECONDS) not in ok:
            raise ChaosError(self._story(f"{words} ended with {process.status}", [process.last_words()]))
        text = process.log.read_text()
        return json.loads(text[text.index("{") :]) if json_wanted else text

    def _verified(self, wanted: AbstractSet[str], *, parked: int = 0) -> None:
        """See that verification says the same as a look at both sides."""
        said = self._command("verify", ok=(0, 1))
        found = {str(one["key"]) for entity in said["entities"] for one in entity["findings"]}
        undecided = [entity for entity in said["entities"] if entity["lagging"] or entity["parked"] != parked]
        if found != wanted or undecided:
            raise ChaosError(
                self._story(f"`syncline verify` names {sorted(found)}, {sorted(wanted)} differ", [json.dumps(said)])
            )

    def _differences(self) -> dict[str, list[str]]:
        with self._scene.connected() as connection:
            return cards.differences(self._scene.documents(), connection)

    def _judge(self) -> None:
        made = self._scene
        documents = made.documents()
        keys = [*cards.shared(), *(key for slot in range(cards.WRITERS) for key in cards.own(slot))]
        lost = list(self._ledger.against(documents, keys))
        wrong = [*lost, *self._ledger.outdated(self._changed, FIRST), *self._complaints]
        differ = self._differences()
        wrong += _shown(differ)
        wrong += [f"not taken by PostgreSQL: {one}" for one in made.listed(REJECTED)]
        mismatches = set(made.listed(MISMATCHES))
        if not self._rows_of_nobody:
            wrong += [f"shadow reads called it a mismatch: {one}" for one in sorted(mismatches - self._mismatches)]
        self._mismatches = mismatches
        wrong += [
            f"{one.name} ended by itself with {status}: {one.last_words()}"
            for at, one, status in self._keeper.ended
            if not any(began - 5 <= at <= ended + PATIENCE_SECONDS for began, ended in self._outages)
        ]
        self._note(documents)
        if wrong:
            named = [*differ, *(key for key in keys if any(key in one for one in lost))]
            raise ChaosError(self._story(f"{len(wrong)} things are wrong", wrong[:30], named[:5]))
        self._verified(set())

    def _note(self, documents: Any) -> None:
        outcome, ledger = self.outcome, self._ledger
        outcome.rounds += 1
        outcome.acknowledged, outcome.outcomes, outcome.reads = ledger.acknowledged, ledger.outcomes, ledger.reads
        outcome.documents = len(documents)
        with self._scene.connected() as connection:
            outcome.rows = sum(1 for _ in cards.there(connection))
        outcome.seconds = self.journal.now()

    def _story(self, what: str, details: Sequence[str] = (), keys: Sequence[str] = ()) -> str:
        lines = [f"{what} (seed {self.outcome.seed})", *details]
        for key in keys:
            lines += [f"--- {key}", *self._ledger.histories[key]]
            with contextlib.suppress(psycopg.Error, PyMongoError):
                lines.append(str(self._scene.database[cards.NAME].find_one({"_id": key})))
                kept = f"SELECT k::text FROM syncline_documents.key_version AS k WHERE mongo_id = '{key}'"
                lines += self._scene.listed(kept)
        lines += ["--- timeline", f"began at {self.journal.began:.3f}", self.journal.timeline()]
        for process in (*self._workers, *self._applications):
            lines += [f"--- {process.name}", process.last_words()]
        return "\n".join(lines)


def _slots(process: int) -> range:
    """Give the writers of a process."""
    each = cards.WRITERS // PROCESSES
    return range(process * each, (process + 1) * each)


def _shown(differ: dict[str, list[str]]) -> list[str]:
    return [f"{key} differs: {'; '.join(how)[:600]}" for key, how in differ.items()]
