"""``syncline verify --sync``: seven questions about a synchronisation, in one list with one exit status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.text import Text

from syncline.cli.common import out, print_table, run
from syncline.errors import SynclineError
from syncline.model.thresholds import FAILED, LAG
from syncline.model.words import counted
from syncline.verify.report import Kind

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.verify.report import VerifyReport

COULD_NOT_RUN = 3
WORDS = {True: ("yes", "green"), False: ("no", "bold red"), None: ("unknown", "yellow")}
_CONTENTS = (Kind.DIFFERENT, Kind.UNISSUED)


@dataclass(frozen=True, slots=True)
class Check:
    """One question and its answer."""

    name: str
    ok: bool | None
    """``None``: it could not be decided."""
    detail: str

    def as_dict(self) -> dict[str, Any]:
        """Give the form that ``--json`` prints."""
        return {"check": self.name, "ok": self.ok, "detail": self.detail}


@dataclass(frozen=True, slots=True)
class SyncReport:
    """All answers."""

    checks: tuple[Check, ...]
    verified: VerifyReport | None
    """``None``: a side was not there to compare."""

    @property
    def exit_status(self) -> int:
        """0 all is well, 1 divergent or parked, 2 undecided or lagging, 3 a side is missing."""
        if self.verified is None:
            return COULD_NOT_RUN
        if self.verified.exit_status == 0:
            return 0 if all(check.ok for check in self.checks) else 2
        return self.verified.exit_status

    def as_dict(self) -> dict[str, Any]:
        """Give the form that ``--json`` prints."""
        from syncline.verify.render import as_dict

        verified = as_dict(self.verified) if self.verified else None
        checks = [check.as_dict() for check in self.checks]
        return {"ok": self.exit_status == 0, "exit_status": self.exit_status, "checks": checks, "verify": verified}


def look_at_sides(settings: Settings) -> tuple[Check, Check]:
    """Look whether there is an outbox with every declared entity, and a target that answers."""
    return run(_sides(settings))


async def _sides(settings: Settings) -> tuple[Check, Check]:
    from syncline.insight import reach
    from syncline.wiring.sides import opened_target

    async with opened_target(settings) as target:
        state = await reach.ping_target(target)
    secondary = Check("secondary connected", state.connected, state.error or f"{state.version}, {state.latency_ms} ms")
    return await _outbox(settings), secondary


async def _outbox(settings: Settings) -> Check:
    from syncline.insight import reach

    name = "outbox present"
    try:
        async with reach.source(settings.source, purpose="verify") as source:
            there = {row["name"] for row in await reach.rows(source, "entities")}
    except SynclineError as error:
        return Check(name, False, f"{error.message}{f'; {error.hint}' if error.hint else ''}")
    missing = [entity.name for entity in settings.entities if entity.name not in there]
    if missing or not there:
        return Check(name, False, f"not installed: {', '.join(missing) or 'any entity'}; run `syncline install`")
    return Check(name, True, counted(len(there), "entity", "entities"))


def judged(sides: tuple[Check, Check], report: VerifyReport | None) -> SyncReport:
    """Answer what is left, from a verification of all entities; ``None``: there was none."""
    return SyncReport((*sides, *(_unknown() if report is None else _answers(report))), report)


def _unknown() -> Iterator[Check]:
    for name in ("counts match", "contents match", "sample shown", "lag acceptable", "no failed events"):
        yield Check(name, None, "not looked at: a side is missing")


def _answers(report: VerifyReport) -> Iterator[Check]:
    from syncline.verify.render import sentence
    from syncline.verify.report import Verdict

    entities = report.entities
    kinds = {kind: sum(one.counts[kind] for one in entities) for kind in Kind}
    counts = sum(count for kind, count in kinds.items() if kind not in _CONTENTS)
    open_ = any(one.verdict is Verdict.UNDECIDED for one in entities)
    totals = "; ".join(f"{one.entity} {one.records:,} and {one.documents:,}" for one in entities)
    yield Check("counts match", False if counts else None if open_ else True, totals)
    yield Check(
        "contents match", False if any(kinds[k] for k in _CONTENTS) else None if open_ else True, sentence(report)
    )
    shown = [f"{one.entity} {', '.join(one.sample[:5])}" for one in entities if one.sample]
    yield Check(
        "sample shown", bool(shown) or not any(one.records for one in entities), "; ".join(shown) or "no records"
    )
    lag = f"{report.lag_seconds:.1f} s, {report.queue:,} waiting, limit {LAG.warning:g} s"
    yield Check("lag acceptable", report.lag_seconds <= LAG.warning, lag)
    parked = sum(one.parked for one in entities)
    yield Check("no failed events", parked <= FAILED.target, f"{counted(parked, 'record')} parked")


def print_sync(report: SyncReport) -> None:
    """Print the answers."""
    print_table(("question", "answer", ""), [(c.name, Text(*WORDS[c.ok]), c.detail) for c in report.checks])
    if report.exit_status == 0:
        out.print(Text("In sync.", "bold green"))
    else:
        failed = [check.name for check in report.checks if not check.ok]
        out.print(Text(f"Not proved: {', '.join(failed) or 'equality'}.", "bold red"))
