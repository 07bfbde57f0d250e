"""Rounds of damage: verification finds exactly what was done by hand, and repair mends it, under live writes."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.damage.stage import Stage, stage, unlike
from tests.damage.vandal import Harm, Vandal, foreign_key
from tests.damage.writers import WINDOW, Key, Writer

HOT = 2000
SETTLE_SECONDS = 300.0
TRIES = 5
QUICKLY = ("--rate", "0")
AT_ONCE = "UPDATE syncline.deferred SET due = clock_timestamp() WHERE due > clock_timestamp()"
"""Second deletes need not be waited for: nothing is frozen here."""
WAITING = """
SELECT e.name, m.key FROM (SELECT entity, key FROM syncline.waiting UNION ALL SELECT entity, key FROM syncline.deferred) AS m
JOIN syncline.entity AS e ON e.id = m.entity
"""


class DamageError(AssertionError):
    """Verification said too much or too little, or a repair did not mend."""


@dataclass
class Outcome:
    """What a run did."""

    rows: int
    rounds: int = 0
    harms: Counter[str] = field(default_factory=Counter)
    harmless: int = 0
    mended_by_writers: int = 0
    hot_found: int = 0
    commits: int = 0
    verify_seconds: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.harms.items()))
        slowest = max(self.verify_seconds, default=0.0)
        return (
            f"{self.rows} rows, {self.rounds} rounds in {self.seconds:.0f} s: {self.harms.total()} damaged records found"
            f" ({kinds}), {self.harmless} harmless edits passed over, {self.commits} commits beside it;"
            f" of the damage where writers were at work {self.hot_found} found, {self.mended_by_writers} mended by their writes;"
            f" a pass took {slowest:.1f} s at most"
        )


def run(
    rows: int, rounds: int, seed: int, *, damage: int = 40, minutes: float | None = None, say: bool = True
) -> Outcome:
    """Do damage, verify, repair and verify again, so many times or so long.

    Args:
        rows: of both tables together.
        rounds: how many times.
        seed: of the damage and the writers.
        damage: acts of damage in a round.
        minutes: begin no round after so long.
        say: print a line after each round.

    Raises:
        DamageError: with what was surplus or missed.

    """
    outcome = Outcome(rows)
    with stage(rows) as made:
        if say:
            print("copied; the rounds begin", flush=True)  # noqa: T201
        began = time.monotonic()
        hot = max(WINDOW * 2, min(HOT, made.visits // 3))
        with _writing(made, hot, seed) as writers:
            while outcome.rounds < rounds and (minutes is None or time.monotonic() - began < minutes * 60):
                _round(made, Vandal(made, hot, seed=f"{seed} {outcome.rounds}"), writers, damage, outcome)
                outcome.rounds += 1
                outcome.commits = sum(writer.commits for writer in writers)
                outcome.seconds = time.monotonic() - began
                if say:
                    print(outcome, flush=True)  # noqa: T201
        _finish(made)
    return outcome


@contextlib.contextmanager
def _writing(made: Stage, hot: int, seed: int) -> Iterator[list[Writer]]:
    writers = [Writer(made, hot, seed=f"{seed} writer {n}", pause=0.02) for n in range(2)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.stop()
    crashes = [writer.crash for writer in writers if writer.crash]
    if crashes:
        raise DamageError(f"a writer failed: {crashes[0]!r}")


def _round(made: Stage, vandal: Vandal, writers: list[Writer], damage: int, outcome: Outcome) -> None:
    began = time.monotonic()
    waiting = _waiting(made)
    vandal.rampage(damage)
    report = made.folder / "report.json"
    found = _decided(made, "verify", *QUICKLY, "--report", str(report))
    findings = _findings(found)
    _judge(vandal, _mendable(vandal, waiting, writers, began), findings, found, outcome)
    whole = outcome.rounds % 2 == 0
    repairs: list[dict[str, Any]] = []
    _decided(made, *(["repair"] if whole else ["repair", "--from", str(report)]), each=repairs.append)
    _judge_repair(vandal, _mendable(vandal, waiting, writers, began), repairs)
    vandal.clean_up()
    made.command("parked", "retry", "--all")  # a record whose _id somebody's document had, as 5.0 has that of 5
    again = _decided(made, "verify", *QUICKLY)
    if again["verdict"] != "equal":
        raise DamageError(f"not equal after the repair: {json.dumps(again, indent=1)[:6000]}\nbefore: {vandal.book}")
    outcome.verify_seconds += [sum(one["seconds"] for one in one_["entities"]) for one_ in (found, again)]


def _decided(made: Stage, *words: str, each: Callable[[dict[str, Any]], None] = lambda _: None) -> dict[str, Any]:
    """Verify or repair; once more where a slow machine left something open (a change on its way, a record that waits)."""
    said: dict[str, Any] = {}
    for _ in range(TRIES):
        _, said = made.command(*words, ok=(0, 1, 2))
        each(said)
        entities = said.get("verify", said)["entities"]
        if not any(one["lagging"] or one["hot"] or one["obstacles"] or one["parked"] for one in entities):
            break
    return said


def _mendable(vandal: Vandal, waiting: set[Key], writers: list[Writer], began: float) -> set[Key]:
    """List the damaged keys that the relay may have written since: writers changed them, or their change waited."""
    return vandal.hot & (waiting | set[Key]().union(*(writer.touched(began) for writer in writers)))


def _waiting(made: Stage) -> set[Key]:
    """List the keys whose changes are not applied yet: what reads them may mend damage that is done now."""
    with made.connect() as connection:  # in one statement: what is deferred becomes a mark
        return {(row[0], row[1]) for row in connection.execute(WAITING)}


def _key_of(finding: dict[str, Any]) -> Key:
    if finding["key"] is not None:
        return finding["entity"], finding["key"]
    return finding["entity"], "_id " + json.dumps(finding["id"], sort_keys=True)


def _findings(report: dict[str, Any]) -> dict[Key, Harm]:
    found: dict[Key, Harm] = {}
    for entity in report["entities"]:
        for one in entity["findings"]:
            fields = frozenset(difference["field"] for difference in one["differences"])
            if _key_of(one) in found:
                raise DamageError(f"reported twice: {one}")
            found[_key_of(one)] = Harm(one["kind"], fields)
        if entity["findingsOmitted"] or sum(entity["divergent"].values()) != len(entity["findings"]):
            raise DamageError(f"the counts are not those of the findings: {entity['divergent']}")
    return found


def _judge(
    vandal: Vandal, mendable: set[Key], found: dict[Key, Harm], report: dict[str, Any], outcome: Outcome
) -> None:
    """Compare the findings with the book: exactly those, but for what writers mended meanwhile."""
    surplus = {key: harm for key, harm in found.items() if key not in vandal.book}
    missed = {
        key: harm for key, harm in vandal.book.items() if key not in found and (harm.blocked or key not in mendable)
    }
    wrong = {
        key: (harm, found[key])
        for key, harm in vandal.book.items()
        if key in found and key not in mendable and not _same(harm, found[key])
    }
    if surplus or missed or wrong:
        rest = {key: report[key] for key in ("verdict", "summary", "queue", "lag_seconds", "workers")}
        raise DamageError(f"surplus: {surplus}\nmissed: {missed}\nwrong: {wrong}\n{rest}")
    outcome.harms.update(harm.kind for key, harm in vandal.book.items() if key in found)
    outcome.harmless += len(vandal.harmless)
    outcome.hot_found += len(vandal.hot & found.keys())
    outcome.mended_by_writers += len(vandal.hot - found.keys())


def _same(wanted: Harm, found: Harm) -> bool:
    return wanted.kind == found.kind and wanted.fields in (None, found.fields)


def _judge_repair(vandal: Vandal, mendable: set[Key], repairs: list[dict[str, Any]]) -> None:
    """See that all damage was marked and nothing else, and nothing left but what no row can have."""
    marked = {_key_of(one) for done in repairs for one in done["repair"]["records"]}
    left = {_key_of(one) for done in repairs for one in done["repair"]["left"]}
    foreign = {foreign_key(entity, id_) for entity, id_ in vandal.foreign}
    if not marked <= vandal.book.keys() - foreign or not left <= foreign | mendable:
        raise DamageError(f"repair marked {marked - vandal.book.keys()}, left {left - foreign}")
    forgotten = {key: vandal.book[key] for key in vandal.book.keys() - foreign - mendable - marked}
    # Who holds another's unique code is marked by the relay, when that one is mended: it may be ahead of the repair.
    if lost := {key: harm for key, harm in forgotten.items() if harm.fields is not None and "code" not in harm.fields}:
        raise DamageError(f"repair did not mark {lost}")


def _finish(made: Stage) -> None:
    """Wait until nothing waits, and compare everything without Syncline's help."""
    until = time.monotonic() + SETTLE_SECONDS
    while _waiting(made):
        with made.connect() as connection:
            connection.execute(AT_ONCE)
        if time.monotonic() > until:
            raise DamageError(f"not settled after {SETTLE_SECONDS:g} s: {list(_waiting(made))[:10]}")
        time.sleep(0.2)
    if found := unlike(made):
        raise DamageError("an independent comparison finds differences\n" + "\n".join(found))
