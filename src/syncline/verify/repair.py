"""Repair: mark what a verification found. The relay does the rest; nothing is written blindly.

A repair is not a verification: whether all is well again, the next pass says.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncline.model.canonical import MISSING
from syncline.model.mark import Hint
from syncline.model.tickets import issued
from syncline.ports import Plan, require_right_side
from syncline.verify.one_pass import Sides
from syncline.verify.render import finding_as_dict
from syncline.verify.report import KEPT, Finding, Kind

CHUNK = 1000
UNTOUCHED = {
    Kind.FOREIGN: "no row can have this _id: whose document it is, only you know",
    Kind.UNREADABLE: "its row cannot be read: correct it in the source, or the mapping",
    Kind.AMBIGUOUS: "several rows have this key: make it unique in the source",
}
"""What no mark can correct, and why."""


@dataclass(slots=True)
class RepairReport:
    """What a repair did, or would do."""

    dry_run: bool = False
    marked: list[Finding] = field(default_factory=list)
    """Marked: the relay makes them equal. The first ones, ``KEPT`` at most."""
    released: int = 0
    """Documents whose ticket was taken away, so that the fence lets the relay's write pass."""
    left: list[tuple[Finding, str]] = field(default_factory=list)
    """Left alone, and why. The first ones, ``KEPT`` at most."""
    marked_by: Counter[str] = field(default_factory=Counter)
    """Entity to the number that was marked."""
    left_by: Counter[str] = field(default_factory=Counter)
    """Entity to the number that was left alone."""

    def mark(self, finding: Finding) -> None:
        """Note a record that was marked."""
        self.marked_by[finding.entity] += 1
        if len(self.marked) < KEPT:
            self.marked.append(finding)

    def leave(self, finding: Finding, why: str) -> None:
        """Note a record that was left alone."""
        self.left_by[finding.entity] += 1
        if len(self.left) < KEPT:
            self.left.append((finding, why))

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON."""
        return {
            "dry_run": self.dry_run,
            "marked": self.marked_by.total(),
            "released": self.released,
            "records": [finding_as_dict(finding) for finding in self.marked],
            "left_alone": self.left_by.total(),
            "left": [finding_as_dict(finding) | {"why": why} for finding, why in self.left],
        }


class Repairer:
    """Repairs what a verification finds, while it goes on: give it to ``Options`` as ``taker``.

    Args:
        sides: as for ``verify``.
        plans: the compiled entities by name.
        dry_run: only say what would be done.
        despite: an operator's reason to repair although the link's way back serves.

    """

    def __init__(
        self, sides: Sides, plans: Mapping[str, Plan], *, dry_run: bool = False, despite: str | None = None
    ) -> None:
        self._sides, self._plans = sides, plans
        self._despite = despite
        self.report = RepairReport(dry_run)

    async def require_right_side(self) -> None:
        """Refuse while the link's way back serves: what it has not brought yet looks like a difference.

        Raises:
            ReverseServesError: it does.

        """
        await self._require_right_side(self._plans)

    async def _require_right_side(self, names: Iterable[str], *, fresh: bool = True) -> None:
        if not self.report.dry_run:
            entities = [self._plans[name].entity for name in names]
            await require_right_side(self._sides.reverse, entities, "a repair", despite=self._despite, fresh=fresh)

    async def take(self, findings: Sequence[Finding]) -> None:
        """Repair what was just found."""
        by_entity: dict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            why = UNTOUCHED.get(finding.kind)
            if why is None:
                by_entity[finding.entity].append(finding)
            else:
                self.report.leave(finding, why)
        await self._require_right_side(by_entity, fresh=False)
        for name, found in by_entity.items():
            for start in range(0, len(found), CHUNK):
                await _repair(self._sides, self._plans[name], found[start : start + CHUNK], self.report)

    def position(self) -> int:
        """Nothing is kept: a repair that was interrupted is begun again."""
        return 0

    def rewind(self, position: int) -> None:
        """Nothing is kept."""

    async def audit(self) -> None:
        """Leave a trace in the source: operators see who did what for a day, the history has each mark."""
        report = self.report
        if report.dry_run:
            return
        for entity in sorted(report.marked_by.keys() | report.left_by.keys()):
            await self._sides.source.certificates.audit(
                entity, marked=report.marked_by[entity], left=report.left_by[entity]
            )


async def repair(
    sides: Sides,
    plans: Mapping[str, Plan],
    findings: Sequence[Finding],
    *,
    dry_run: bool = False,
    despite: str | None = None,
) -> RepairReport:
    """Repair what was found.

    Args:
        sides: as for ``verify``; the findings must be recent (``verify`` with their keys makes old ones recent).
        plans: the compiled entities by name.
        findings: of a ``VerifyReport``.
        dry_run: only say what would be done.
        despite: an operator's reason to repair although the link's way back serves.

    Raises:
        ReverseServesError: it serves, and there is no reason.

    """
    repairer = Repairer(sides, plans, dry_run=dry_run, despite=despite)
    await repairer.take(findings)
    await repairer.audit()
    return repairer.report


async def _repair(sides: Sides, plan: Plan, findings: Sequence[Finding], report: RepairReport) -> None:
    fenced = await _fenced(sides, plan, findings)
    barred = [finding for finding in findings if finding.key in fenced]
    changed: set[str | None] = set()
    if barred and not report.dry_run:
        released = await sides.inspection.release(plan.entity, [_seen(finding) for finding in barred])
        changed = {finding.key for finding, done in zip(barred, released, strict=True) if not done}
    report.released += len(barred) - len(changed)
    keys: list[str] = []
    for finding in findings:
        if finding.key in changed:
            report.leave(finding, "the document changed since it was looked at: verify again")
            continue
        keys.append(str(finding.key))
        report.mark(finding)
    if keys and not report.dry_run:
        await sides.source.looks.mark(plan, keys, Hint.REPAIR)


async def _fenced(sides: Sides, plan: Plan, findings: Sequence[Finding]) -> set[str | None]:
    """Find the documents that the fence might not let the relay overwrite: not of an earlier epoch than the lane's."""
    present = [finding for finding in findings if finding.ticket is not MISSING and finding.key is not None]
    if not present:
        return set()
    epochs = await sides.inspection.lane_epochs()
    lanes = await sides.source.looks.lanes(plan, [str(finding.key) for finding in present])
    return {
        finding.key
        for finding, lane in zip(present, lanes, strict=True)
        if not issued({"_v": finding.ticket}, epochs.get(lane, 0) - 1)
    }


def _seen(finding: Finding) -> dict[str, Any]:
    return {"_id": finding.id, "_v": finding.ticket}
