"""How far a pass has come, as one serialisable value; and when it is kept."""

from __future__ import annotations

import base64
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Protocol

from syncline.ports import Checkpoint, Claims, Stretch
from syncline.verify.render import finding_as_dict, finding_of
from syncline.verify.report import EntityReport, Kind
from syncline.verify.spool import Taker

Begin = Callable[[Mapping[str, Any]], Awaitable[Checkpoint]]
"""Keeps a pass for the first time, with its state."""

SAVE_SECONDS = 1.0
"""A pass that is killed repeats so much of its work, and what one page takes."""
HOLD_SECONDS = 3.0
SAVE_SHARE = 20
"""A pass works at least so many times as long as it saves."""


class Phase(StrEnum):
    """What a pass does."""

    SOURCE = "source"
    """Records of the source are compared."""
    TARGET = "target"
    """Ids of the target are looked up in the source."""
    AGAIN = "again"
    """Suspects are looked at again."""
    DONE = "done"
    """Only the run that it belongs to is not over yet."""


@dataclass(slots=True)
class Place:
    """From where a pass goes on."""

    stretch: Stretch
    """What is left of the source."""
    phase: Phase = Phase.SOURCE
    last_id: bytes | None = None
    """Of the target's walk: the last ``_id`` that was looked up, encoded as a document."""
    horizon: str | None = None
    """Number of a transaction: rows that were there when the pass began are older. ``None``: not known."""

    def as_state(self) -> dict[str, Any]:
        """Give it in JSON's types."""
        last = None if self.last_id is None else base64.b64encode(self.last_id).decode()
        return {
            "phase": self.phase.value,
            "at": self.stretch.first,
            "passed": self.stretch.passed,
            "last_id": last,
            "horizon": self.horizon,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any], end: str | None) -> Place:
        """Read what ``as_state`` gave."""
        last = state["last_id"]
        return cls(
            Stretch(state["at"], end, passed=state["passed"]),
            Phase(state["phase"]),
            None if last is None else base64.b64decode(last),
            state.get("horizon"),
        )


def report_as_state(report: EntityReport, suspects: Mapping[str, str]) -> dict[str, Any]:
    """Give what was found so far in JSON's types, but for the findings."""
    return {
        "as_of": report.as_of.isoformat(),
        "records": report.records,
        "documents": report.documents,
        "counts": {kind.value: count for kind, count in report.counts.items()},
        "hot": report.hot,
        "lagging": report.lagging,
        "sample": report.sample,
        "looks": report.looks,
        "resumed": [moment.isoformat() for moment in report.resumed],
        "seconds": report.seconds,
        "parked": report.parked,
        "obstacles": report.obstacles,
        "suspects": dict(suspects),
    }


def restore_report(report: EntityReport, checkpoint: Checkpoint) -> None:
    """Put back what was found before."""
    state = checkpoint.state
    report.as_of = datetime.fromisoformat(state["as_of"])
    report.records, report.documents = state["records"], state["documents"]
    report.counts = Counter({Kind(kind): count for kind, count in state["counts"].items()})
    report.findings = [finding_of(found) for found in checkpoint.findings]
    report.kept_bytes = sum(finding.size() for finding in report.findings)
    report.hot, report.lagging = list(state["hot"]), state["lagging"]
    report.sample, report.looks = list(state["sample"]), state["looks"]
    report.resumed = [*map(datetime.fromisoformat, state["resumed"]), datetime.now(UTC)]
    report.parked, report.obstacles = state["parked"], list(state["obstacles"])
    report.seconds = state["seconds"]


class Stateful(Protocol):
    """What can be put into JSON's types."""

    def as_state(self) -> Mapping[str, Any]:
        """Give it."""
        ...


class Recorder:
    """Keeps how far a pass has come, now and then. Short passes leave no trace.

    Args:
        passes: where it is kept; ``None``: nowhere.
        begin: keeps it there for the first time.
        checkpoint: the row that it has; ``None``: it has none yet.
        taker: takes findings; where it stands is kept too.

    """

    def __init__(
        self,
        passes: Claims | None = None,
        begin: Begin | None = None,
        *,
        checkpoint: Checkpoint | None = None,
        taker: Taker | None = None,
    ) -> None:
        self._passes, self._begin = passes, begin
        self._taker = taker
        self.checkpoint = checkpoint
        self._kept = len(checkpoint.findings) if checkpoint else 0
        self._held = self._saved = time.monotonic()
        self._pause = SAVE_SECONDS

    async def save(
        self, place: Stateful, report: EntityReport, suspects: Stateful, *, seconds: float, now: bool = False
    ) -> None:
        """Keep it, when it is time; otherwise keep the claim."""
        passes, began = self._passes, time.monotonic()
        if passes is None:
            return
        if began - self._saved < self._pause and not now:
            await self.hold()
            return
        state = {**place.as_state(), **report_as_state(report, suspects.as_state())}
        state["seconds"] = report.seconds + seconds
        await self._write(passes, state, report)
        self._held = self._saved = time.monotonic()
        self._pause = max(SAVE_SECONDS, SAVE_SHARE * (self._saved - began))

    async def finish(self, report: EntityReport) -> None:
        """Keep the result while other entities of the same run are verified."""
        if self._passes is not None:
            await self._write(self._passes, {"phase": Phase.DONE.value, **report_as_state(report, {})}, report)

    async def _write(self, passes: Claims, state: dict[str, Any], report: EntityReport) -> None:
        state["spooled"] = self._taker.position() if self._taker else 0
        if self.checkpoint is None and self._begin is not None:
            self.checkpoint = await self._begin(state)
        if self.checkpoint is None:
            return
        changed = len(report.findings) != self._kept
        found = [finding_as_dict(finding) for finding in report.findings] if changed else None
        await passes.save(self.checkpoint, state, found)
        self._kept = len(report.findings)

    async def hold(self) -> None:
        """Keep the claim while there is nothing to keep."""
        if self._passes and self.checkpoint and time.monotonic() - self._held > HOLD_SECONDS:
            await self._passes.hold(self.checkpoint)
            self._held = time.monotonic()

    async def end(self) -> None:
        """Remove the row: the pass is over."""
        if self._passes and self.checkpoint:
            await self._passes.end(self.checkpoint)

    async def release(self) -> None:
        """Let others go on."""
        if self._passes and self.checkpoint:
            await self._passes.release(self.checkpoint)
