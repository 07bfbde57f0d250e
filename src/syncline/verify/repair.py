"""Repair: mark what a verification found. The relay does the rest; nothing is written blindly.

A repair is not a verification: whether all is well again, the next pass says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from syncline.errors import SynclineError
from syncline.model.canonical import MISSING
from syncline.model.mark import Hint
from syncline.outbox.connection import translated
from syncline.outbox.sql import blocks
from syncline.outbox.states import Plan
from syncline.verify.comparison import issued
from syncline.verify.one_pass import Sides
from syncline.verify.render import finding_as_dict
from syncline.verify.report import Finding, Kind
from syncline.verify.second_look import lanes_of

CHUNK = 1000
_UNTOUCHED = {
    Kind.FOREIGN: "no row can have this _id: whose document it is, only you know",
    Kind.AMBIGUOUS: "several rows have this key: make it unique in the source",
}


@dataclass(slots=True)
class RepairReport:
    """What a repair did, or would do."""

    dry_run: bool = False
    marked: list[Finding] = field(default_factory=list)
    """Marked: the relay makes them equal."""
    released: int = 0
    """Documents whose ticket was taken away, so that the fence lets the relay's write pass."""
    left: list[tuple[Finding, str]] = field(default_factory=list)
    """Left alone, and why."""

    def as_dict(self) -> dict[str, Any]:
        """Give the report as JSON."""
        return {
            "dry_run": self.dry_run,
            "marked": len(self.marked),
            "released": self.released,
            "records": [finding_as_dict(finding) for finding in self.marked],
            "left": [finding_as_dict(finding) | {"why": why} for finding, why in self.left],
        }


async def repair(
    sides: Sides, plans: Mapping[str, Plan], findings: Iterable[Finding], *, dry_run: bool = False
) -> RepairReport:
    """Repair what was found.

    Args:
        sides: as for ``verify``; the findings must be recent (``verify`` with their keys makes old ones recent).
        plans: the compiled entities by name.
        findings: of a ``VerifyReport``.
        dry_run: only say what would be done.

    """
    report = RepairReport(dry_run)
    by_entity: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        why = _UNTOUCHED.get(finding.kind)
        if why is not None:
            report.left.append((finding, why))
        else:
            by_entity[finding.entity].append(finding)
    for name, found in by_entity.items():
        for start in range(0, len(found), CHUNK):
            await _repair(sides, plans[name], found[start : start + CHUNK], report)
        if not dry_run:
            await _audit(sides, name, report)
    return report


async def _repair(sides: Sides, plan: Plan, findings: Sequence[Finding], report: RepairReport) -> None:
    fenced = await _fenced(sides, plan, findings)
    keys = []
    for finding in findings:
        if finding.key in fenced:
            if not report.dry_run and not await sides.inspection.release(plan.entity, _seen(finding)):
                report.left.append((finding, "the document changed since it was looked at: verify again"))
                continue
            report.released += 1
        keys.append(finding.key)
        report.marked.append(finding)
    if keys and not report.dry_run:
        values = {"entity": plan.id, "keys": keys, "hint": Hint.REPAIR.value}
        with translated():
            await sides.looks.execute(blocks("queries.sql")["mark"], values)


async def _fenced(sides: Sides, plan: Plan, findings: Sequence[Finding]) -> set[str | None]:
    """Find the documents that the fence might not let the relay overwrite: not of an earlier epoch than the lane's."""
    present = [finding for finding in findings if finding.ticket is not MISSING and finding.key is not None]
    if not present:
        return set()
    epochs = await sides.inspection.lane_epochs()
    lanes = await lanes_of(sides.looks, plan, [str(finding.key) for finding in present])
    return {
        finding.key
        for finding, lane in zip(present, lanes, strict=True)
        if not issued({"_v": finding.ticket}, epochs.get(lane, 0) - 1)
    }


def _seen(finding: Finding) -> dict[str, Any]:
    return {"_id": finding.id, "_v": finding.ticket}


async def _audit(sides: Sides, entity: str, report: RepairReport) -> None:
    """Leave a trace in the source: operators see it for a day."""
    marked = sum(finding.entity == entity for finding in report.marked)
    left = sum(finding.entity == entity for finding, _ in report.left)
    message = f"{entity}: {marked} records marked for repair, {left} left alone"
    with translated():
        await sides.looks.execute(blocks("verify.sql", "syncline.verify")["audit"], {"message": message})


def keys_of(report: Any) -> dict[str, list[str]]:
    """Read the divergent keys, by entity, out of the JSON of a ``VerifyReport``.

    Raises:
        SynclineError: it is no such report.

    """
    try:
        return {
            one["entity"]: [finding["key"] for finding in one["findings"] if finding["key"] is not None]
            for one in report["entities"]
        }
    except (TypeError, KeyError) as error:
        raise SynclineError(
            "this is not the report of a verification", hint="make one: syncline verify --json > report.json"
        ) from error
