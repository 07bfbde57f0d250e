"""What shadow reads came to."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import product
from typing import Protocol

from syncline.forking import after_fork
from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.shadow.differences import Difference
from syncline.phases.shadow.rules import Read

QUERIES = 1000
"""So many different ones are noted."""


class Outcome(StrEnum):
    """Of one shadow read."""

    EQUAL = "equal"
    CAUGHT_UP = "caught_up"
    """Different at first; the same when both were read again, or what the truth had said a moment before."""
    MISMATCH = "mismatch"
    UNSETTLED = "unsettled"
    """Different, and a side moved until the last look, or too many waited for theirs: no proof of anything."""
    ERROR = "error"
    """The other side could not be read."""
    TIMEOUT = "timeout"
    SHED = "shed"
    """Left out: enough were under way, or the other side is left alone after an error."""


COMPARED = frozenset({Outcome.EQUAL, Outcome.CAUGHT_UP, Outcome.MISMATCH})
AGAINST = frozenset({Outcome.MISMATCH, Outcome.UNSETTLED, Outcome.ERROR})
"""What speaks against the other side."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two answers that stay different."""

    read: Read
    at: datetime
    differences: tuple[Difference, ...]
    standing: str | None = None
    """Which side is newer, where that is known."""

    def __str__(self) -> str:
        """Say it in a line."""
        what = f"{self.read.collection}.{self.read.method}({self.read.key or ''})"
        said = "; ".join(str(one) for one in self.differences)
        return f"{what}: {said}" + (f" ({self.standing})" if self.standing else "")


@dataclass(frozen=True, slots=True)
class Totals:
    """Of one method of a collection."""

    outcomes: Mapping[Outcome, int]

    @property
    def compared(self) -> int:
        """Reads of which both answers are known, and whether they are the same."""
        return sum(self.outcomes.get(one, 0) for one in COMPARED)

    @property
    def clean(self) -> bool:
        """Whether nothing speaks against the other side: no mismatch, nothing unsettled, no error."""
        return not any(self.outcomes.get(one) for one in AGAINST)


class ShadowCounter(Protocol):
    """Counts for a monitoring: ``AppMetrics`` of ``telemetry.metrics`` does."""

    def shadow(self, collection: str, method: str, outcome: str, reads: int = 1) -> None:
        """Count reads; 0: there are none yet, and may be."""
        ...


@dataclass(slots=True, eq=False, weakref_slot=True)
class Report:
    """Counts by collection and method, and the newest mismatches. Any thread may add to it."""

    keep: int = 100
    counter: ShadowCounter | None = None
    """Is told of each read, too."""
    mismatches: deque[Mismatch] = field(init=False)
    _counts: dict[tuple[str, str], Counter[Outcome]] = field(init=False, default_factory=dict)
    _fresh: Counter[tuple[str, str, Outcome]] = field(init=False, default_factory=Counter)
    _declared: set[tuple[str, str]] = field(init=False, default_factory=set)
    _queries: set[QueryShape] = field(init=False, default_factory=set)
    _new_queries: set[QueryShape] = field(init=False, default_factory=set)
    _declarations: dict[str, str] = field(init=False, default_factory=dict)
    _lock: threading.Lock = field(init=False, default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin empty."""
        self.mismatches = deque(maxlen=self.keep)
        after_fork(self._forked)

    def _forked(self) -> None:
        """Leave to the parent what it will give out itself, and a lock that one of its threads may have had."""
        self._lock = threading.Lock()
        self._fresh = Counter(dict.fromkeys(((*one, Outcome.EQUAL) for one in self._declared), 0))

    def add(self, read: Read, outcome: Outcome, mismatch: Mismatch | None = None) -> None:
        """Take one in."""
        with self._lock:
            self._counts.setdefault((read.collection, read.method), Counter())[outcome] += 1
            self._fresh[read.collection, read.method, outcome] += 1
            if mismatch is not None:
                self.mismatches.append(mismatch)
        if self.counter is not None:
            self.counter.shadow(read.collection, read.method, str(outcome))

    def declare(self, collection: str, methods: Iterable[str], *, declaration: str | None = None) -> None:
        """Say which methods are to be compared, called or not.

        Args:
            collection: its name.
            methods: their names.
            declaration: the fingerprint of the declaration under which PostgreSQL is read: what is counted under
                another one is no evidence.

        """
        names = list(methods)
        if self.counter is not None:
            for method, outcome in product(names, AGAINST):  # so that the first one is seen to be an increase
                self.counter.shadow(collection, method, str(outcome), 0)
        with self._lock:
            if declaration is not None:
                self._declarations[collection] = declaration
            for method in names:
                self._declared.add((collection, method))
                self._fresh[collection, method, Outcome.EQUAL] += 0

    def asked(self, query: QueryShape) -> None:
        """Note what a query of a repository goes by, whether it is compared or not."""
        if query in self._queries:
            return
        with self._lock:
            if len(self._queries) < QUERIES:
                self._queries.add(query)
                self._new_queries.add(query)

    def take_queries(self) -> frozenset[QueryShape]:
        """Give the queries that are new since the last call; ``give_back_queries`` what could not be kept."""
        with self._lock:
            fresh, self._new_queries = frozenset(self._new_queries), set()
            return fresh

    def give_back_queries(self, queries: Iterable[QueryShape]) -> None:
        """Have queries that were taken given out again."""
        with self._lock:
            self._new_queries.update(queries)

    def totals(self) -> dict[tuple[str, str], Totals]:
        """Give the totals since the beginning, by collection and method."""
        with self._lock:
            return {name: Totals(dict(counts)) for name, counts in self._counts.items()}

    @property
    def declarations(self) -> dict[str, str]:
        """The fingerprints that were declared, by collection."""
        with self._lock:
            return dict(self._declarations)

    def take(self, *, declared: bool = False) -> Counter[tuple[str, str, Outcome]]:
        """Give what was added since the last call, for whoever keeps it; ``give_back`` what could not be kept.

        Args:
            declared: give the methods that were declared earlier, too, with 0 reads.

        """
        with self._lock:
            fresh, self._fresh = self._fresh, Counter()
            for collection, method in self._declared if declared else ():
                fresh[collection, method, Outcome.EQUAL] += 0
            return fresh

    def give_back(self, counts: Counter[tuple[str, str, Outcome]]) -> None:
        """Have counts that were taken given out again."""
        with self._lock:
            self._fresh.update(counts)  # and not `+=`, which drops the zeros of what is declared
