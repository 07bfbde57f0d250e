"""The end of the demo: a full verification, and what it proved in one line."""

from __future__ import annotations

from collections.abc import Callable

from syncline.config import Settings
from syncline.demo.formatting import duration, number
from syncline.demo.picture import Picture, Visible, percentile
from syncline.model.words import counted
from syncline.verify.one_pass import Step
from syncline.verify.render import sentence
from syncline.verify.report import Verdict, VerifyReport
from syncline.verify.verifier import verify
from syncline.wiring.sides import opened_sides


async def prove(settings: Settings, on_step: Callable[[Step], None]) -> VerifyReport:
    """Compare every record of both databases, in a full pass."""
    async with opened_sides(settings, on_step) as (sides, plans):
        return await verify(sides, list(plans.by_id.values()))


def proved(report: VerifyReport, picture: Picture) -> str:
    """Say in one line what was proved, and after what."""
    after = (
        f"after {counted(picture.commits.total, 'commit')}, {counted(picture.rollbacks, 'rollback')}, "
        f"{picture.kills} kill -9"
    )
    if report.verdict is not Verdict.EQUAL:
        return f"{sentence(report).rstrip('.')}; {after}"
    as_of = min(entity.as_of for entity in report.entities)
    records = sum(entity.records for entity in report.entities)
    where = counted(len(report.entities), "collection")
    return f"proved equal as of {as_of:%H:%M:%S %Z}: {number(records)} records in {where}, 0 differences, {after}"


def measured(picture: Picture) -> str:
    """Say how long commits took to be visible, with and without the time of the kill."""
    calm = [v.seconds for v in picture.visible if not _hurt(v, picture)]
    worst = max((v.seconds for v in picture.visible if _hurt(v, picture)), default=None)
    return (
        f"commit to visible: p50 {duration(percentile(calm, 50))}, p99 {duration(percentile(calm, 99))} "
        f"({counted(len(calm), 'probe')}, bursts included)"
        + ("" if worst is None else f"; {duration(worst)} at most while the worker was dead")
    )


def _hurt(visible: Visible, picture: Picture) -> bool:
    """Whether the record was on its way while there was no worker, or behind what had piled up then."""
    if not picture.killed:
        return False
    arrived = visible.committed + visible.seconds
    return arrived > picture.killed and (not picture.recovered or visible.committed < picture.recovered)
