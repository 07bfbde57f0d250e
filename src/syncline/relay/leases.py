"""Which lanes this worker may serve: acquire, renew, share, give back; and the detection of restored sides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, NoReturn

from syncline.errors import DamagedRecordError, ForeignTargetError, TargetUnavailableError
from syncline.model.mark import LANES
from syncline.model.notice import Notice
from syncline.ports import USUAL, Beat, Renewal, Source, Target
from syncline.relay.restores import Foreign, Restores, Verdict, judge_beat, judge_lanes
from syncline.telemetry.observer import LanesChanged, Noticed, Observer, Unavailable
from syncline.version import __version__

LOOKS = 3
"""How often a record of the target is compared anew before it is called somebody else's."""
ADOPT = "point [target] at another database; or, if the other one is gone for good, take it over: `syncline adopt`"


class Leases:
    """The lanes that one worker owns in one session with the source.

    ``held`` maps a lane to the epoch of its lease. A lane is in it only after its epoch was announced in the target and
    confirmed in the source; nothing is written for it before.
    """

    def __init__(
        self,
        source: Source,
        target: Target,
        restores: Restores,
        observer: Observer,
        *,
        name: str,
        ttl: timedelta,
    ) -> None:
        self.held: dict[int, int] = {}
        self.report: Mapping[str, Any] = {}
        self.target_error: TargetUnavailableError | None = None
        """Why the last renewal could not reach the target."""
        self.grown = 0
        """How often ``held`` has grown: whoever reads for it compares, and starts from the beginning for new lanes."""
        self._source = source
        self._lanes, self._notices = source.journal.lanes, source.journal.notices
        self._target = target
        self._restores = restores
        self._observer = observer
        self._name = name
        self._ttl = ttl
        self._lasting = False
        """Beats have been exchanged in this session."""
        self._sound = False
        """A renewal of this session has come to its end: what it read in the target was in order."""
        self._seen = ""
        """The newest nonce that is known to stand in the target."""
        self._leaving: dict[int, int] = {}
        self._confirmed_beat = 0
        self._alone = False
        self._above = 0
        """Epochs that somebody else has written under; ours are higher."""

    @property
    def alone(self) -> bool:
        """Whether this worker has every lane, the target answers, and no other worker was there lately."""
        return self._alone and len(self.held) == LANES and self.target_error is None

    async def renew(
        self,
        *,
        prepare: Callable[[], Awaitable[None]] | None = None,
        busy: Callable[[], Collection[int]] = tuple,
        at_rest: timedelta | None = None,
    ) -> None:
        """Renew, look for restores, take or give back lanes. Called every second or so.

        The source is told first that this worker lives, however long the target takes to answer.

        Args:
            prepare: makes the target ready for lanes.
            busy: lists the lanes that have batches under way; asked when lanes are given back.
            at_rest: how long the leases are where renewals are fewer than usual; ``None``: as long as ever.

        Raises:
            SourceUnavailableError: the session is over.
            ForeignTargetError: the target is another source's copy.
            DamagedRecordError: somebody has changed what the target remembers of its source or of a lane.
            VersionError: this release's time here is over.

        """
        renewal = await self._lanes.renew(
            name=self._name,
            version=__version__,
            ttl=at_rest or self._ttl,
            confirmed=self._confirmed_beat,
            report={**self.report, USUAL: self._ttl.total_seconds()} if at_rest else self.report,
            seen=self._seen,
        )
        self._alone = set(renewal.workers) <= {self._source.worker}
        _require(renewal)
        self._forget_lost(renewal)
        try:
            if prepare is not None:
                await prepare()
            await self._exchange_beats(renewal)
            await self._balance(renewal, busy)
            self.target_error = None
            if not self._sound:
                await self._notices.settle(Notice.TARGET_RECORD_DAMAGED)
                self._sound = True
        except DamagedRecordError as error:
            message = f"{error.message}: {error.hint}"
            await self._notices.leave(Notice.TARGET_RECORD_DAMAGED, "critical", f"{message}; this worker has ended")
            self._observer.tell(Noticed(Notice.TARGET_RECORD_DAMAGED, "critical", message))
            raise
        except TargetUnavailableError as error:
            # Nothing can be announced, and nothing needs to be: the pump cannot write either.
            if self.target_error is None:
                self._observer.tell(Unavailable("target", error, timedelta(seconds=1)))
            self.target_error = error

    def refused(self, lanes: Collection[int]) -> None:
        """Forget lanes whose acknowledgement was refused."""
        for lane in lanes:
            self.held.pop(lane, None)

    def outrank(self, epochs: Mapping[int, int]) -> None:
        """Serve these lanes under higher epochs than these from the next renewal on, which takes them anew."""
        self._above = max([self._above, *epochs.values()])
        for lane, epoch in epochs.items():
            if lane in self.held and self.held[lane] <= epoch:
                self._leaving[lane] = self.held.pop(lane)

    async def release_all(self) -> None:
        """Give every lane back and leave."""
        leases, self.held = {**self.held, **self._leaving}, {}
        self._leaving = {}
        if leases:
            await self._lanes.release(leases)
        await self._lanes.leave()
        await self._tell_others()

    async def _tell_others(self, *, call: bool = False) -> None:
        if self._source.waker is not None:
            await self._source.waker.notify(call=call)

    def _forget_lost(self, renewal: Renewal) -> None:
        for leases in (self.held, self._leaving):
            for lane, epoch in list(leases.items()):
                row = renewal.lanes[lane]
                if row.owner != self._source.worker or row.epoch != epoch:
                    del leases[lane]

    async def _exchange_beats(self, renewal: Renewal) -> None:
        """Compare both sides' memory of each other, then advance the target's.

        It is judged before it is overwritten, so that a crash in between judges again; and what was overwritten is
        judged too, in case the target was restored, or somebody else wrote to it, between the two.
        """
        identity = self._source.identity
        nonce = renewal.nonces[0] if renewal.nonces else ""
        mine = Beat(renewal.installation, identity.system, renewal.beat, identity.timeline, nonce, self._name)
        found = await self._target.read_beat()
        await self._answer(found, mine, renewal)
        before = await self._target.beat(mine, over=found.system if found else None)
        await self._answer(before, mine, renewal)
        if before is None or before.installation != mine.installation or before.count <= mine.count:
            self._seen = mine.nonce
        self._confirmed_beat = mine.count
        if not self._lasting:
            await self._notices.settle(Notice.FOREIGN_TARGET)
            self._lasting = True

    async def _answer(self, found: Beat | None, mine: Beat, renewal: Renewal) -> None:
        """Do what the target's record asks for: nothing, a reconciliation, or to end."""
        verdict = await self._judged(found, mine, renewal)
        if verdict is None:
            return
        if verdict == "foreign" or verdict == "forked":  # noqa: PLR1714  a type checker narrows by it
            assert found is not None  # noqa: S101  nothing is nobody's
            await self._refuse(found, verdict)
        await self._restores.reconcile(verdict)
        # What the target remembers of the lanes says the same once more: it is dealt with.
        stored = await self._target.lane_epochs()
        await self._lanes.acquire([], above=max(stored.values(), default=0))
        if found and verdict == "source behind":
            await self._lanes.raise_beat(found.count, found.nonce)
        await self._drop_all()

    async def _judged(self, found: Beat | None, mine: Beat, renewal: Renewal) -> Verdict | Foreign | None:
        """Judge; where another worker's renewal may be newer than ours, by what the source says now."""
        verdict = judge_beat(found, mine, renewal.confirmed_beat, nonces=renewal.nonces, lasting=self._lasting)
        for _ in range(LOOKS):
            if verdict not in ("source behind", "forked"):
                break
            newest = replace(mine, count=max(mine.count, await self._lanes.current_beat()))
            known = await self._lanes.nonces()
            verdict = judge_beat(found, newest, renewal.confirmed_beat, nonces=known, lasting=self._lasting)
            found = await self._target.read_beat()
        return verdict

    async def _refuse(self, found: Beat, verdict: Foreign) -> NoReturn:
        who = f"{found.worker or 'a worker'} at {found.system}"
        if verdict == "forked":
            await self._lanes.contest(who)
        how = "a copy of this source" if verdict == "forked" else "another source"
        message = (
            f"the target is written to by {how} ({who})" if self._lasting else f"the target belongs to {how} ({who})"
        )
        await self._notices.leave(Notice.FOREIGN_TARGET, "critical", f"{message}; this worker has ended")
        self._observer.tell(Noticed(Notice.FOREIGN_TARGET, "critical", message))
        raise ForeignTargetError(message, hint=ADOPT)

    async def _drop_all(self) -> None:
        """Start over with new epochs, which the target will be told."""
        leases, self.held = {**self.held, **self._leaving}, {}
        self._leaving = {}
        if leases:
            await self._lanes.release(leases)

    async def _balance(self, renewal: Renewal, busy: Callable[[], Collection[int]]) -> None:
        share = _share(renewal.workers, self._source.worker)
        await self._give_back(share, busy)
        want = share - len(self.held) - len(self._leaving)
        others = {
            lane: row for lane, row in renewal.lanes.items() if lane not in self.held and lane not in self._leaving
        }
        left = [lane for lane, row in others.items() if row.owner == self._source.worker]
        mine = [*left, *(lane for lane, row in others.items() if row.free and row.owner != self._source.worker)]
        if surplus := left[max(want, 0) :]:
            # An earlier session of this worker had them, and there are more workers now: nobody would ever serve them.
            await self._lanes.release({lane: others[lane].epoch for lane in surplus})
            await self._tell_others()
        if want > 0 and mine:
            await self._acquire(mine[:want], renewal)
        if want > len(mine) and await self._lanes.call():
            await self._tell_others(call=True)

    async def _give_back(self, share: int, busy: Callable[[], Collection[int]]) -> None:
        for lane in sorted(self.held)[share:]:
            self._leaving[lane] = self.held.pop(lane)
        under_way = set(busy())
        idle = {lane: epoch for lane, epoch in self._leaving.items() if lane not in under_way}
        if idle:
            await self._lanes.release(idle)
            for lane in idle:
                del self._leaving[lane]
            self._observer.tell(LanesChanged(len(self.held), LANES))
            await self._tell_others()

    async def _acquire(self, lanes: list[int], renewal: Renewal) -> None:
        """Source first, then the target's record, then confirmed in the source; only then is it held."""
        stored = await self._target.lane_epochs()
        verdict = judge_lanes(stored, renewal)
        if verdict == "source behind" and max(stored.values()) <= await self._lanes.current_epoch():
            verdict = None  # another worker's acquisition, newer than our renewal
        if verdict is not None:
            await self._restores.reconcile(verdict)
        taken = await self._lanes.acquire(lanes, above=max(self._above, *stored.values(), 0))
        if not taken:
            return
        announced = await self._target.announce(taken)
        sure = await self._lanes.confirm({lane: taken[lane] for lane in announced})
        unsure = {lane: epoch for lane, epoch in taken.items() if lane not in sure}
        if unsure:
            await self._lanes.release(unsure)
        self.held.update({lane: taken[lane] for lane in sure})
        self._observer.tell(LanesChanged(len(self.held), LANES))
        self.grown += 1


def _require(renewal: Renewal) -> None:
    """See that this worker may go on here.

    Raises:
        ForeignTargetError: somebody else was seen to write to the target.

    """
    if renewal.contested is not None:
        raise ForeignTargetError(
            f"a copy of this source has written to the target too ({renewal.contested})", hint=ADOPT
        )


def _share(workers: list[str] | Any, me: str) -> int:
    """How many lanes are this worker's part, so that the parts of all add up to every lane."""
    others = sorted({*workers, me})
    return LANES // len(others) + (others.index(me) < LANES % len(others))
