"""The writing half of the pump: a batch's writes, and what becomes of each record."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from syncline.clock import boottime
from syncline.config.settings import WorkerSettings
from syncline.errors import LaneLostError, SynclineError, TableLockedError, TargetError, TargetRefusedError, TooOldError
from syncline.ports import Batch, Plan, Rejection, Report, Target
from syncline.relay.conflicts import Conflicts
from syncline.relay.outcome import Outcome
from syncline.relay.outranked import Outranked
from syncline.relay.poison import Poison
from syncline.relay.work import Work


class Writer:
    """Writes batches, several at a time, and tells of each what became of its records."""

    def __init__(
        self,
        target: Target,
        plans: Mapping[int, Plan],
        settings: WorkerSettings,
        *,
        poison: Poison,
        conflicts: Conflicts,
        outranked: Outranked,
        insert_backfills: dict[int, bool],
    ) -> None:
        self._target = target
        self._plans = plans
        self._max_age = settings.max_batch_age.total_seconds()
        self._places = asyncio.Semaphore(settings.writers)
        self._poison = poison
        self._conflicts = conflicts
        self._outranked = outranked
        self._insert_backfills = insert_backfills

    async def write(self, work: Work) -> Outcome:
        """Write a batch's chunks side by side, then what is written alone, then settle conflicts."""
        outcome = Outcome(work)
        if len(work.writes) == 1:
            await self._write(outcome, *work.writes[0])
        elif work.writes:
            await asyncio.gather(*(self._write(outcome, plan, batch) for plan, batch in work.writes))
        for plan, batch in work.lone:
            if outcome.failure is None:
                await self._write_alone(outcome, plan, batch)
        if outcome.failure is None:
            await self._settle_conflicts(outcome)
        return outcome

    async def _write(self, outcome: Outcome, plan: Plan, batch: Batch) -> None:
        async with self._places:
            if outcome.failure is not None:
                return
            try:
                report = await self._apply(outcome.work, batch)
            except TargetError as error:
                outcome.failure = error
                return
        self._written(outcome, plan, batch, report)

    async def _write_alone(self, outcome: Outcome, plan: Plan, batch: Batch) -> None:
        """Write a record that the target could not stand before. Its failure is its own, while the target is well."""
        record = plan.id, batch.upserts[0].key
        try:
            async with self._places:
                report = await self._apply(outcome.work, batch)
        except TooOldError:
            outcome.waiting.add(record)
        except TargetError as error:
            if isinstance(error, (TargetRefusedError, LaneLostError)) or not await self._is_well():
                outcome.failure = error
            elif self._poison.failed_alone(record):
                outcome.reject(plan, [Rejection(record[1], "poison", error.message)])
            else:
                outcome.waiting.add(record)
        else:
            self._written(outcome, plan, batch, report)

    async def _apply(self, work: Work, batch: Batch) -> Report:
        if boottime() - work.started > self._max_age:
            raise TooOldError
        work.sent = True
        try:
            return await self._target.apply(batch)
        except SynclineError:
            raise
        except Exception as error:  # whatever it is, a record that brings it about is found and parked
            raise TargetError(f"{type(error).__name__}: {error}") from error

    async def _is_well(self) -> bool:
        try:
            await self._target.probe()
        except TargetError:
            return False
        return True

    def _written(self, outcome: Outcome, plan: Plan, batch: Batch, report: Report) -> None:
        outcome.reports.setdefault(plan.id, Report()).add(report)
        if report.rejected:
            outcome.reject(plan, report.rejected)
        if report.outranked:
            parked, again = self._outranked.judge(plan.id, report.outranked)
            outcome.reject(plan, parked)
            outcome.outranked |= again
            outcome.waiting |= again.keys()
        if report.unknown:
            outcome.waiting |= {(plan.id, key) for key in report.unknown}
        if batch.inserts and report.present:
            self._insert_backfills[plan.id] = report.present * 2 < len(batch.inserts)

    async def _settle_conflicts(self, outcome: Outcome) -> None:
        for entity, report in outcome.reports.items():
            if report.conflicts:
                work = outcome.work
                touched = work.touched[entity]
                tickets = {c.key: work.ticket_of(touched.lanes[c.key]) for c in report.conflicts}
                try:
                    rejected, waiting = await self._conflicts.settle(self._plans[entity], report.conflicts, tickets)
                except TargetError as error:
                    outcome.failure = error
                    return
                except TableLockedError:  # who holds the values cannot be seen now: all are tried again
                    rejected, waiting = [], set(tickets)
                except SynclineError:
                    raise
                except Exception as error:  # noqa: BLE001  as in a write: a value that the driver stumbles over
                    outcome.failure = TargetError(f"{type(error).__name__}: {error}")
                    return
                outcome.reject(self._plans[entity], rejected)
                outcome.waiting |= {(entity, key) for key in waiting}
