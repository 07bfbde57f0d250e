"""A report as a sentence, and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from syncline.model.extended import extended, original
from syncline.model.words import counted
from syncline.verify.report import KEPT, Difference, EntityReport, Finding, Kind, Mode, Verdict, VerifyReport


def sentence(report: VerifyReport) -> str:
    """Say in one sentence what was proved."""
    records = sum(entity.records for entity in report.entities)
    entities = len(report.entities)
    of = f"entity {report.entities[0].entity}" if entities == 1 else f"{entities} entities"
    what = f"{counted(records, 'record')} of {of}"
    if report.verdict is Verdict.EQUAL:
        as_of = min(entity.as_of for entity in report.entities)
        part = "" if all(entity.mode is Mode.FULL for entity in report.entities) else " (only what was asked about)"
        return f"Proved equal: {what}{part}, as of {as_of:%Y-%m-%d %H:%M:%S %Z}."
    if report.verdict is Verdict.DIVERGENT:
        wrong = sum(entity.counts.total() for entity in report.entities)
        parked = sum(entity.parked for entity in report.entities)
        parts = [f"{counted(wrong, 'record')} {'diverges' if wrong == 1 else 'diverge'}"] if wrong else []
        parts += [f"{counted(parked, 'record')} {'is' if parked == 1 else 'are'} parked"] if parked else []
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


def as_dict(report: VerifyReport, *, findings: int = KEPT) -> dict[str, Any]:
    """Give the report as JSON, with so many findings of each entity."""
    return {
        "verdict": report.verdict.value,
        "exit_status": report.exit_status,
        "summary": sentence(report),
        "queue": report.queue,
        "lag_seconds": round(report.lag_seconds, 3),
        "workers": report.workers,
        "entities": [entity_as_dict(entity, findings=findings) for entity in report.entities],
    }


def entity_as_dict(report: EntityReport, *, findings: int = KEPT) -> dict[str, Any]:
    """Give one entity's part as JSON."""
    return {
        "entity": report.entity,
        "verdict": report.verdict.value,
        "mode": report.mode.value,
        "as_of": report.as_of.isoformat(),
        "from": report.first,
        "to": report.end,
        "resumed": [moment.isoformat() for moment in report.resumed],
        "records": report.records,
        "documents": report.documents,
        "divergent": {kind.value: count for kind, count in sorted(report.counts.items())},
        "parked": report.parked,
        "lagging": report.lagging,
        "hot": report.hot[:KEPT],
        "obstacles": report.obstacles,
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
        **({"reason": finding.reason} if finding.reason else {}),
    }


def finding_of(found: Mapping[str, Any]) -> Finding:
    """Read a finding that ``finding_as_dict`` gave; its values are those that JSON keeps."""
    return Finding(
        entity=found["entity"],
        kind=Kind(found["kind"]),
        key=found["key"],
        id=original(found["id"]),
        differences=tuple(
            Difference(one["field"], original(one["source"]), original(one["target"])) for one in found["differences"]
        ),
        ticket=original(found["ticket"]),
        first_seen=_moment(found["first_seen"]),
        confirmed=_moment(found["confirmed"]),
        reason=found.get("reason", ""),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
