"""One pass over one entity: every record of the source against the target, and every id of the target."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from syncline.model.strict_bson import decoded, encoded
from syncline.ports import Plan, Stretch
from syncline.verify.masking import Mask
from syncline.verify.order import possible
from syncline.verify.pace import Pace
from syncline.verify.pages import ROWS, ahead
from syncline.verify.progress import Phase, Place, Recorder, restore_report
from syncline.verify.report import EntityReport, Finding, Kind, Mode
from syncline.verify.second_look import SecondLook
from syncline.verify.sides import Options, Sides, Step
from syncline.verify.spread import SpreadWalk
from syncline.verify.suspects import Suspects
from syncline.verify.walk import Walk, Walked
from syncline.verify.walking import make_walk

__all__ = ["Options", "Pass", "Sides", "Step"]


class Pass:
    """One pass over one entity.

    Where both sides sort keys alike, they are walked side by side, and one walk sees everything. Elsewhere documents
    are looked up by the source's keys, and then the target's ids in the source.

    Args:
        sides: where to read.
        plan: the entity.
        options: how.
        recorder: keeps how far it has come; a checkpoint that it has is where the pass begins.

    """

    def __init__(self, sides: Sides, plan: Plan, options: Options, *, recorder: Recorder | None = None) -> None:
        self._sides = sides
        self._plan = plan
        self._options = options
        self._mode = options.scope
        self._keys_only = self._mode is Mode.KEYS
        self._source_side, self._looks = sides.source, sides.source.looks
        self._inspection = sides.inspection
        self._pace = Pace(options.rate)
        self._recorder = recorder or Recorder(taker=options.taker)
        self._spread = False
        self._walk = self._make_walk()

    def _make_walk(self) -> Walk:
        """Choose how first looks are taken, and by how many processes."""
        sides, plan, keys_only, options = self._sides, self._plan, self._keys_only, self._options
        walk = make_walk(sides, plan, self._pace, keys_only=keys_only)
        executor, digests = sides.executor, sides.source.digests
        if executor is None or digests is None or self._mode is Mode.SAMPLE:
            return walk
        self._spread = True  # it keeps to the rate by itself
        limits: Any = {"rate": options.rate, "patience": options.patience}
        return SpreadWalk(walk, sides, digests, executor, plan, keys_only=keys_only, **limits)

    async def run(self) -> EntityReport:
        """Do it.

        Raises:
            PassLostError: another process goes on with it.

        """
        self._began = time.monotonic()
        await self._begin()
        try:
            if self._mode is Mode.SAMPLE:
                await self._some()
            if self._place.phase is Phase.SOURCE:
                await self._source()
            if self._place.phase is Phase.TARGET:
                await self._target()
            self._tell("again", len(self._suspects))
            await self._suspects.settle()
            await self._conclude()
        except BaseException:
            await self._recorder.release()
            raise
        self._report.seconds += time.monotonic() - self._began
        return self._report

    async def _begin(self) -> None:
        """Start from nothing, or from where another run ended."""
        options = self._options
        as_of = await self._looks.clock()
        self._report = EntityReport(self._plan.name, self._mode, as_of, options.first, options.end)
        self._report.named = bool(options.keys)
        self._suspects = Suspects(
            SecondLook(
                self._looks, self._inspection, self._plan, self._source_side.name, mask=Mask(self._plan.entity.mask)
            ),
            self._report,
            self._source_side.backlog,
            found=self._found,
            pulse=self._recorder.hold,
            patience=options.patience,
            keys_only=self._keys_only,
        )
        self._place = Place(Stretch(options.first, options.end))
        if self._mode is Mode.SAMPLE:
            self._place.phase = Phase.AGAIN
        else:
            self._place.horizon = await self._looks.horizon()
            await self._source_side.arrived(options.patience)
        checkpoint = self._recorder.checkpoint
        if checkpoint is not None and checkpoint.state:
            restore_report(self._report, checkpoint)
            self._suspects.restore(checkpoint.state["suspects"])
            self._place = Place.of(checkpoint.state, options.end)
        await self._walk.begin()

    async def _found(self, findings: Sequence[Finding]) -> None:
        for finding in findings:
            self._report.add(finding)
        if self._options.taker is not None:
            await self._options.taker.take(findings)

    async def _passed(self, records: int) -> None:
        """Look again at what is due, keep how far it has come, and keep the pace."""
        await self._suspects.tend()
        seconds = time.monotonic() - self._began
        await self._recorder.save(self._place, self._report, self._suspects, seconds=seconds)
        await self._pace.passed(records)

    # -- the source's side

    async def _source(self) -> None:
        both = await self._walk.side_by_side()
        async with aclosing(self._walk.walk(self._place.stretch, both=both)) as steps:
            async for step in steps:
                self._place.stretch = step.left
                if step.over:
                    self._place.phase = Phase.AGAIN  # behind the last stretch there is nothing, not everything
                await self._note(step)
                await self._passed(0 if self._spread else step.records)
        self._place.phase = Phase.AGAIN if both else Phase.TARGET
        self._place.stretch = Stretch(None, self._options.end)

    async def _note(self, step: Walked) -> None:
        """Take in what the first look says."""
        result = step.result
        self._suspects.add(sorted(result.suspects))
        self._suspects.add(result.extra)
        if result.foreign:
            await self._report_foreign(result.foreign)
        self._report.records += step.records
        self._report.documents += step.documents
        if len(self._report.sample) < 3:
            self._report.sample += [key for key in step.sample if key not in result.suspects][:3]
        estimated = self._plan.projection.shape.estimated_rows
        self._tell("source", self._report.records, estimated if estimated > 0 else None)

    # -- the target's side

    async def _target(self) -> None:
        place = self._place
        after = None if place.last_id is None else (decoded(place.last_id)["_id"],)
        async with aclosing(ahead(self._inspection.walk_ids(self._plan.entity, after=after))) as pages:
            async for ids in pages:
                self._report.documents += await self._orphans(ids)
                place.last_id = encoded({"_id": ids[-1]})
                await self._passed(len(ids))
                self._tell("target", self._report.documents, self._report.records)
        place.phase = Phase.AGAIN

    async def _orphans(self, ids: Sequence[Any]) -> int:
        """Suspect the ids that no row has; report those that no row can have. Return how many were of the range.

        A row that is newer than the pass may have been away when its place in the source was walked: it is looked at.
        """
        key_text = self._plan.projection.codec.key_text
        keys: dict[str, Any] = {}
        foreign: list[Any] = []
        for id_ in ids:
            key = key_text(id_)
            if key is None:
                foreign.append(id_)
            else:
                keys[key] = id_
        chosen = list(keys)
        impossible: list[str] = []
        if self._mode is Mode.RANGE:
            chosen, impossible = await self._looks.inside(self._plan, chosen, self._options.first, self._options.end)
        newer = None if self._keys_only else self._place.horizon
        absent = await self._looks.absent(self._plan, chosen, newer=newer)
        self._suspects.add(absent.keys)
        foreign += [keys[key] for key in (*impossible, *absent.impossible)]
        if foreign:
            await self._report_foreign(foreign)
        return len(ids) - len(keys) + len(chosen)

    async def _report_foreign(self, ids: Sequence[Any]) -> None:
        """Nothing of ours ever has such an id: one more look tells whether it is there still."""
        first = datetime.now(UTC)
        for start in range(0, len(ids), 500):
            found = await self._inspection.confirmed(self._plan, ids[start : start + 500])
            now = datetime.now(UTC)
            await self._found(
                [Finding(self._plan.name, Kind.FOREIGN, None, one.id, first_seen=first, confirmed=now) for one in found]
            )

    # -- some records only

    async def _some(self) -> None:
        keys = list(self._options.keys)
        if not keys:
            keys = await self._looks.sample(self._plan, self._options.sample)
            await self._orphans_of_sample()
        for start in range(0, len(keys), ROWS):
            await self._note(await self._walk.some(keys[start : start + ROWS]))
            await self._suspects.tend()

    async def _orphans_of_sample(self) -> None:
        ids = await self._inspection.sample_ids(self._plan.entity, self._options.sample)
        self._report.documents += await self._orphans(ids)

    # -- the end

    async def _conclude(self) -> None:
        """See that nothing from before the pass is still on its way."""
        report = self._report
        backlog = self._source_side.backlog
        until = time.monotonic() + self._options.patience.total_seconds()
        looks = 0
        while True:
            marks, tasks = await backlog.waiting(self._plan, report.as_of)
            workers = (await backlog.situation()).workers
            looks += 1
            if not (marks or tasks) or time.monotonic() > until or (not workers and looks >= 3):
                break
            await self._recorder.hold()
            await asyncio.sleep(0.2)
        if tasks:
            report.obstacles.append(f"{tasks} tasks (backfill, sweep) are not finished")
        if marks:
            report.obstacles.append(f"{marks} changes from before the pass wait to be applied")
        if (marks or tasks or report.lagging) and not workers:
            report.obstacles.append("no worker is running")
        parked = await backlog.parked_keys(self._plan)
        while self._suspects.suspect_unparked(parked):
            await self._suspects.settle()
            parked = await backlog.parked_keys(self._plan)
        report.parked = await self._count(parked)

    async def _count(self, parked: Sequence[str]) -> int:
        """Count the parked records that this pass is about."""
        options = self._options
        if not options.keys and options.first is None and options.end is None:
            return 0 if self._mode is Mode.SAMPLE else len(parked)
        if options.keys:
            return len(set(parked).intersection(options.keys))
        keys = possible(self._plan, parked)
        found, _ = await self._looks.inside(self._plan, keys, options.first, options.end)
        return len(found)

    def _tell(self, phase: str, done: int, total: int | None = None) -> None:
        self._sides.on_progress(Step(self._plan.name, phase, done, total))
