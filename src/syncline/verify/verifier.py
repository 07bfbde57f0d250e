"""Verification of entities, one after the other, and the certificates that remain of it."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg.types.json import Jsonb

from syncline.errors import ForeignTargetError
from syncline.outbox.connection import fetch_one, translated
from syncline.outbox.sql import blocks
from syncline.outbox.states import Plan
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.render import entity_as_dict
from syncline.verify.report import EntityReport, Mode, VerifyReport

_QUERIES = "verify.sql", "syncline.verify"


async def verify(sides: Sides, plans: Sequence[Plan], options: Options | None = None) -> VerifyReport:
    """Verify entities; full passes leave a certificate in the source.

    Raises:
        ForeignTargetError: the target is a copy of something else.
        SourceUnavailableError, TargetUnavailableError: a side cannot be reached; nothing is known.

    """
    options = options or Options()
    await _check_belongs(sides)
    report = VerifyReport()
    for plan in plans:
        one = await Pass(sides, plan, options).run()
        if one.mode is Mode.FULL:
            await _certify(sides, plan, one)
        report.entities.append(one)
    row = await fetch_one(sides.looks, blocks(*_QUERIES)["situation"])
    report.queue, report.lag_seconds, report.workers = row
    return report


async def _certify(sides: Sides, plan: Plan, report: EntityReport) -> None:
    facts = entity_as_dict(report, findings=20) | {"mapping": plan.projection.fingerprint}
    values = {
        "entity": plan.id,
        "as_of": report.as_of,
        "records": report.records,
        "verdict": report.verdict.value,
        "report": Jsonb(facts),
    }
    with translated():
        await sides.looks.execute(blocks(*_QUERIES)["certify"], values)


async def _check_belongs(sides: Sides) -> None:
    """See that the target is this source's copy, before everything is called damage."""
    (_, _, ours, *_) = await fetch_one(sides.looks, blocks("queries.sql")["installation"])
    theirs = await sides.inspection.installation()
    if theirs is not None and theirs != ours:
        raise ForeignTargetError(
            "the target is the copy of another source (or of an earlier installation of Syncline)",
            hint="check the target's URL; `syncline worker --adopt` takes it over",
        )
