"""Everything of a session that happens by the clock: leases, second deletes, new columns, history."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from syncline.config.settings import Settings
from syncline.errors import ConfigError, SourceError, StalePlanError, TargetUnavailableError
from syncline.model.new_columns import Newcomers
from syncline.model.notice import Notice
from syncline.ports import PENDING, Plan, Plans, Reinstall, Source, Target, Waker
from syncline.relay.conditions import Conditions
from syncline.relay.leases import Leases
from syncline.relay.pump import Pump
from syncline.relay.rest import Rest, Rhythm

LOOK_SECONDS = 1.0
LOOK_SHARE = 50.0
"""A look that takes long is taken less often."""
TABLES_SECONDS = 5.0
HOUSEKEEPING_SECONDS = 600.0
PROMOTED = 5000
"""Second deletes that a beat marks at most."""
STAYS = 3
"""Looks at what other workers have compiled that must say the same."""


def _severity(new: Newcomers) -> str:
    return "critical" if new.columns and new.policy == "stop" else "warning"


def _quicker(one: Rhythm | None, other: Rhythm | None) -> Rhythm | None:
    """Give the one of two rhythms that renews more often; ``None`` is the usual one."""
    return None if one is None or other is None else min(one, other, key=lambda rhythm: rhythm.pause)


CHANGED = "its table or its mapping has changed"


def refused(error: SourceError) -> str:
    """Say that workers' own marks are not taken, and what to do."""
    return f"marks of workers are refused, and what they are for waits: {error.message}; take that back"


