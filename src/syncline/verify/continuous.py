"""Verification that never ends: one worker at a time, entity after entity, slowly. It repairs nothing.

The one row of origin ``worker`` in ``syncline.verification`` says whose turn it is and how far that pass has come.
Whoever claims it verifies; when that worker dies, another one goes on where it was.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta

from syncline.errors import SynclineError
from syncline.model.masks import check_mask
from syncline.model.notice import Notice
from syncline.ports import Plan, Rounds, Turn
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.progress import Recorder
from syncline.verify.verifier import certify, check_belongs, scope_text

IDLE_SECONDS = 2.0
"""Between two looks whether something is to be done."""
TROUBLE_SECONDS = 5.0
STAND_BACK_SECONDS = 300.0
"""How long an entity that cannot be verified stands back."""
SLOWEST = 50.0
"""Records a second at least, however long the period is."""
SHARE = 0.8
"""Part of the period that passes are spread over; the rest is for what comes between."""

Open = Callable[[], AbstractAsyncContextManager[Sides]]
Copies = Mapping[int, tuple[str, bool]]
"""By entity, which copy of its table was the last one, and whether it is under way."""


class Continuous:
    """Verifies every entity once in a period, until cancelled.

    Args:
        plans: the compiled entities by id.
        owner: id of the worker (a UUID as text).
        opened: opens both sides, on connections of its own.
        period: how often each entity is verified.
        rate: records a second at most.

    """

    def __init__(self, plans: Mapping[int, Plan], *, owner: str, opened: Open, period: timedelta, rate: float) -> None:
        self._plans = plans
        self._owner = owner
        self._opened = opened
        self._period = period.total_seconds()
        self._rate = rate
        self._struck: dict[int, float] = {}

    async def run(self) -> None:
        """Verify; trouble with either side is waited out, the worker's own work goes on meanwhile."""
        while True:
            try:
                async with self._opened() as sides:
                    await check_belongs(sides)
                    rounds = sides.source.rounds(self._owner)
                    while True:
                        if not await self._turn(sides, rounds):
                            await asyncio.sleep(IDLE_SECONDS)
            except SynclineError:
                await asyncio.sleep(TROUBLE_SECONDS)

    async def _turn(self, sides: Sides, rounds: Rounds) -> bool:
        """Do the next pass; false: another worker does, or there is none to do yet."""
        turn = await rounds.claim()
        if turn is None:
            return False
        guard = await rounds.passes.guard()
        copies = await rounds.copies()
        plan = self._plans.get(turn.entity)
        if plan is None or turn.scope != _scope(plan, guard, copies) or not self._is_ready(plan, copies):
            plan = await self._due(rounds, copies)
            if plan is None:
                return False
            turn = await rounds.begin(turn, plan, _scope(plan, guard, copies))
        try:
            await self._verify(sides, rounds, plan, turn, copies)
        except SynclineError as error:
            if error.retryable:
                raise
            self._struck[plan.id] = time.monotonic() + STAND_BACK_SECONDS
            message = f"{plan.name}: cannot be verified: {error.message}"
            await sides.source.certificates.warn(plan, Notice.VERIFY_FAILED, message)
        return True

    async def _verify(self, sides: Sides, rounds: Rounds, plan: Plan, turn: Turn, copies: Copies) -> None:
        check_mask(plan.projection)
        options = Options(rate=self._pace())
        recorder = Recorder(rounds.passes, checkpoint=turn.checkpoint)
        report = await Pass(sides, plan, options, recorder=recorder).run()
        if (await rounds.copies()).get(plan.id) == copies.get(plan.id):  # else it may have seen a table half copied
            await certify(sides, plan, report)
        await rounds.done(turn)

    async def _due(self, rounds: Rounds, copies: Copies) -> Plan | None:
        """Choose the entity that was not verified for the longest time, and for a period at least."""
        ages = await rounds.ages()
        waiting = [plan for plan in self._plans.values() if self._is_ready(plan, copies)]
        oldest = max(waiting, key=lambda plan: ages.get(plan.id, float("inf")), default=None)
        if oldest is None or ages.get(oldest.id, float("inf")) < self._period:
            return None
        return oldest

    def _is_ready(self, plan: Plan, copies: Copies) -> bool:
        """Tell whether it can be verified: neither did that fail just now, nor is its table being copied."""
        under_way = plan.id in copies and copies[plan.id][1]
        return not under_way and self._struck.get(plan.id, 0.0) <= time.monotonic()

    def _pace(self) -> float:
        """Spread all records over the period, as far as the rate allows."""
        records = sum(max(0, plan.projection.shape.estimated_rows) for plan in self._plans.values())
        return min(self._rate, max(SLOWEST, records / (SHARE * self._period)))


def _scope(plan: Plan, guard: str, copies: Copies) -> str:
    """Say what a pass is about; one from before a copy of the table is begun again."""
    scope = scope_text(plan, Options(), guard)
    return f"{scope} {copies[plan.id][0]}" if plan.id in copies else scope
