"""The acknowledging half of the pump: marks go under the lease, and what somebody else has written is made good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import timedelta

from syncline.config.settings import HistorySettings, WorkerSettings
from syncline.model.mark import Hint
from syncline.model.notice import Notice
from syncline.ports import Acknowledgement, Plan, Source, Target
from syncline.relay.leases import Leases
from syncline.relay.outcome import Outcome
from syncline.relay.outranked import CODE, Outranked
from syncline.relay.traces import Traces
from syncline.telemetry.observer import Drop, Dropped, Noticed, Observer

WRITTEN_AGAIN = "documents had versions above this source's; they are written again"
PARKED = "records are parked whose documents keep versions above this source's"


async def together(done: asyncio.Queue[Outcome | None], *, most: int) -> AsyncIterator[list[Outcome]]:
    """Take what is written from a queue, as much at a time as has come together, until ``None`` is met.

    Those of one group have the same epoch in each lane.
    """
    while (outcome := await done.get()) is not None:
        group, leases = [outcome], dict(outcome.work.leases)
        while not done.empty() and len(group) < most:
            following = done.get_nowait()
            if following is None:
                done.put_nowait(None)
                break
            if any(leases.get(lane, epoch) != epoch for lane, epoch in following.work.leases.items()):
                yield group
                group, leases = [], {}
            group.append(following)
            leases |= following.work.leases
        yield group


class Acknowledger:
    """Acknowledges batches, for one session with the source."""

    def __init__(
        self,
        source: Source,
        target: Target,
        plans: Mapping[int, Plan],
        leases: Leases,
        observer: Observer,
        *,
        outranked: Outranked,
        settings: WorkerSettings,
        history: HistorySettings,
    ) -> None:
        self._source = source
        self._target = target
        self._plans = plans
        self._leases = leases
        self._observer = observer
        self._outranked = outranked
        self._grace = settings.grace
        self._history = history
        self._traces = Traces(source.marks.traces, observer)
        self._parked: set[int] = set()
        self._parked_lately: set[int] = set()
        self._parked_unknown = True  # new lanes may have records that their last owner parked

    def refresh(self, parked: set[int]) -> None:
        """Take in which entities have parked records."""
        self._parked = parked | self._parked_lately
        self._parked_lately = set()
        self._parked_unknown = False

    def forget_parked(self) -> None:
        """Count on parked records in every entity: there are new lanes."""
        self._parked_unknown = True

    async def acknowledge(self, outcomes: Sequence[Outcome]) -> None:
        """Acknowledge batches in one statement.

        Of one that failed parts may have been written, or yet be. If its lanes are another worker's by now, no mark of
        it is left to make that good: its keys are marked again.
        """
        whole = Acknowledgement()
        for outcome in outcomes:
            whole.merge(self._complete(outcome))
        if not whole.leases:
            return
        traced = await self._traces.of(whole.marks)
        held = await self._source.marks.acknowledge(whole, grace=self._grace, history=self._history.keep is not None)
        await self._refused(outcomes, whole.leases.keys() - held)
        if traced and held >= whole.leases.keys():
            self._traces.delivered(traced, timedelta(seconds=time.monotonic() - outcomes[0].work.begun))
            await self._traces.tidy()
        parked = {entity for entity, _ in whole.rejected}
        self._parked |= parked
        self._parked_lately |= parked
        await self._raise_alarm(outcomes, held)

    def _complete(self, outcome: Outcome) -> Acknowledgement:
        ack = outcome.acknowledgement()
        if outcome.failure is None:
            if not self._target.deletes_twice:
                ack.absent = []
            if self._history.documents:
                ack.documents = outcome.applied(self._target)
            ack.unpark = self._parked_unknown or not self._parked.isdisjoint(outcome.work.touched)
        return ack

    async def _refused(self, outcomes: Sequence[Outcome], lanes: Collection[int]) -> None:
        """Another worker has these lanes: what was written for them is marked again, for it to read."""
        if not lanes:
            return
        self._leases.refused(lanes)
        lost: dict[int, list[str]] = {}
        for outcome in outcomes:
            for entity, touched in outcome.work.touched.items():
                lost.setdefault(entity, []).extend(k for k, lane in touched.lanes.items() if lane in lanes)
        for entity, keys in lost.items():
            await self._source.marks.add(entity, keys, Hint.REPAIR)
        self._observer.tell(Dropped(Drop.LEASE_LOST, "the lease was lost", sum(map(len, lost.values()))))

    async def _raise_alarm(self, outcomes: Sequence[Outcome], held: Collection[int]) -> None:
        """Under leases that hold, nobody else may have written: say so, and take epochs above what stands there."""
        epochs: dict[int, int] = {}
        entities: dict[int, str] = {}
        for outcome in outcomes:
            for record, epoch in outcome.outranked.items():
                lane = outcome.work.touched[record[0]].lanes[record[1]]
                if lane in held:
                    epochs[lane] = max(epoch, epochs.get(lane, 0))
                    entities[record[0]] = WRITTEN_AGAIN
                    self._outranked.raised([record])
            entities |= {entity: PARKED for entity, rejection in outcome.rejected if rejection.code == CODE}
        for entity, what in entities.items():
            message = f"entity {self._plans[entity].name}: somebody else writes to the target: {what}"
            await self._source.journal.notices.leave(Notice.FOREIGN_VERSION, "critical", message)
            self._observer.tell(Noticed(Notice.FOREIGN_VERSION, "critical", message))
        if epochs:
            self._leases.outrank(epochs)