class Keeper:
    """Renews the leases and does the small periodic duties of a session."""

    def __init__(
        self,
        source: Source,
        target: Target,
        plans: Plans,
        leases: Leases,
        pump: Pump,
        *,
        settings: Settings,
        compiled: dict[int, str],
        reinstall: Reinstall | None = None,
        rest: Rest,
        retry_due: float | None = None,
    ) -> None:
        self._source, self._journal = source, source.journal
        self._retry_due = retry_due
        """When entities that stand back are to be tried again (monotonic)."""
        self._target = target
        self._plans = plans
        self._leases = leases
        self._pump = pump
        self._settings = settings
        self._compiled = compiled
        """From what this worker has compiled its entities last, in this session or an earlier one."""
        self._prepared = False
        self._rest = rest
        self._rhythm: Rhythm | None = None
        self._more_due = False
        """More second deletes may be due than the last beat has marked."""
        self._stopping = asyncio.Event()
        self._stirred = asyncio.Event()
        self._lookout = source.lookout(reinstall, stopped=plans.problems)
        self._look_due = 0.0
        self._unsure = True
        """The tables may have changed between the compilation and the first look."""
        self._tables_due = 0.0
        self._housekeeping_due = 0.0
        self._conditions = Conditions(source.journal, plans, pump)
        self._otherwise: dict[int, tuple[str | None, int]] = {}
        """What another worker has made of an entity, and how often that was seen."""
        self._last = (time.monotonic(), 0)

    async def start(self) -> None:
        """Do everything once, before the pump starts."""
        await self._conditions.look(without=set(self._plans.pending))
        if self._lookout is not None:
            await self._lookout.look()  # after what is stopped has been said: of one cause there is one notice
        changed = await self._journal.entities.note_fingerprints(self._plans.by_id.values())
        for plan in self._plans.by_id.values():
            await self._look_at(plan, changed=plan.id in changed)
        await self._tell_of_new_columns()
        with suppress(TargetUnavailableError):
            await self._prepare_target()  # a worker that cannot is of no use, and takes no lanes from the others
        await self._beat()

    async def _look_at(self, plan: Plan, *, changed: bool) -> None:
        if changed:
            message = f"entity {plan.name}: its table or its mapping has changed; every record is being marked"
            await self._journal.notices.leave(Notice.MAPPING_CHANGED, "info", message, entity=plan.name)
        elif self._compiled.get(plan.id, plan.projection.fingerprint) != plan.projection.fingerprint:
            # Another worker was first to notice; until now this one has written what it made of the old table.
            await self._journal.tasks.request("backfill", plan.id, CHANGED)
        self._compiled[plan.id] = plan.projection.fingerprint

    async def _tell_of_new_columns(self) -> None:
        """Name the columns that came after the last installation, until the configuration or another one settles it."""
        news = {name: found for name, found in self._plans.newcomers.items() if found}
        for name, found in news.items():
            severity = max(map(_severity, found), key=("warning", "critical").index)
            message = f"entity {name}: {'; '.join(new.sentence for new in found)}"
            await self._journal.notices.leave(Notice.NEW_COLUMN, severity, message, entity=name)
        await self._journal.notices.end_others(Notice.NEW_COLUMN, still=list(news))

    async def close(self) -> None:
        """End what is under way beside ``run``."""
        if self._lookout is not None:
            await self._lookout.close()

    def stop(self) -> None:
        """End ``run`` after what it is doing."""
        self._stopping.set()
        self._stirred.set()

    def wake(self, *, called: bool) -> None:
        """Take in that somebody has notified: that ends a rest; a call of another worker is answered at once."""
        self._rest.interrupt()
        if called or self._rhythm is not self._rest.at_work:
            self._stirred.set()

    async def run(self) -> None:
        """Do it again and again, until stopped or cancelled."""
        period = self._settings.worker.renew.total_seconds()
        due = time.monotonic() + period
        while not await self._stopped_within(due - time.monotonic()):
            now = time.monotonic()  # before it was due, where somebody has called
            due = max(min(due, now) + period, now + period / 2)
            self._stirred.clear()  # whoever calls from here on ends the pause that begins below
            before = self._rest.rhythm()
            await self._beat(before.lease if before else None)
            self._rhythm = _quicker(before, self._rest.rhythm())  # the renewal may have met another worker
            self._pump.at_rest = self._rhythm is not None and self._rhythm is self._rest.at_rest
            if self._rhythm is not None and not self._more_due:
                due = time.monotonic() + self._rhythm.pause

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait; where renewals are fewer than usual, until somebody calls."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await (self._stopping if self._rhythm is None else self._stirred).wait()
        return self._stopping.is_set()

    async def _beat(self, lease: timedelta | None = None) -> None:
        self._leases.report = self._report()
        grown = self._leases.grown
        await self._leases.renew(prepare=self._prepare_target, busy=self._pump.in_flight.lanes, at_rest=lease)
        if self._leases.grown != grown:
            self._pump.wake()  # there are new lanes to read for
        waker = self._source.waker
        if waker is not None and (waker.has_lost_connection() or await self._wakes_nobody(waker)):
            self._pump.wake()  # no writer wakes it any more; its next read ends the session, or takes the wake lock
        promoted = await self._promote_deferred()
        self._more_due = promoted >= PROMOTED
        if promoted:
            self._pump.wake()
            if waker is not None:
                await waker.notify()  # they are of other workers' lanes, too
        now = time.monotonic()
        if self._retry_due is not None and now >= self._retry_due:
            raise StalePlanError("entities that stood back are tried again")
        if now >= self._look_due:
            await self._look_at_catalog()
            pause = LOOK_SECONDS if self._lookout is not None else TABLES_SECONDS
            self._look_due = now + max(pause, LOOK_SHARE * (time.monotonic() - now))
        if now >= self._tables_due:
            self._tables_due = now + TABLES_SECONDS
            await self._look_at_tables()
        if now >= self._housekeeping_due:
            self._housekeeping_due = now + HOUSEKEEPING_SECONDS
            await self._housekeeping()

    async def _promote_deferred(self) -> int:
        """Mark what is due for its second delete; a rule that somebody has put on the outbox stops nothing else."""
        try:
            return await self._source.marks.promote_deferred(PROMOTED)
        except SourceError as error:
            if not error.of_our_tables:
                raise
            await self._journal.notices.leave(Notice.SCHEMA_DAMAGED, "critical", refused(error))
            return 0

    async def _wakes_nobody(self, waker: Waker) -> bool:
        """Tell whether the worker on whose wake lock this one relies has died, or been replaced, which wakes nobody."""
        return self._pump.relies_on_another and not await waker.another_holds_still()

    async def _prepare_target(self) -> None:
        """Create what is declared, once, before a lane is taken: the first write must find the unique indexes."""
        if not self._prepared:
            await self._target.prepare([plan.entity for plan in self._plans.by_id.values()])
            self._prepared = True

    async def _look_at_tables(self) -> None:
        """Pick up what has changed about the clock and the records; say what cannot be served."""
        await self._journal.lanes.trim()
        durability = self._source.records.durability
        asynchronous = durability is not None and await durability.asynchronous_writers()
        self._pump.refresh(parked=await self._journal.entities.with_parked(), asynchronous=asynchronous)
        await self._conditions.look(without=await self._look_for_armed())
        if changed := await self._journal.entities.changed(self._plans):
            raise StalePlanError(changed)
        await self._look_for_newer_mappings()

    async def _look_at_catalog(self) -> None:
        """Pick up what has changed about the tables.

        Raises:
            StalePlanError: the entities must be compiled again.

        """
        changed = self._lookout is None or await self._lookout.look()
        if changed and self._lookout is not None:
            self._pump.wake()  # while `wake()` was gone marks were made that woke nobody
            self._conditions.forget()  # the notices, or what ends them, may have been dropped and put back
            await self._tell_of_new_columns()
        if (changed or self._unsure) and await self._journal.entities.tables_changed(self._plans):
            raise StalePlanError("the synced tables have changed")
        self._unsure = False
        if self._plans.problems and await self._journal.entities.others_installed(self._plans):
            raise StalePlanError("what is installed has changed")

    async def _look_for_armed(self) -> set[int]:
        """Pick up entities that an installation has armed since they were compiled; give those that still wait for it.

        Raises:
            StalePlanError: there is one to be served from now on.

        """
        states = await self._journal.entities.states()
        unserved = {*self._plans.pending, *self._pump.stopped_entities} - self._plans.by_id.keys()
        pending = {entity for entity in unserved if states.get(entity, ("", ""))[1] == PENDING}
        for entity in unserved - pending:
            name = states.get(entity, ("", ""))[0]
            if name and name not in self._plans.problems:
                raise StalePlanError(f"entity {name} can be served now")
        return pending

    async def _look_for_newer_mappings(self) -> None:
        """End when another worker compiles an entity otherwise: it is of another release, and started later.

        What this worker may have written of the newer one's backfill is marked again. While tables change another
        worker may have compiled what is older or newer by a moment; it compiles again: only what stays counts.

        Raises:
            ConfigError: such an entity.

        """
        noted = await self._journal.entities.fingerprints()
        for plan in self._plans.by_id.values():
            there = noted.get(plan.id, plan.projection.fingerprint)
            if there == plan.projection.fingerprint:
                self._otherwise.pop(plan.id, None)
                continue
            before, times = self._otherwise.get(plan.id, (there, 0))
            self._otherwise[plan.id] = there, times + 1 if there == before else 1
            if self._otherwise[plan.id][1] >= STAYS:
                await self._journal.tasks.request("backfill", plan.id, CHANGED)
                raise ConfigError(
                    f"entity {plan.name}: another worker, started later, compiles another mapping; this one ends",
                    hint="another release of Syncline does: start this one again with the same version",
                )

    async def _housekeeping(self) -> None:
        await self._journal.lanes.forget_workers()
        if self._settings.history.keep is not None:
            await self._journal.rotate_history(self._settings.history.keep)

    def _report(self) -> Mapping[str, Any]:
        then, marks = self._last
        now = time.monotonic()
        self._last = (now, self._pump.totals["marks"])
        rate = (self._pump.totals["marks"] - marks) / max(now - then, 0.001)
        error = self._leases.target_error
        return {
            **self._pump.totals,
            "rate": round(rate, 1),
            "lanes": len(self._leases.held),
            "target_error": error.message if error else None,
            "waits_at_gate": self._pump.waits_at_gate or None,
            "catalog": self._plans.catalog,
        }
