"""Verification of entities, one after the other, and the certificates that remain of it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime

import psycopg
from psycopg.types.json import Jsonb

from syncline.errors import ForeignTargetError
from syncline.journal.notices import leave_notice
from syncline.model.masks import check_mask
from syncline.model.notice import Notice
from syncline.ports import Plan, same_system
from syncline.postgres.connection import fetch_one, identify, translated
from syncline.postgres.sql import blocks
from syncline.verify.journal import Checkpoint, Journal
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.progress import Phase, Recorder, restore_report
from syncline.verify.render import entity_as_dict
from syncline.verify.report import EntityReport, Mode, Verdict, VerifyReport

_QUERIES = "verify.sql", "syncline.verify"
_ESCAPED = re.compile(r"(?<!\\)((?:\\\\)*)\\u[0-9a-f]{4}")
FORM = 2
"""Of what an unfinished pass keeps: another release's is begun again."""
KEEP = 1000
"""Certificates of an entity that are kept."""


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
        MappingError: a masked field is none.
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
    row = await fetch_one(sides.looks, blocks(*_QUERIES)["situation"])
    report.queue, report.lag_seconds, report.workers = row
    return report


class Run:
    """Passes over several entities, one after the other, each of which can be resumed.

    The row of an entity that is done stays until the whole run is: whoever resumes need not do it again.
    """

    def __init__(self, sides: Sides, options: Options) -> None:
        self._sides, self._options = sides, options
        self._journal = None if options.scope is Mode.SAMPLE else Journal(sides.looks)
        self._guard = ""
        self._resume = False
        self._several = False
        self._spooled = 0
        self._done: list[Checkpoint] = []

    async def prepare(self, plans: Sequence[Plan], *, resume: bool) -> None:
        """Look at what there is to be resumed, or forget it."""
        self._resume, self._several = resume, len(plans) > 1
        if self._journal is None:
            return
        self._guard = await self._journal.guard()
        if not resume:
            await self._journal.forget(plans)

    async def verify(self, plan: Plan) -> EntityReport:
        """Verify one entity, from where it was left or from the beginning."""
        journal, options = self._journal, self._options
        scope = scope_text(plan, options, self._guard)
        checkpoint = await journal.resume(plan, scope) if journal and self._resume else None
        if self._resume and options.taker is not None:
            options.taker.rewind(checkpoint.state["spooled"] if checkpoint else self._spooled)
        recorder = Recorder(journal, plan, scope, checkpoint, options.taker)
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
        if self._journal is not None:
            for checkpoint in self._done:
                await self._journal.end(checkpoint)


def scope_text(plan: Plan, options: Options, guard: str) -> str:
    """Say what a pass is about: only one about the same can go on with it."""
    return json.dumps([FORM, options.scope.value, options.first, options.end, plan.projection.fingerprint, guard])


async def certify(sides: Sides, plan: Plan, report: EntityReport) -> None:
    """Leave the certificate of a full pass, and a notice while it found differences, whoever made it.

    One that finds no damage settles the notice of one that did: parked records are no damage, they count as failed.
    """
    facts = entity_as_dict(report, findings=20) | {"mapping": plan.projection.fingerprint}
    values = {
        "entity": plan.id,
        "as_of": report.as_of,
        "records": report.records,
        "verdict": report.verdict.value,
        "report": Jsonb(facts, dumps=_storable),
        "keep": KEEP,
    }
    queries = blocks(*_QUERIES)
    with translated():
        try:
            await sides.looks.execute(queries["certify"], values)
        except psycopg.errors.UntranslatableCharacter:  # a source in LATIN1 has no place for what a document may hold
            plain = values | {"report": Jsonb(facts, dumps=_plain)}
            await sides.looks.execute(queries["certify"], plain)
        await sides.looks.execute(queries["forget_certificates"], values)
        equal = report.verdict is Verdict.EQUAL
        told = {"entity": plan.name, "equal": equal, "undamaged": report.undamaged}
        await sides.looks.execute(queries["settled"], told)
    if report.counts:
        await leave_notice(sides.looks, Notice.DIVERGED, "warning", _diverged(report), entity=plan.name)


def _diverged(report: EntityReport) -> str:
    kinds = ", ".join(f"{count:,} {kind.value}" for kind, count in sorted(report.counts.items()))
    when = f"{report.as_of:%Y-%m-%d %H:%M:%S %Z}"
    name = report.entity
    return f"{name}: {kinds}, as of {when}; see `syncline verify {name}`, mend with `syncline repair`"


def _storable(facts: object) -> str:
    """Write JSON that ``jsonb`` takes: it has no NUL character, and a document in the target may."""
    return json.dumps(facts, ensure_ascii=True).replace("\\u0000", "\\ufffd")


def _plain(facts: object) -> str:
    """Write JSON without any character beyond ASCII."""
    return _ESCAPED.sub(r"\1?", json.dumps(facts, ensure_ascii=True))


async def check_belongs(sides: Sides) -> None:
    """See that the target is this source's copy, before everything is called damage."""
    (_, _, ours, *_) = await fetch_one(sides.looks, blocks("queries.sql")["installation"])
    theirs = await sides.inspection.owner()
    if theirs is None:
        return
    here = (await identify(sides.looks)).system
    if theirs.installation != ours or not same_system(theirs.system, here):
        raise ForeignTargetError(
            "the target is the copy of another source (or of an earlier installation of Syncline)",
            hint="check the target's URL; `syncline adopt` takes it over",
        )
