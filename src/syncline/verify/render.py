"""A report as a sentence, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import json_util

from syncline.model.canonical import MISSING
from syncline.model.values import Unrepresentable
from syncline.verify.report import KEPT, EntityReport, Finding, Mode, Verdict, VerifyReport


def sentence(report: VerifyReport) -> str:
    """Say in one sentence what was proved."""
    records = sum(entity.records for entity in report.entities)
    what = f"{records:,} records of {len(report.entities)} entities"
    if report.verdict is Verdict.EQUAL:
        as_of = min(entity.as_of for entity in report.entities)
        return f"Proved equal: {what}, as of {as_of:%Y-%m-%d %H:%M:%S %Z}."
    if report.verdict is Verdict.DIVERGENT:
        wrong = sum(entity.counts.total() for entity in report.entities)
        parked = sum(entity.parked for entity in report.entities)
        parts = [f"{wrong:,} records diverge"] if wrong else []
        parts += [f"{parked:,} records are parked"] if parked else []
        return f"Not equal: {' and '.join(parts)}, of {what} compared."
    why = reasons(report)
    if why:
        return f"Undecided: {'; '.join(why)}. No damage was found in {what}."
    modes = {entity.mode for entity in report.entities}
    scope = "keys only; contents were not compared" if Mode.KEYS in modes else "a sample; only a full pass proves"
    return f"No difference in {what} ({scope})."


def reasons(report: VerifyReport) -> list[str]:
    """List why nothing could be decided."""
    found = []
    for entity in report.entities:
        reason = [f"{len(entity.hot):,} keys change all the time"] if entity.hot else []
        reason += [f"{entity.lagging:,} records wait for their changes to be applied"] if entity.lagging else []
        reason += entity.obstacles
        found += [f"{entity.entity}: {', '.join(reason)}"] if reason else []
    return found


def as_dict(report: VerifyReport) -> dict[str, Any]:
    """Give the report as JSON."""
    return {
        "verdict": report.verdict.value,
        "exit_status": report.exit_status,
        "summary": sentence(report),
        "queue": report.queue,
        "lag_seconds": round(report.lag_seconds, 3),
        "workers": report.workers,
        "entities": [entity_as_dict(entity) for entity in report.entities],
    }


def entity_as_dict(report: EntityReport, *, findings: int = KEPT) -> dict[str, Any]:
    """Give one entity's part as JSON."""
    return {
        "entity": report.entity,
        "verdict": report.verdict.value,
        "mode": report.mode.value,
        "as_of": report.as_of.isoformat(),
        "records": report.records,
        "documents": report.documents,
        "divergent": {kind.value: count for kind, count in sorted(report.counts.items())},
        "parked": report.parked,
        "lagging": report.lagging,
        "hot": report.hot[:findings],
        "obstacles": report.obstacles,
        "digest": report.digest,
        "sample": report.sample,
        "seconds": round(report.seconds, 3),
        "findings": [finding_as_dict(finding) for finding in report.findings[:findings]],
        "findings_omitted": report.counts.total() - len(report.findings[:findings]),
    }


def finding_as_dict(finding: Finding) -> dict[str, Any]:
    """Give a finding as JSON; values in MongoDB's extended form."""
    return {
        "entity": finding.entity,
        "kind": finding.kind.value,
        "key": finding.key,
        "id": extended(finding.id),
        "differences": [
            {"field": one.field, "source": extended(one.source), "target": extended(one.target)}
            for one in finding.differences
        ],
        "ticket": extended(finding.ticket),
        "first_seen": finding.first_seen and finding.first_seen.isoformat(),
        "confirmed": finding.confirmed and finding.confirmed.isoformat(),
    }


def extended(value: Any) -> Any:
    """Turn a value into MongoDB's extended JSON; what a side lacks, or BSON cannot hold, is an object that says so."""
    if value is MISSING:
        return {"$missing": True}
    if isinstance(value, Unrepresentable):
        return {"$unrepresentable": value.reason}
    if isinstance(value, Mapping):
        return {name: extended(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [extended(item) for item in value]
    if isinstance(value, (str, bool)) or value is None:
        return value
    return json_util.default(value) if not isinstance(value, (int, float)) else _number(value)


def _number(value: float) -> Any:
    finite = value == value and value not in {float("inf"), float("-inf")}  # noqa: PLR0124  NaN
    if isinstance(value, int):
        return int(value)
    return value if finite else {"$numberDouble": "NaN" if value != value else f"{value}".replace("inf", "Infinity")}  # noqa: PLR0124
