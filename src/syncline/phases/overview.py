"""Where collections stand, for people who watch: phases, who does not go by them yet, what shadow reads came to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from syncline.engines.mongo.gates import NOBODY
from syncline.errors import SynclineError
from syncline.phases.changing import Control
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.phase import Phase
from syncline.phases.shadow.report import AGAINST, COMPARED, Outcome
from syncline.phases.standing import Process, Standing


@dataclass(frozen=True, slots=True)
class ShadowReads:
    """Of a collection, since it entered its phase, under its declaration."""

    compared: int = 0
    mismatches: int = 0
    unproved: int = 0
    """That failed, or proved nothing."""


@dataclass(frozen=True, slots=True)
class CollectionPhase:
    """Where a collection stands."""

    collection: str
    phase: Phase
    percent: float
    since: datetime | None
    processes: int
    behind: Sequence[str]
    """Processes that do not go by it yet."""
    shadow: ShadowReads | None
    """``None``: PostgreSQL does not say it."""
    closed: bool = False
    """It changes sides, and MongoDB lets nobody write."""

    def as_dict(self) -> dict[str, Any]:
        """Give it in JSON's types."""
        since = self.since.isoformat(timespec="seconds") if self.since else None
        told: dict[str, Any] = {"phase": str(self.phase), "percent": self.percent, "since": since}
        told |= {"processes": self.processes, "behind": [*self.behind], "shadow": None}
        if self.shadow is not None:
            found = self.shadow
            reads = {"compared": found.compared, "mismatches": found.mismatches, "unproved": found.unproved}
            told["shadow"] = reads
        return told


class Overview:
    """Looks at both places; blocking, for one thread at a time.

    Args:
        mongodb: URL of the MongoDB.
        postgresql: URL of the PostgreSQL.
        declared: the fingerprint of each collection's declaration.
        default: the phase of collections that nobody has changed yet, where no process has said it.
        seconds: limit of a question.

    """

    def __init__(
        self, mongodb: str, postgresql: str, declared: Mapping[str, str], default: Phase, *, seconds: float = 2.0
    ) -> None:
        self._mongodb = InMongoDB(mongodb, seconds=seconds)
        self._postgresql = InPostgreSQL(postgresql, seconds=seconds)
        self._control = Control(self._mongodb, self._postgresql, default)
        self._declared = declared

    def read(self) -> dict[str, CollectionPhase]:
        """Look.

        Raises:
            SynclineError: nobody can say where collections stand.

        """
        standings = self._control.standings(list(self._declared), only_to_show=True)
        gates = self._mongodb.read_all()[1]
        closed = {name for name, gate in gates.items() if gate.mode == NOBODY}
        processes, reads = self._mongodb.processes(), self._shadow()
        return {
            name: replace(
                _one(name, standing, processes, reads), closed=name in closed and standing.phase is not Phase.COMPLETE
            )
            for name, standing in standings.items()
        }

    def close(self) -> None:
        """End the sessions."""
        self._mongodb.close()
        self._postgresql.close()

    def _shadow(self) -> Mapping[str, Counter[str]] | None:
        """Count the shadow reads by their outcome, those of all collections in one question."""
        found: defaultdict[str, Counter[str]] = defaultdict(Counter)
        asked = {"collections": list(self._declared), "mappings": list(self._declared.values())}
        try:
            for name, outcome, reads in self._postgresql.rows("shadows", **asked) if self._postgresql.there else ():
                found[name][outcome] = reads
        except SynclineError:
            return None
        return found


def _one(
    name: str, standing: Standing, processes: Sequence[Process], reads: Mapping[str, Counter[str]] | None
) -> CollectionPhase:
    behind = [one.name for one in processes if one.number < standing.number]
    told = (standing.phase, standing.percent, standing.since, len(processes), behind)
    return CollectionPhase(name, *told, None if reads is None else _reads(reads.get(name, Counter())))


def _reads(counts: Counter[str]) -> ShadowReads:
    compared = sum(counts[one] for one in COMPARED)
    unproved = sum(counts[one] for one in AGAINST - {Outcome.MISMATCH})
    return ShadowReads(compared, counts[Outcome.MISMATCH], unproved)
