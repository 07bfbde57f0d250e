"""A batch on its way to the target: which marks it answers, and what is to be written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from syncline.model.mark import Hint, Mark, keys_in, split, ticket
from syncline.ports import Absence, Batch, Plan, Rejection, State, States

CHUNK = 1000
"""Records of one write: large enough to amortise the round trip, small enough that writers overlap."""
_UPDATE, _GRACE = Hint.UPDATE.value, Hint.GRACE.value


@dataclass(slots=True)
class Touched:
    """The marks of one entity in a batch, by key."""

    hints: dict[str, str] = field(default_factory=dict)
    """Key to hint; ``U`` when there are several."""
    lanes: dict[str, int] = field(default_factory=dict)
    again: set[str] = field(default_factory=set)
    """Keys with no other mark than the one for their second delete."""

    @classmethod
    def of(cls, marks: Iterable[Mark]) -> Touched:
        """Group marks of one entity by key."""
        touched = cls()
        for mark in marks:
            touched.add(mark[1], mark[4], (mark[3],) if mark[6] is None else mark[6])
        return touched

    def add(self, lane: int, hint: str, keys: Sequence[str]) -> None:
        """Take in a mark of these keys."""
        if len(keys) == 1 or hint == _GRACE or not self.hints.keys().isdisjoint(keys):
            for key in keys:
                self.add_key(lane, hint, key)
            return
        self.hints.update(dict.fromkeys(keys, hint))
        self.lanes.update(dict.fromkeys(keys, lane))

    def add_key(self, lane: int, hint: str, key: str) -> None:
        """Take in a mark of one key, perhaps one more."""
        if key in self.hints:
            self.hints[key] = _UPDATE
            if hint != _GRACE:
                self.again.discard(key)
            return
        self.hints[key] = hint
        self.lanes[key] = lane
        if hint == _GRACE:
            self.again.add(key)


@dataclass(slots=True, eq=False)
class Work:
    """Marks that were read together. Ticket drawn after the marks were read and before the states are."""

    number: int
    started: float
    """On the boot-time clock, before the states were read."""
    begun: float
    """On the monotonic clock: for durations."""
    leases: dict[int, int]
    touched: dict[int, Touched] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    admission: str = ""
    """What the target's gate said before the marks were read."""
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    """(entity, rejection) of records that cannot be read or encoded."""
    absent: list[tuple[int, int, str]] = field(default_factory=list)
    """(entity, lane, key) of records that are to be deleted for the first time."""
    writes: list[tuple[Plan, Batch]] = field(default_factory=list)
    lone: list[tuple[Plan, Batch]] = field(default_factory=list)
    """Writes of one record each, to be sent when the others are through: the target could not stand these before."""
    states: States | None = None
    """Of one entity, where they came with the marks."""
    bytes: int = 0
    sent: bool = False
    """Something of it may have reached the target."""
    counts: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Entity to (present, absent) records."""

    def ticket_of(self, lane: int) -> int:
        """Compute this batch's ticket in a lane."""
        return ticket(self.leases[lane], self.number)

    @property
    def size(self) -> int:
        """How many keys its marks have."""
        return keys_in(self.marks)

    def records(self) -> Iterator[tuple[int, str]]:
        """Iterate over (entity, key)."""
        for entity, touched in self.touched.items():
            for key in touched.hints:
                yield entity, key

    def plan_writes(
        self,
        states: States,
        keys: Collection[str],
        *,
        source: str,
        now: datetime,
        insert_backfills: bool,
        alone: Collection[tuple[int, str]] = (),
    ) -> None:
        """Turn the states of one entity's keys into writes; keys without a row are absent.

        Args:
            states: of one entity.
            keys: whose states these are.
            source: name of the source.
            now: when the states were read.
            insert_backfills: try backfilled records as inserts first.
            alone: records, by entity and key, that get a write of their own.

        """
        plan = states.plan
        touched = self.touched[plan.id]
        epochs = set(self.leases.values())
        present = states.present(ticket(max(epochs), self.number))
        if len(epochs) > 1:
            present = [one._replace(ticket=self.ticket_of(touched.lanes[one.key])) for one in present]
        together = present
        if alone:
            together = [one for one in present if (plan.id, one.key) not in alone]
            apart = [one for one in present if (plan.id, one.key) in alone]
            self.lone += [(plan, self._batch(plan, source, now, upserts=[one])) for one in apart]
        new = {Hint.INSERT.value, Hint.BACKFILL.value} if insert_backfills else {Hint.INSERT.value}
        inserts = [one for one in together if touched.hints[one.key] in new]
        for part in _chunks(inserts):
            self.writes.append((plan, self._batch(plan, source, now, inserts=part)))
        if len(inserts) < len(together):
            for part in _chunks([one for one in together if touched.hints[one.key] not in new]):
                self.writes.append((plan, self._batch(plan, source, now, upserts=part)))
        absent: list[str] = []
        if len(present) < len(keys):
            absent = sorted(set(keys).difference(one.key for one in present))
            self._add_absences(plan, touched, absent)
        there, gone = self.counts.get(plan.id, (0, 0))
        self.counts[plan.id] = (there + len(present), gone + len(absent))

    def _batch(
        self,
        plan: Plan,
        source: str,
        now: datetime,
        *,
        inserts: Sequence[State] = (),
        upserts: Sequence[State] = (),
    ) -> Batch:
        touched = self.touched[plan.id]
        return Batch(
            plan.entity,
            list(inserts),
            list(upserts),
            again=touched.again,
            lanes=self._lanes(touched, inserts or upserts),
            admission=self.admission,
            source=source,
            read_at=now,
        )

    def _lanes(self, touched: Touched, part: Sequence[State] | Sequence[Absence]) -> dict[int, int]:
        lanes = touched.lanes
        return {lane: self.leases[lane] for lane in {lanes[one.key] for one in part}}

    def _add_absences(self, plan: Plan, touched: Touched, absent: Sequence[str]) -> None:
        codec = plan.projection.codec
        gone = [
            Absence(key, codec.document_id(key), self.ticket_of(touched.lanes[key]), key in touched.again)
            for key in absent
        ]
        for part in _chunks(gone):
            lanes = self._lanes(touched, part)
            self.writes.append((plan, Batch(plan.entity, deletes=part, lanes=lanes, admission=self.admission)))
        self.absent += [(plan.id, touched.lanes[key], key) for key in absent if key not in touched.again]

    def leave_out(self, left: Mapping[int, Collection[str]]) -> list[Mark]:
        """Forget keys whose states were not read, and give their marks."""
        gone = {(entity, key) for entity, keys in left.items() for key in keys}
        for entity, key in gone:
            touched = self.touched[entity]
            del touched.hints[key], touched.lanes[key]
            touched.again.discard(key)
        self.marks, marks = split(self.marks, gone)
        return marks

    def reject(self, plan: Plan, rejections: Sequence[Rejection]) -> None:
        """File rejections of an entity."""
        self.rejected += [(plan.id, rejection) for rejection in rejections]


def _chunks(items: list) -> Iterator[list]:  # type: ignore[type-arg]
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
