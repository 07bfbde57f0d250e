"""What became of a batch's records: made while it is written, turned into the acknowledgement of its marks."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncline.model.mark import split
from syncline.ports import Acknowledgement, Plan, Rejection, Report, Target
from syncline.relay.work import Work

Record = tuple[int, str]
"""Entity and key."""


@dataclass(slots=True, eq=False)
class Outcome:
    """What became of a batch. Nothing of it is known when it has a ``failure``."""

    work: Work
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    """(entity, rejection): by the reading, then by the target."""
    reports: dict[int, Report] = field(default_factory=dict)
    waiting: set[Record] = field(default_factory=set)
    """Keys whose marks stay: their unique value belongs to another record for now, or they are to be tried again."""
    outranked: dict[Record, int] = field(default_factory=dict)
    """Records that carry a version above this batch's ticket, with the epoch above which they are tried again."""
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        self.rejected += self.work.rejected

    def reject(self, plan: Plan, rejections: Sequence[Rejection]) -> None:
        """File rejections of an entity."""
        self.rejected += [(plan.id, rejection) for rejection in rejections]

    def left(self) -> set[Record]:
        """List the records that are parked or wait."""
        return {(entity, rejection.key) for entity, rejection in self.rejected} | self.waiting

    def unwritten(self) -> Counter[int]:
        """Count, by entity, the records that are parked or wait."""
        return Counter(entity for entity, _ in self.left())

    def rejected_by_entity(self) -> Mapping[int, list[Rejection]]:
        """Group the rejections."""
        found: dict[int, list[Rejection]] = defaultdict(list)
        for entity, rejection in self.rejected:
            found[entity].append(rejection)
        return found

    def acknowledgement(self) -> Acknowledgement:
        """Acknowledge every mark but those of waiting keys; of a batch that failed none, only its leases are named."""
        work = self.work
        if self.failure is not None:
            return Acknowledgement(leases=work.leases)
        marks, absent = work.marks, work.absent
        if self.waiting:
            marks, _ = split(marks, self.waiting)
        if absent and (self.waiting or self.rejected):
            left = self.left()
            absent = [one for one in absent if (one[0], one[2]) not in left]
        return Acknowledgement(marks, work.leases, absent, self.rejected)

    def applied(self, target: Target) -> dict[Record, str]:
        """Give what was applied as JSON, by entity and key, for a history that keeps it."""
        left = self.left()
        return {
            (plan.id, key): text
            for plan, batch in (*self.work.writes, *self.work.lone)
            for key, text in target.as_json(batch).items()
            if (plan.id, key) not in left
        }
