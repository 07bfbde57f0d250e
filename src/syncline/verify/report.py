"""What a verification found, and what it proved."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

KEPT = 1000
"""Findings of one entity that are kept with their fields; more are counted and go to the report file only."""
KEPT_BYTES = 16 * 1024 * 1024
"""About so much memory at most the values of kept findings take."""


class Mode(StrEnum):
    """How much was compared."""

    FULL = "full"
    """Every record, contents and all."""
    KEYS = "keys"
    """Every key, no contents."""
    RANGE = "range"
    """Every record of a range of keys, contents and all."""
    SAMPLE = "sample"
    """Some records."""


class Kind(StrEnum):
    """What is wrong with a record."""

    MISSING = "missing"
    """The source has it, the target has not."""
    EXTRA = "extra"
    """The target has it, the source has not."""
    DIFFERENT = "different"
    """Both have it, with other contents."""
    UNISSUED = "unissued"
    """Its document has no ticket, or one that nobody issued: somebody else wrote it."""
    FOREIGN = "foreign"
    """A document whose ``_id`` no row can have."""
    UNREADABLE = "unreadable"
    """Its row cannot be read or mapped: PostgreSQL or the mapping stumbles over a value."""
    AMBIGUOUS = "ambiguous"
    """Several rows have this key (table inheritance keeps no key unique)."""


class Verdict(StrEnum):
    """What was proved."""

    EQUAL = "equal"
    DIVERGENT = "divergent"
    UNDECIDED = "undecided"


EXIT_STATUS = {Verdict.EQUAL: 0, Verdict.DIVERGENT: 1, Verdict.UNDECIDED: 2}


@dataclass(frozen=True, slots=True)
class Difference:
    """A field with both its values: ``MISSING`` (``model.canonical``) where a side has none, ``MASKED`` for secrets."""

    field: str
    source: Any
    target: Any


@dataclass(frozen=True, slots=True)
class Finding:
    """A divergence that the second look confirmed."""

    entity: str
    kind: Kind
    key: str | None
    """The key text; ``None`` for a foreign ``_id``."""
    id: Any
    differences: Sequence[Difference] = ()
    ticket: Any = None
    """``_v`` of the document as seen (``MISSING``: it has none)."""
    first_seen: datetime | None = None
    confirmed: datetime | None = None
    reason: str = ""
    """Why a row cannot be read."""

    def size(self) -> int:
        """Estimate the memory that its values take, in bytes."""
        return sum(len(repr(one.source)) + len(repr(one.target)) for one in self.differences)


@dataclass(slots=True)
class EntityReport:
    """The verification of one entity."""

    entity: str
    mode: Mode
    as_of: datetime
    """The source's clock when the pass began: the proof holds for everything committed before."""
    first: str | None = None
    """Of a range: its first key."""
    end: str | None = None
    """Of a range: the key before which it ends."""
    resumed: list[datetime] = field(default_factory=list)
    """When an interrupted pass went on."""
    records: int = 0
    """Records of the source that were compared."""
    documents: int = 0
    """Documents of the target whose ids were looked at."""
    counts: Counter[Kind] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    """The first ones, ``KEPT`` at most."""
    kept_bytes: int = 0
    parked: int = 0
    """Records that the target rejects."""
    hot: list[str] = field(default_factory=list)
    """Keys that changed at every look: neither proved equal nor damaged."""
    lagging: int = 0
    """Keys that differ, with changes on their way."""
    obstacles: list[str] = field(default_factory=list)
    """Why nothing can be proved yet."""
    named: bool = False
    """The records were named by their keys, not chosen at random."""
    sample: list[str] = field(default_factory=list)
    """Some keys that were found equal."""
    looks: int = 0
    """Second looks that were taken."""
    seconds: float = 0.0

    def add(self, finding: Finding) -> None:
        """Take in a finding."""
        self.counts[finding.kind] += 1
        if len(self.findings) < KEPT and self.kept_bytes < KEPT_BYTES:
            self.findings.append(finding)
            self.kept_bytes += finding.size()

    @property
    def verdict(self) -> Verdict:
        """What was proved: of everything by a full pass, else of the range or the keys that were asked about."""
        if self.counts or self.parked:
            return Verdict.DIVERGENT
        whole = self.mode in {Mode.FULL, Mode.RANGE} or self.named
        return Verdict.EQUAL if whole and not self._open else Verdict.UNDECIDED

    @property
    def undamaged(self) -> bool:
        """All but the parked records, which count as failed, was proved equal by a full pass."""
        return self.mode is Mode.FULL and not self.counts and not self._open

    @property
    def _open(self) -> bool:
        return bool(self.hot or self.lagging or self.obstacles)


@dataclass(slots=True)
class VerifyReport:
    """The verification of some or all entities."""

    entities: list[EntityReport] = field(default_factory=list)
    queue: int = 0
    """Marks that waited at the end."""
    lag_seconds: float = 0.0
    workers: int = 0

    @property
    def verdict(self) -> Verdict:
        """The worst of the entities' verdicts."""
        verdicts = {entity.verdict for entity in self.entities}
        if Verdict.DIVERGENT in verdicts:
            return Verdict.DIVERGENT
        return Verdict.UNDECIDED if Verdict.UNDECIDED in verdicts or not verdicts else Verdict.EQUAL

    @property
    def exit_status(self) -> int:
        """0 proved equal, 1 divergent or parked, 2 undecided."""
        return EXIT_STATUS[self.verdict]
