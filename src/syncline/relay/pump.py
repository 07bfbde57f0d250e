"""The pump: how batches flow, several under way at a time, from reading over writing to acknowledging."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from syncline.config.settings import HistorySettings, WorkerSettings
from syncline.ending import Group
from syncline.errors import LaneLostError, TargetError, TargetGateError, TooOldError
from syncline.ports import Plan, Source, Target
from syncline.relay.acknowledger import Acknowledger, together
from syncline.relay.apart import MOST_REST, Apart
from syncline.relay.conflicts import Conflicts
from syncline.relay.idle import Idler
from syncline.relay.in_flight import DEPTH, InFlight
from syncline.relay.leases import Leases
from syncline.relay.outcome import Outcome
from syncline.relay.outranked import Outranked
from syncline.relay.poison import Poison
from syncline.relay.reader import Reader
from syncline.relay.recovery import Recovery
from syncline.relay.tally import Tally
from syncline.relay.work import Work
from syncline.relay.writer import Writer
from syncline.telemetry.observer import Drop, Dropped, Observer

GATHER_SECONDS = 0.005
"""After so long another batch is begun although a small one is being written: the target is far away."""


class Pump:
    """Moves marks of the held lanes into the target, for one session with the source.

    Within a batch: marks, ticket, states, writes, acknowledgement. Between batches only this is shared: a key is in one
    batch at a time, and states are read one batch after the other (those of an entity that is read apart beside them).
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        plans: Mapping[int, Plan],
        leases: Leases,
        observer: Observer,
        *,
        settings: WorkerSettings,
        history: HistorySettings,
        stopped: Mapping[int, str],
    ) -> None:
        self._leases = leases
        self._observer = observer
        self._poison = Poison()
        self._reader = Reader(
            source,
            plans,
            leases,
            stopped=stopped,
            poison=self._poison,
            range_=settings.batch_range,
            bytes_in_flight=settings.bytes_in_flight,
            admission=lambda: target.admission,
        )
        self._conflicts = Conflicts(source, target, plans)
        self._outranked = Outranked()
        self._writer = Writer(
            target,
            plans,
            settings,
            poison=self._poison,
            conflicts=self._conflicts,
            outranked=self._outranked,
            insert_backfills=self._reader.planner.insert_backfills,
        )
        self._acknowledger = Acknowledger(
            source,
            target,
            plans,
            leases,
            observer,
            outranked=self._outranked,
            settings=settings,
            history=history,
        )
        self._recovery = Recovery(target, plans, self._poison, observer)
        self._tally = Tally(plans, observer)
        self._idler = Idler(source.waker, poll=settings.poll.total_seconds())
        self.in_flight = InFlight(most_bytes=settings.bytes_in_flight)
        self._done: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._writing = 0  # of those that are not apart
        self._shared = 0  # batches so far that were not apart
        self._apart = 0
        self._apart_turn = asyncio.Lock()  # together they take one place among the batches under way
        self._stopping = False
        self._stop_asked = asyncio.Event()
        self._grown = leases.grown

    @property
    def wake(self) -> Any:
        """Call this to make an idle pump look again."""
        return self._idler.wake

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, nothing waits for its turn, and nothing is in trouble."""
        busy = self.in_flight.works or self._apart or self._reader.under_way.held_back or self._reader.stopped
        return not busy and self._recovery.down is None

    @property
    def at_rest(self) -> bool:
        """Whether the outbox is looked at seldom where writers wake."""
        return self._idler.at_rest

    @at_rest.setter
    def at_rest(self, rests: bool) -> None:
        self._idler.at_rest = rests

    @property
    def relies_on_another(self) -> bool:
        """Whether it sleeps for as long as another worker holds the wake lock."""
        return self._idler.relies_on_another

    @property
    def totals(self) -> Mapping[str, int]:
        """What was written so far."""
        return self._tally.totals

    @property
    def waits_at_gate(self) -> str:
        """The gate of the target at which all waits, if one is closed to links."""
        return self._recovery.waits_at_gate

    @property
    def stopped_entities(self) -> Mapping[int, str]:
        """Entities that cannot be served, and why."""
        return self._reader.stopped

    def refresh(self, *, parked: set[int], asynchronous: bool) -> None:
        """Take in what the keeper reads now and then."""
        self._acknowledger.refresh(parked)
        self._reader.planner.asynchronous |= asynchronous

    def stop(self) -> None:
        """Read no more; ``run`` returns when what is under way is acknowledged."""
        self._stopping = True
        self._stop_asked.set()
        self._idler.wake()

    async def run(self) -> None:
        """Pump until ``stop``.

        Raises:
            SourceUnavailableError: the session is over.
            StalePlanError: tables have changed; compile the plans again.

        """
        async with Group() as tasks:
            tasks.create_task(self._acknowledge_all())
            await self._read_all(tasks)
            await self._all_done()
            self._done.put_nowait(None)

    async def _read_all(self, tasks: asyncio.TaskGroup) -> None:
        more = True
        while not self._stopping:
            if self._recovery.down is not None:
                await self._all_done()
                await self._recovery.recover(self._pause)
                continue
            if self._poison.shrink:
                await self._all_done()  # one at a time, to see which one the target cannot stand
            await self._idler.before_read()
            await self.in_flight.take_place()
            self._look_for_new_lanes()  # nothing comes between this and what ``next`` reads for
            work, more = await self._reader.next(few=not more)
            if work is None:
                self.in_flight.give_back()
                if not more:
                    await self._idler.rest(retry=bool(self._reader.under_way.held_back))
                continue
            self._idler.stirred()
            self._shared += 1
            self.in_flight.works.add(work)
            for group in await self._reader.fill(work):
                self._apart += 1
                tasks.create_task(self._serve_apart(group))
            self.in_flight.weigh(work)
            self._writing += 1
            tasks.create_task(self._write_all(work))
            await self.in_flight.until(lambda: self.in_flight.has_room)
            if not more:
                await self._gather()
                if not self._reader.under_way.held_back:
                    await self._idler.settle()

    async def _gather(self) -> None:
        """Let changes come together while a small batch is written: many batches cost more than large ones."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self.in_flight.until(lambda: not self._writing)

    async def _all_done(self) -> None:
        await self.in_flight.until(lambda: not self.in_flight.works and not self._apart)

    async def _serve_apart(self, group: Apart) -> None:
        """Work off a group part by part, unless the target is in trouble: then it is left to a new pass."""
        shrink = self._poison.shrink
        while not self._stopping and self._recovery.down is None and self._poison.shrink == shrink:
            async with self._apart_turn:
                began, others = time.monotonic(), self._shared
                work = self._reader.part(group)
                if work is None:
                    break
                await self._serve_part(work, group)
                if self._shared > others:  # half of the time is theirs
                    await self._pause(min(time.monotonic() - began, MOST_REST))
        self._reader.join(group)
        self._apart -= 1
        self.in_flight.stir()
        self._idler.wake()

    async def _serve_part(self, work: Work, group: Apart) -> None:
        self.in_flight.works.add(work)
        await self._reader.planner.fill_part(work, group)
        await self.in_flight.take_place()
        self.in_flight.weigh(work)
        outcome = await self._writer.write(work)
        group.count(outcome)
        self._hand_on(outcome)
        await self.in_flight.until(lambda: work not in self.in_flight.works)

    async def _write_all(self, work: Work) -> None:
        """Write a batch that is not apart, then hand it on."""
        outcome = await self._writer.write(work)
        self._writing -= 1
        self._hand_on(outcome)

    def _hand_on(self, outcome: Outcome) -> None:
        self._reader.written(outcome)
        self.in_flight.stir()
        self._done.put_nowait(outcome)

    async def _acknowledge_all(self) -> None:
        async for outcomes in together(self._done, most=DEPTH):
            for outcome in outcomes:
                if outcome.failure is not None:
                    self._failed(outcome.work, outcome.failure)
            await self._acknowledger.acknowledge(outcomes)
            for outcome in outcomes:
                if outcome.failure is None:
                    self._succeeded(outcome)
                self._finish(outcome)

    def _failed(self, work: Work, failure: BaseException) -> None:
        """Nothing of this batch is known; its marks stay and are read again."""
        fenced_off = False
        if isinstance(failure, LaneLostError):
            self._leases.outrank(_lost(work, failure))
            fenced_off = not failure.unknown  # the target is well: nothing is waited for
        if isinstance(failure, TooOldError):
            self._reader.too_slow(work)
        elif isinstance(failure, TargetError) and not fenced_off:
            self._recovery.failed(work, failure)
        reason = Drop.GATE if isinstance(failure, TargetGateError) else Drop.FAILED
        self._observer.tell(Dropped(reason, str(failure), work.size))
        self._reader.restart()

    def _succeeded(self, outcome: Outcome) -> None:
        self._recovery.succeeded()
        self._reader.in_time()
        work, left = outcome.work, outcome.left()
        for entity, rejection in outcome.rejected:
            self._poison.parked((entity, rejection.key))
        # Who has nothing to forget does not look at these: most of the time nobody has.
        self._poison.succeeded(one for one in work.records() if one not in left)
        self._outranked.settled(one for one in work.records() if one not in left)
        for entity, touched in work.touched.items():
            self._conflicts.settled(entity, (key for key in touched.hints if (entity, key) not in left))
        for entity, rejections in outcome.rejected_by_entity().items():
            self._conflicts.parked(entity, [rejection.key for rejection in rejections])
        self._tally.count(outcome)

    def _finish(self, outcome: Outcome) -> None:
        work = outcome.work
        if outcome.waiting:
            self._reader.under_way.hold_back({record: self._conflicts.pause(record) for record in outcome.waiting})
        skipped = self._reader.under_way.skipped
        self._reader.release(work)
        self.in_flight.end(work)
        if skipped or outcome.failure is not None:
            self._idler.wake()

    async def _pause(self, seconds: float) -> None:
        """Wait; nothing but a stop ends that, neither writers nor failed batches."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop_asked.wait()

    def _look_for_new_lanes(self) -> None:
        if self._grown == self._leases.grown:
            return
        self._grown = self._leases.grown
        self._poison.forget_found()
        self._acknowledger.forget_parked()
        self._reader.restart(lanes_changed=True)


def _lost(work: Work, error: LaneLostError) -> dict[int, int]:
    """Give the lanes of a batch that have to be acquired under new epochs."""
    return {lane: epoch for lane, epoch in work.leases.items() if lane in error.lanes}
