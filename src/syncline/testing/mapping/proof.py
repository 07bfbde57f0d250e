"""``verify`` and ``repair`` as their commands run them, for a test's databases."""

from __future__ import annotations

from datetime import timedelta

from syncline.config import Settings
from syncline.verify.one_pass import Options
from syncline.verify.repair import repair
from syncline.verify.report import VerifyReport
from syncline.verify.verifier import verify
from syncline.wiring.sides import opened_sides


async def prove(settings: Settings, patience: timedelta) -> VerifyReport:
    """Compare every record, in a full pass."""
    async with opened_sides(settings) as (sides, plans):
        names = [*(plan.name for plan in plans.by_id.values()), *plans.problems]
        return await verify(sides, [plans.named(name) for name in names], Options(patience=patience))


async def repair_all(settings: Settings, report: VerifyReport) -> None:
    """Mark everything that was found."""
    async with opened_sides(settings) as (sides, plans):
        by_name = {plan.name: plan for plan in plans.by_id.values()}
        await repair(sides, by_name, [finding for one in report.entities for finding in one.findings])
