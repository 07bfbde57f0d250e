"""Verification of entities, one after the other, and the certificates that remain of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

from syncline.errors import ForeignTargetError
from syncline.model.masks import check_mask
from syncline.model.notice import Notice
from syncline.ports import Certificate, Checkpoint, Plan, same_system
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.progress import Phase, Recorder, restore_report
from syncline.verify.render import entity_as_dict
from syncline.verify.report import EntityReport, Mode, Verdict, VerifyReport

FORM = 2
"""Of what an unfinished pass keeps: another release's is begun again."""


async def verify(
    sides: Sides, plans: Sequence[Plan], options: Options | None = None, *, resume: bool = False
) -> VerifyReport:
    """Verify entities; full passes leave a certificate in the source.

    Args:
        sides: where to read.
        plans: the entities.
        options: how.
        resume: go on with the passes that an earlier call of the same kind left unfinished; entities that it had done
            with are not looked at again.

    Raises:
        ForeignTargetError: the target is a copy of something else.
        MappingError: a masked field does not exist.
        SourceUnavailableError, TargetUnavailableError: a side cannot be reached; nothing is known.
        SynclineError: another process is at the pass that was to be resumed.

    """
    options = options or Options()
    for plan in plans:
        check_mask(plan.projection)
    await check_belongs(sides)
    run = Run(sides, options)
    await run.prepare(plans, resume=resume)
    report = VerifyReport()
    for plan in plans:
        report.entities.append(await run.verify(plan))
    await run.end()
    situation = await sides.source.backlog.situation()
    report.queue, report.lag_seconds, report.workers = situation.queue, situation.lag_seconds, situation.workers
    return report


class Run:
    """Passes over several entities, one after the other, each of which can be resumed.

    The row of an entity that is done stays until the whole run is: whoever resumes need not do it again.
    """

    def __init__(self, sides: Sides, options: Options) -> None:
        self._sides, self._options = sides, options
        self._passes = None if options.scope is Mode.SAMPLE else sides.source.passes
        self._guard = ""
        self._resume = False
        self._several = False
        self._spooled = 0
        self._done: list[Checkpoint] = []

    async def prepare(self, plans: Sequence[Plan], *, resume: bool) -> None:
        """Look at what there is to be resumed, or forget it."""
        self._resume, self._several = resume, len(plans) > 1
        if self._passes is None:
            return
        self._guard = await self._passes.guard()
        if not resume:
            await self._passes.forget(plans)

    async def verify(self, plan: Plan) -> EntityReport:
        """Verify one entity, from where it was left or from the beginning."""
        passes, options = self._passes, self._options
        scope = scope_text(plan, options, self._guard)
        checkpoint = await passes.resume(plan, scope) if passes and self._resume else None
        if self._resume and options.taker is not None:
            options.taker.rewind(checkpoint.state["spooled"] if checkpoint else self._spooled)
        begin = None if passes is None else partial(passes.begin, plan, scope)
        recorder = Recorder(passes, begin, checkpoint=checkpoint, taker=options.taker)
        if checkpoint is not None and checkpoint.state["phase"] == Phase.DONE:
            report = EntityReport(plan.name, options.scope, datetime.now(UTC), options.first, options.end)
            restore_report(report, checkpoint)
        else:
            report = await Pass(self._sides, plan, options, recorder=recorder).run()
            if report.mode is Mode.FULL:
                await certify(self._sides, plan, report)
            if self._several:
                await recorder.finish(report)
            else:
                await recorder.end()
        if options.taker is not None:
            self._spooled = options.taker.position()
        if recorder.checkpoint is not None:
            self._done.append(recorder.checkpoint)
        return report

    async def end(self) -> None:
        """Forget the rows of a run that is done."""
        if self._passes is not None:
            for checkpoint in self._done:
                await self._passes.end(checkpoint)


def scope_text(plan: Plan, options: Options, guard: str) -> str:
    """Say what a pass is about: only one about the same can go on with it."""
    return json.dumps([FORM, options.scope.value, options.first, options.end, plan.projection.fingerprint, guard])


async def certify(sides: Sides, plan: Plan, report: EntityReport) -> None:
    """Leave the certificate of a full pass, and a notice while it found differences, whoever made it.

    One that finds no damage settles the notice of one that did: parked records are no damage, they count as failed.
    """
    facts = entity_as_dict(report, findings=20) | {"mapping": plan.projection.fingerprint}
    equal = report.verdict is Verdict.EQUAL
    proved = Certificate(
        report.as_of, report.records, report.verdict.value, facts, equal=equal, undamaged=report.undamaged
    )
    await sides.source.certificates.certify(plan, proved)
    if report.counts:
        counts = {kind.value: count for kind, count in report.counts.items()}
        told = diverged(report.entity, counts, report.as_of)
        await sides.source.certificates.warn(plan, Notice.DIVERGED, told)


def diverged(name: str, counts: Mapping[str, int], as_of: datetime) -> str:
    """Say in a line what a pass found."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(counts.items()) if count)
    when = f"{as_of:%Y-%m-%d %H:%M:%S %Z}"
    return f"{name}: {kinds}, as of {when}; see `syncline verify {name}`, correct them with `syncline repair`"


async def check_belongs(sides: Sides) -> None:
    """See that the target is this source's copy, before everything is called damage."""
    theirs = await sides.inspection.owner()
    if theirs is None:
        return
    ours, here = await sides.source.identity()
    if theirs.installation != ours or not same_system(theirs.system, here):
        raise ForeignTargetError(
            "the target is the copy of another source (or of an earlier installation of Syncline)",
            hint="check the target's URL; `syncline adopt` takes it over",
        )
