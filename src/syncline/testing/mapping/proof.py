"""``verify`` and ``repair`` as their commands run them, for a test's databases."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

from syncline.config import Settings
from syncline.engines.postgres.verification.side import SqlSide
from syncline.ports import Plans
from syncline.verify.one_pass import Options, Sides
from syncline.verify.repair import repair
from syncline.verify.report import VerifyReport
from syncline.verify.verifier import verify
from syncline.wiring import inspection, open_plans, opened_source, opened_target


async def prove(settings: Settings, patience: timedelta) -> VerifyReport:
    """Compare every record, in a full pass."""
    async with _sides(settings) as (sides, plans):
        names = [*(plan.name for plan in plans.by_id.values()), *plans.problems]
        return await verify(sides, [plans.named(name) for name in names], Options(patience=patience))


async def repair_all(settings: Settings, report: VerifyReport) -> None:
    """Mark everything that was found."""
    async with _sides(settings) as (sides, plans):
        by_name = {plan.name: plan for plan in plans.by_id.values()}
        await repair(sides, by_name, [finding for one in report.entities for finding in one.findings])


@contextlib.asynccontextmanager
async def _sides(settings: Settings) -> AsyncIterator[tuple[Sides, Plans]]:
    async with (
        opened_target(settings) as target,
        opened_source(settings, keyed=True) as pages,
        opened_source(settings, keyed=True) as looks,
    ):
        yield Sides(SqlSide(pages, looks), inspection(target)), await open_plans(settings, looks)
