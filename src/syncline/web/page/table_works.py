"""What can be asked for on the page of a link whose source is an SQL database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from syncline.config import Settings
from syncline.insight import reach
from syncline.verify.one_pass import Options, Step
from syncline.verify.render import sentence
from syncline.verify.repair import Repairer
from syncline.verify.report import Verdict
from syncline.verify.verifier import verify
from syncline.web.page.jobs import Job, Work
from syncline.web.page.records import statements
from syncline.wiring.sides import opened_sides, require_right_side_of

RATE = 10_000
"""Records a second: the application feels little of it."""
PATIENCE = timedelta(seconds=60)


class TableWorks:
    """Verification, repair and backfill.

    Args:
        settings: both databases, and the entities as declared.

    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def by_name(self) -> Mapping[str, Work]:
        """Give them by name."""
        return {"verify": self.verify, "repair": self.repair, "backfill": self.backfill}

    async def verify(self, job: Job) -> tuple[str, str]:
        """Compare both sides."""
        async with opened_sides(self._settings, _teller(job)) as (sides, plans):
            report = await verify(sides, [plans.named(job.entity)], Options(patience=PATIENCE, rate=RATE))
        return "divergent" if report.verdict is Verdict.DIVERGENT else "done", sentence(report)

    async def repair(self, job: Job) -> tuple[str, str]:
        """Compare both sides, and mark what diverges."""
        async with opened_sides(self._settings, _teller(job)) as (sides, plans):
            plan = plans.named(job.entity)
            repairer = Repairer(sides, {plan.name: plan})
            await repairer.require_right_side()
            await verify(sides, [plan], Options(patience=PATIENCE, rate=RATE, taker=repairer))
            await repairer.audit()
        left = repairer.report.left_by.total()
        told = f"{repairer.report.marked_by.total():,} records marked" + (f", {left:,} left alone" if left else "")
        return (
            "divergent" if left else "done",
            f"{told}. A repair is not a verification: verify when the queue is empty.",
        )

    async def backfill(self, job: Job) -> tuple[str, str]:
        """Have every record marked."""
        await require_right_side_of(self._settings, [job.entity], "a backfill")
        async with reach.source(self._settings.source, purpose="page") as source:
            tasks = await reach.query(source, statements()["request"], {"entity": job.entity})
        return "done", "a worker marks every record" if tasks else "it was asked for already"


def _teller(job: Job) -> Callable[[Step], None]:
    def told(step: Step) -> None:
        job.done, job.total = step.done, step.total or 0

    return told
