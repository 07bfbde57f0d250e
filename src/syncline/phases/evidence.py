"""What speaks for the next phase of a collection, and what against it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Protocol

from syncline.engines.postgres.documents.coming_back import backlogs, statements
from syncline.phases.in_mongodb import MARKS
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.shadow.report import AGAINST, COMPARED, Outcome
from syncline.phases.standing import Standing
from syncline.split.moving.probes import VALID

READS, READS_OF_EACH = 10_000, 100
LAG_SECONDS = 1.0
_REHEARSE = "syncline phase rehearse"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One of the things that must hold before a step."""

    collection: str
    name: str
    holds: bool
    told: str

    def __str__(self) -> str:
        return f"{self.collection}: {self.told}"


class Marks(Protocol):
    """What waits to be carried."""

    def waiting(self, collection: str) -> frozenset[str]:
        """Give the oldest marks of a collection."""
        ...


def gathered(
    was: Mapping[str, Standing],
    goal: Phase,
    journal: InPostgreSQL,
    marks: Marks,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Evidence]:
    """Look at everything that the step of these collections to a phase needs."""
    found = [_declared(journal, name) for name in was]
    if goal is Phase.DUAL_WRITE:
        return found
    found += [_rejected(journal, name) for name in was]
    found += _lag(marks, list(was), sleep)
    found += [_verified(journal, name, standing) for name, standing in was.items()]
    if goal is Phase.COMPLETE:
        return found + _parked(journal, list(was))
    if goal >= Phase.RAMP:
        found += [one for name, standing in was.items() for one in _shadowed(journal, name, standing, goal)]
    if goal >= Phase.LIVE:
        found += [_rehearsed(journal, name) for name in was]
    return found


def _declared(journal: InPostgreSQL, name: str) -> Evidence:
    there = bool(journal.rows("kept")[0][0]) and bool(journal.rows("declared", collection=name))
    told = "its tables are prepared" if there else "its tables are not prepared: `syncline install`"
    return Evidence(name, "installed", there, told)


def _rejected(journal: InPostgreSQL, name: str) -> Evidence:
    if not journal.rows("kept")[0][0]:
        return Evidence(name, "rejected", holds=False, told="nothing is kept of rejected documents: `syncline install`")
    count = journal.rows("rejected", collection=name)[0][0]
    told = f"{count} documents are rejected" if count else "no document is rejected"
    return Evidence(name, "rejected", not count, told)


def _lag(marks: Marks, names: Sequence[str], sleep: Callable[[float], None]) -> list[Evidence]:
    """Look twice, a second apart: a mark that is still there has waited as long. It asks no other machine's clock."""
    before = {name: marks.waiting(name) for name in names}
    sleep(LAG_SECONDS if any(before.values()) else 0.0)
    return [_lag_of(name, before[name], marks) for name in names]


def _lag_of(name: str, before: frozenset[str], marks: Marks) -> Evidence:
    if len(before) >= MARKS:  # of a backlog that is worked off, each look finds others at its head
        return Evidence(name, "lag", holds=False, told=f"{MARKS:,} marks or more wait")
    left = len(before & marks.waiting(name)) if before else 0
    told = f"{left} marks or more have waited for a second" if left else f"less than {LAG_SECONDS:g} s of lag"
    return Evidence(name, "lag", not left, told)


def _verified(journal: InPostgreSQL, name: str, standing: Standing) -> Evidence:
    """Look at the newest certificate of a whole pass; both times are of MongoDB's clock."""
    kept = journal.rows("certificates_kept")[0][0] and journal.rows("kept")[0][0]
    rows = journal.rows("certified", collection=name) if kept else []
    if not rows:
        return Evidence(name, "verified", holds=False, told="no verification yet: `syncline verify`")
    moment, verdict = rows[0]
    at = f"{moment:%Y-%m-%d %H:%M:%S %Z}"
    if verdict != "equal":
        return Evidence(name, "verified", holds=False, told=f"the last verification, as of {at}, said {verdict}")
    if standing.since is not None and moment < standing.since:
        told = f"verified equal as of {at}, before {standing} began: `syncline verify`"
        return Evidence(name, "verified", holds=False, told=told)
    return Evidence(name, "verified", holds=True, told=f"verified equal as of {at}")


def _shadowed(journal: InPostgreSQL, name: str, standing: Standing, goal: Phase) -> list[Evidence]:
    """Judge the shadow reads: those of the phase shadow, and at the end of a ramp those since then.

    Within a ramp they were looked at before it began.
    """
    if standing.phase is not Phase.SHADOW and goal < Phase.LIVE:
        return []
    counts: Counter[tuple[str, str]] = Counter()
    block = "shadow" if standing.phase is Phase.SHADOW else "shadow_and_ramp"
    declared = journal.rows("declared", collection=name) if journal.rows("kept")[0][0] else []
    for method, outcome, reads in journal.rows(block, collection=name, mapping=declared[0][0] if declared else ""):
        counts[method, outcome] += reads
    compared = {
        method: sum(counts[method, one] for one in COMPARED) for method in sorted({method for method, _ in counts})
    }
    total, wrong = sum(compared.values()), _counted(counts, {Outcome.MISMATCH})
    unproved = _counted(counts, AGAINST - {Outcome.MISMATCH})
    few = [f"{method} {reads}" for method, reads in compared.items() if reads < READS_OF_EACH]
    enough = total >= READS and not few
    told = f"{total:,} reads were compared; {READS:,} are wanted"
    if few:
        told += f", {READS_OF_EACH} of each method: {', '.join(few)}"
    return [
        Evidence(name, "shadowReads", enough, told),
        Evidence(name, "mismatches", not wrong, f"{wrong} shadow reads did not match"),
        Evidence(name, "unsettled", not unproved, f"{unproved} shadow reads failed, or proved nothing"),
    ]


def _counted(counts: Counter[tuple[str, str]], outcomes: AbstractSet[str]) -> int:
    return sum(reads for (_, one), reads in counts.items() if one in outcomes)


def _parked(journal: InPostgreSQL, names: Sequence[str]) -> list[Evidence]:
    """Look at what MongoDB, which is to be a whole copy, has not taken."""
    with journal.connected() as connection:
        there = connection.execute(statements()["there"]).fetchall()[0][0]
        found = backlogs(connection.execute(statements()["counts"]).fetchall()) if there else {}
    counts = {name: found[name].parked if name in found else 0 for name in names}
    said = {name: f"{count} rows are" if count else "no row is" for name, count in counts.items()}
    return [Evidence(name, "wayBack", not counts[name], f"{said[name]} parked on the way back") for name in names]


def _rehearsed(journal: InPostgreSQL, name: str) -> Evidence:
    rows = journal.rows("rehearsed", collection=name, seconds=VALID.total_seconds())
    if not rows:
        return Evidence(name, "rehearsed", holds=False, told=f"the way back was never rehearsed: {_REHEARSE} {name}")
    at, young, mapping = rows[0]
    kept = journal.rows("kept")[0][0]
    ours = bool(kept) and journal.rows("declared", collection=name) == [(mapping,)]
    told = f"the way back was rehearsed at {at:%Y-%m-%d %H:%M %Z}"
    if not (young and ours):
        why = "with another declaration" if young else f"more than {VALID.days} days ago"
        return Evidence(name, "rehearsed", holds=False, told=f"{told}, {why}: {_REHEARSE} {name}")
    return Evidence(name, "rehearsed", holds=True, told=told)
