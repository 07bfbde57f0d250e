"""Failure messages: entity, key, field, both values, and where to look."""

from __future__ import annotations

from collections.abc import Sequence

from syncline.testing.mapping.comparison import Difference
from syncline.verify.render import sentence
from syncline.verify.report import Difference as FieldDifference
from syncline.verify.report import VerifyReport

SHOWN = 5
WIDTH = 160


def of_differences(found: Sequence[Difference]) -> str:
    """Say what the independent comparison found."""
    if not found:
        return ""
    lines = [f"{len(found)} differences between PostgreSQL and MongoDB:"]
    for one in found[:SHOWN]:
        field = f", field {one.field}" if one.field else ""
        lines += [
            f"  {one.entity} [{one.key:.{WIDTH}}]{field}",
            f"    PostgreSQL: {one.source:.{WIDTH}}",
            f"    MongoDB:    {one.target:.{WIDTH}}",
            f"    look at:    {one.look_at}",
        ]
    return "\n".join([*lines, *_more(len(found))])


def of_parked(found: Sequence[tuple[str, str, str, str]]) -> str:
    """Say what is parked."""
    if not found:
        return ""
    lines = [f"{len(found)} records are parked: MongoDB does not take them as the mapping makes them"]
    for entity, key, code, error in found[:SHOWN]:
        lines.append(f"  {entity} [{key:.{WIDTH}}] {code}: {error:.{WIDTH}}")
    hint = "    look at:    types, exclude and indexes (a unique one?) of the entity"
    return "\n".join([*lines, *_more(len(found)), hint])


def of_report(report: VerifyReport) -> str:
    """Say what ``verify`` found."""
    lines = [f"syncline verify does not say that both sides are equal: {sentence(report)}"]
    findings = [finding for one in report.entities for finding in one.findings]
    for finding in findings[:SHOWN]:
        lines.append(f"  {finding.entity} [{finding.key or finding.id}] {finding.kind.value}")
        lines += [f"    field {one.field}: {_both(one)}" for one in finding.differences[:SHOWN]]
    restless = [entity.entity for entity in report.entities if entity.hot or entity.lagging]
    lines += [f"  {name}: differs from one look to the next; is something computed from the time?" for name in restless]
    return "\n".join([*lines, *_more(len(findings))])


def _both(one: FieldDifference) -> str:
    return f"PostgreSQL {shortened(one.source)}, MongoDB {shortened(one.target)}"


def shortened(value: object) -> str:
    """Print a value, not all of a long one."""
    text = repr(value)
    return text if len(text) <= WIDTH else text[:WIDTH] + "…"


def _more(count: int) -> list[str]:
    return [f"  … and {count - SHOWN} more"] if count > SHOWN else []
