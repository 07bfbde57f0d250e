"""What ``verify`` and ``repair`` share: both sides opened, progress, findings as a table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from syncline.cli import progress
from syncline.cli.common import print_table

if TYPE_CHECKING:
    from syncline.ports import Plan, Plans
    from syncline.verify.one_pass import Step
    from syncline.verify.report import Finding

SHOWN = 20
"""Findings on the terminal; a report file has all."""
_PHASES = {"source": "comparing", "target": "looking for extra documents", "again": "looking again"}


def chosen(plans: Plans, names: Sequence[str]) -> list[Plan]:
    """Find the entities that were named; all when none was.

    Raises:
        ConfigError, MappingError: there is none of that name, or it does not fit its table.

    """
    if not names:
        names = [*(plan.name for plan in plans.by_id.values()), *plans.problems]
    return [plans.named(name) for name in names]


def progress_bar(*, quiet: bool) -> AbstractContextManager[Callable[[Step], None]]:
    """Show how far a verification has come, on standard error; nothing where nobody looks."""
    return nullcontext(lambda _: None) if quiet else progress.bars(_shown, transient=True)


def _shown(step: Step) -> progress.Shown:
    what = f"{step.entity}: {_PHASES[step.phase]}"
    return progress.Shown(what, what, done=step.done, total=step.total or None)


def print_findings(findings: Sequence[Finding]) -> None:
    """Show the first findings."""
    rows = []
    for finding in findings[:SHOWN]:
        key = finding.key if finding.key is not None else f"_id {finding.id!r}"
        fields = "; ".join(f"{d.field}: {_short(d.source)} ≠ {_short(d.target)}" for d in finding.differences[:4])
        fields = fields or finding.reason
        more = len(finding.differences) - 4
        seen = f"{finding.confirmed:%H:%M:%S}" if finding.confirmed else ""
        rows.append(
            (finding.entity, finding.kind.value, key, fields + (f"; and {more} more" if more > 0 else ""), seen)
        )
    if rows:
        print_table(("entity", "what", "key", "fields (source ≠ target)", "confirmed"), rows)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"
