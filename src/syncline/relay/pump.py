"""The pump: reads batches, writes them, acknowledges them, several under way at a time."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

from syncline.config.settings import HistorySettings, WorkerSettings
from syncline.ending import Group
from syncline.errors import LaneLostError, TargetError, TargetRefusedError
from syncline.model.mark import Hint
from syncline.model.notice import Notice
from syncline.ports import Acknowledgement, Plan, Rejection, Report, Source, Target
from syncline.relay.apart import MOST_REST, Apart
from syncline.relay.clock import Backoff
from syncline.relay.conflicts import Conflicts
from syncline.relay.idle import Idler
from syncline.relay.leases import Leases
from syncline.relay.outranked import CODE, Outranked
from syncline.relay.poison import Poison
from syncline.relay.reader import Reader
from syncline.relay.traces import Traces
from syncline.relay.work import Work
from syncline.relay.writer import TooOldError, Writer
from syncline.telemetry.observer import BatchDone, Drop, Dropped, Noticed, Observer, Unavailable

DEPTH = 4
"""Batches under way: one being read, two being written, one being acknowledged."""
GATHER_SECONDS = 0.005
"""After so long another batch is begun although a small one is being written: the target is far away."""
SUSPECT_PAUSE = timedelta(seconds=0.5)
"""Between tries of a record that is suspected to bring the target down: a server that stumbles gets over it."""


WRITTEN_AGAIN = "documents had versions above this source's; they are written again"
PARKED = "records are parked whose documents keep versions above this source's"


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
        self._source = source
        self._target = target
        self._plans = plans
        self._leases = leases
        self._observer = observer
        self._settings = settings
        self._history = history
        self._poison = Poison()
        self._reader = Reader(
            source,
            plans,
            leases,
            stopped=stopped,
            poison=self._poison,
            range_=settings.batch_range,
            bytes_in_flight=settings.bytes_in_flight,
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
            insert_backfills=self._reader.insert_backfills,
        )
        self._traces = Traces(source.marks.traces, observer)
        self._idler = Idler(source.waker, poll=settings.poll.total_seconds())
        self._slots = asyncio.Semaphore(DEPTH)
        self._under_way: set[Work] = set()
        self._done: asyncio.Queue[Work | None] = asyncio.Queue()
        self._bytes = 0
        self._writing = 0  # of those that are not apart
        self._shared = 0  # batches so far that were not apart
        self._apart = 0
        self._apart_turn = asyncio.Lock()  # together they take one place among the batches under way
        self._freed = asyncio.Event()
        self._stopping = False
        self._stop_asked = asyncio.Event()
        self._backoff = Backoff()
        self._down: TargetError | None = None
        self._parked: set[int] = set()
        self._parked_lately: set[int] = set()
        self._parked_unknown = True  # new lanes may have records that their last owner parked
        self.totals = {"applied": 0, "deleted": 0, "stale": 0, "rejected": 0, "batches": 0, "marks": 0}
        self._grown = leases.grown

    @property
    def wake(self) -> Any:
        """Call this to make an idle pump look again."""
        return self._idler.wake

    @property
    def relies_on_another(self) -> bool:
        """Whether it sleeps for as long as another worker holds the wake lock."""
        return self._idler.relies_on_another

    @property
    def stopped_entities(self) -> Mapping[int, str]:
        """Entities that cannot be served, and why."""
        return self._reader.stopped

    def lanes_under_way(self) -> Collection[int]:
        """List the lanes that have batches under way."""
        return {lane for work in self._under_way for lane in work.leases}

    def unfinished(self) -> dict[int, set[str]]:
        """List the keys, by entity, whose writes may be on their way to the target without anybody waiting for them."""
        keys: dict[int, set[str]] = {}
        for work in self._under_way:
            for entity, touched in work.touched.items() if work.sent else ():
                keys.setdefault(entity, set()).update(touched.hints)
        return keys

    def refresh(self, *, parked: set[int], asynchronous: bool) -> None:
        """Take in what the keeper reads now and then."""
        self._parked = parked | self._parked_lately
        self._parked_lately = set()
        self._parked_unknown = False
        self._reader.asynchronous |= asynchronous

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
            if self._down is not None:
                await self._recover()
                continue
            if self._poison.shrink:
                await self._all_done()  # one at a time, to see which one the target cannot stand
            await self._idler.before_read()
            await self._slots.acquire()
            self._look_for_new_lanes()  # nothing comes between this and what ``next`` reads for
            work, more = await self._reader.next(few=not more)
            if work is None:
                self._slots.release()
                if not more:
                    await self._idler.rest(retry=bool(self._reader.under_way.held_back))
                continue
            self._idler.stirred()
            self._shared += 1
            self._under_way.add(work)
            for group in await self._reader.fill(work):
                self._apart += 1
                tasks.create_task(self._serve_apart(group))
            self._bytes += work.bytes
            self._writing += 1
            tasks.create_task(self._write_all(work))
            while self._bytes > self._settings.bytes_in_flight and self._under_way:
                self._freed.clear()
                await self._freed.wait()
            if not more:
                await self._gather()
                if not self._reader.under_way.held_back:
                    await self._idler.settle()

    async def _gather(self) -> None:
        """Let changes come together while a small batch is written: many batches cost more than large ones."""
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                while self._writing:
                    self._freed.clear()
                    await self._freed.wait()

    async def _all_done(self) -> None:
        while self._under_way or self._apart:
            self._freed.clear()
            await self._freed.wait()

    async def _serve_apart(self, group: Apart) -> None:
        """Work off a group part by part, unless the target is in trouble: then it is left to a new pass."""
        shrink = self._poison.shrink
        while not self._stopping and self._down is None and self._poison.shrink == shrink:
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
        self._freed.set()
        self._idler.wake()

    async def _serve_part(self, work: Work, group: Apart) -> None:
        self._under_way.add(work)
        await self._reader.fill_part(work, group)
        await self._slots.acquire()
        self._bytes += work.bytes
        await self._writer.write(work)
        group.count(work)
        self._hand_on(work)
        while work in self._under_way:
            self._freed.clear()
            await self._freed.wait()

    async def _write_all(self, work: Work) -> None:
        """Write a batch that is not apart, then hand it on."""
        await self._writer.write(work)
        self._writing -= 1
        self._hand_on(work)

    def _hand_on(self, work: Work) -> None:
        self._reader.written(work)
        self._freed.set()
        self._done.put_nowait(work)

    async def _acknowledge_all(self) -> None:
        """Acknowledge what is written, as much at a time as has come together."""
        while (work := await self._done.get()) is not None:
            works = [work]
            leases = dict(work.leases)
            while not self._done.empty() and len(works) < DEPTH:
                following = self._done.get_nowait()
                if following is None:
                    self._done.put_nowait(None)
                    break
                if any(leases.get(lane, epoch) != epoch for lane, epoch in following.leases.items()):
                    await self._acknowledge(works)
                    works, leases = [], {}
                works.append(following)
                leases |= following.leases
            await self._acknowledge(works)

    async def _acknowledge(self, works: list[Work]) -> None:
        whole = Acknowledgement()
        for work in works:
            if work.failure is not None:
                self._failed(work)
                # Parts of it may have been written, or yet be. If its lanes are another worker's by now, no mark of
                # this batch is left to make that good: its keys are marked again.
                whole.leases |= work.leases
                continue
            ack = work.seal()
            if not self._target.deletes_twice:
                ack.absent = []
            if self._history.documents:
                ack.documents = work.applied(self._target)
            ack.unpark = self._parked_unknown or not self._parked.isdisjoint(work.touched)
            whole.merge(ack)
        if whole.leases:
            traced = await self._traces.of(whole.seqs)
            held = await self._source.marks.acknowledge(
                whole, grace=self._settings.grace, history=self._history.keep is not None
            )
            await self._refused(works, whole.leases.keys() - held)
            if traced and held >= whole.leases.keys():
                self._traces.delivered(traced, timedelta(seconds=time.monotonic() - works[0].begun))
                await self._traces.tidy()
            parked = {entity for entity, _ in whole.rejected}
            self._parked |= parked
            self._parked_lately |= parked
            await self._raise_alarm(works, held)
        for work in works:
            if work.failure is None:
                self._succeeded(work)
            self._finish(work)

    async def _raise_alarm(self, works: list[Work], held: Collection[int]) -> None:
        """Under leases that hold, nobody else may have written: say so, and take epochs above what stands there."""
        epochs: dict[int, int] = {}
        entities: dict[int, str] = {}
        for work in works:
            for record, epoch in work.outranked.items():
                lane = work.touched[record[0]].lanes[record[1]]
                if lane in held:
                    epochs[lane] = max(epoch, epochs.get(lane, 0))
                    entities[record[0]] = WRITTEN_AGAIN
                    self._outranked.raised([record])
            entities |= {entity: PARKED for entity, rejection in work.ack.rejected if rejection.code == CODE}
        for entity, what in entities.items():
            message = f"entity {self._plans[entity].name}: somebody else writes to the target: {what}"
            await self._source.journal.notices.leave(Notice.FOREIGN_VERSION, "critical", message)
            self._observer.tell(Noticed(Notice.FOREIGN_VERSION, "critical", message))
        if epochs:
            self._leases.outrank(epochs)

    async def _refused(self, works: list[Work], lanes: Collection[int]) -> None:
        """Another worker has these lanes: what was written for them is marked again, for it to read."""
        if not lanes:
            return
        self._leases.refused(lanes)
        lost: dict[int, list[str]] = {}
        for work in works:
            for entity, touched in work.touched.items():
                lost.setdefault(entity, []).extend(k for k, lane in touched.lanes.items() if lane in lanes)
        for entity, keys in lost.items():
            await self._source.marks.add(entity, keys, Hint.REPAIR)
        self._observer.tell(Dropped(Drop.LEASE_LOST, "the lease was lost", sum(map(len, lost.values()))))

    def _finish(self, work: Work) -> None:
        self._under_way.discard(work)
        self._bytes -= work.bytes
        if work.waiting:
            self._reader.under_way.hold_back({record: self._conflicts.pause(record) for record in work.waiting})
        skipped = self._reader.under_way.skipped
        self._reader.release(work)
        self._slots.release()
        self._freed.set()
        if skipped or work.failure is not None:
            self._idler.wake()

    def _succeeded(self, work: Work) -> None:
        self._backoff.reset()
        rejected: dict[int, list[Rejection]] = defaultdict(list)
        for entity, rejection in work.ack.rejected:
            rejected[entity].append(rejection)
            self._poison.parked((entity, rejection.key))
        parked = {(entity, rejection.key) for entity, rejection in work.ack.rejected}
        left = parked | work.waiting
        # Who has nothing to forget does not look at these: most of the time nobody has.
        self._poison.succeeded(one for one in work.records() if one not in left)
        self._outranked.settled(one for one in work.records() if one not in left)
        self._reader.in_time()
        took = timedelta(seconds=time.monotonic() - work.begun)
        marks = (
            Counter(mark[2] for mark in work.marks) if len(work.touched) > 1 else defaultdict(lambda: len(work.seqs))
        )
        for entity, touched in work.touched.items():
            plan, report = self._plans[entity], work.reports.get(entity, Report())
            present, absent = work.counts.get(entity, (0, 0))
            self._conflicts.settled(entity, (key for key in touched.hints if (entity, key) not in left))
            self._conflicts.parked(entity, [rejection.key for rejection in rejected[entity]])
            self.totals["applied"] += present
            self.totals["deleted"] += absent
            self.totals["stale"] += report.stale
            self.totals["rejected"] += len(rejected[entity])
            self._observer.tell(
                BatchDone(
                    plan.name,
                    plan.entity.collection,
                    marks=marks[entity],
                    applied=present,
                    deleted=absent,
                    stale=report.stale,
                    rejected=rejected[entity],
                    took=took,
                    keys=list(touched.hints) if self._observer.wants_keys else (),
                )
            )
        self.totals["batches"] += 1
        self.totals["marks"] += len(work.seqs)

    def _failed(self, work: Work) -> None:
        """Nothing of this batch is known; its marks stay and are read again."""
        if isinstance(work.failure, TooOldError):
            self._reader.too_slow(work)
        elif isinstance(work.failure, LaneLostError) and not work.failure.unknown:
            self._leases.outrank(_lost(work, work.failure))  # the target is well: nothing is waited for
        elif isinstance(work.failure, TargetError):
            if isinstance(work.failure, LaneLostError):
                self._leases.outrank(_lost(work, work.failure))
            self._down = work.failure
            self._poison.failed(list(work.records()))
        self._observer.tell(Dropped(Drop.FAILED, str(work.failure), len(work.seqs)))
        self._reader.restart()

    async def _recover(self) -> None:
        """Wait until the target takes a write. When it does, but a batch goes on failing, the batch is at fault."""
        await self._all_done()
        error = self._down
        assert error is not None  # noqa: S101  the caller has looked
        pause = self._backoff.next()
        if self._poison.suspects:
            pause = max(pause, SUSPECT_PAUSE)
        self._observer.tell(Unavailable("target", error, pause))
        await self._pause(pause.total_seconds())
        try:
            await self._target.probe()
        except TargetError as unavailable:
            self._down = unavailable
            self._poison.innocent()
            return
        self._down = None
        if isinstance(error, TargetRefusedError):
            self._poison.innocent()
            return  # no record is to blame, whatever the probe says
        culprit = self._poison.guilty(error.message)
        if self._poison.shrink and self._poison.suspect is None:
            self._backoff.reset()  # the search for the record goes on at once
        if culprit is not None:
            entity, key = culprit
            message = f"{self._plans[entity].name}/{key}: {error.message}"
            self._observer.tell(Noticed(Notice.POISON_RECORD, "warning", message))

    async def _pause(self, seconds: float) -> None:
        """Wait; nothing but a stop ends that, neither writers nor failed batches."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop_asked.wait()

    def _look_for_new_lanes(self) -> None:
        if self._grown == self._leases.grown:
            return
        self._grown = self._leases.grown
        self._poison.forget_sentences()
        self._parked_unknown = True
        self._reader.restart(lanes_changed=True)


def _lost(work: Work, error: LaneLostError) -> dict[int, int]:
    """Give the lanes of a batch that have to be acquired under new epochs."""
    return {lane: epoch for lane, epoch in work.leases.items() if lane in error.lanes}
