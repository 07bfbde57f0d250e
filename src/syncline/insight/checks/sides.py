"""What each side remembers of the other: whose copy the target is, and whether a side was restored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from syncline.errors import DamagedRecordError
from syncline.insight import reach
from syncline.insight.checks.finding import Finding, Subject, critical, ok, warning
from syncline.ports import Beat, same_system
from syncline.postgres.dialect import dialect_of, statements
from syncline.postgres.sql import ours

FIX = "syncline worker  # it marks every record and sweeps the target by itself; then: syncline verify"


class Memory(Protocol):
    """What the target remembers."""

    async def read_beat(self) -> Beat | None:
        """Read the heartbeat record."""

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced."""


@dataclass(frozen=True, slots=True)
class Counters:
    """What the source remembers."""

    installation: str
    system: str
    timeline: str
    epoch: int
    beat: int
    confirmed_beat: int
    confirmed: Mapping[int, int]
    """By lane: the highest epoch that is known to stand in the target."""


def checks(target: Memory) -> list[Callable[[Subject], Awaitable[list[Finding]]]]:
    """Give the checks that look at both sides."""

    async def restore(subject: Subject) -> list[Finding]:
        # Workers go on meanwhile: the target is read between two looks at the source's counters.
        before = await _counters(subject)
        try:
            beat, epochs = await target.read_beat(), await target.lane_epochs()
        except DamagedRecordError as error:
            return [_damaged(error)]
        return judge(before, beat, epochs, await _counters(subject))

    return [restore]


async def _counters(subject: Subject) -> Counters:
    blocks = statements("queries.sql", dialect_of(subject.connection))
    identity = (await reach.query(subject.connection, blocks["identity"]))[0]
    meta = (await reach.query(subject.connection, blocks["installation"]))[0]
    lanes = await reach.query(subject.connection, ours("SELECT lane, confirmed FROM syncline.lane"))
    counted: dict[str, Any] = {name: meta[name] for name in ("installation", "epoch", "beat", "confirmed_beat")}
    confirmed = {row["lane"]: row["confirmed"] for row in lanes}
    return Counters(system=identity["system"], timeline=identity["timeline"], confirmed=confirmed, **counted)


def judge(before: Counters, beat: Beat | None, epochs: Mapping[int, int], after: Counters) -> list[Finding]:
    """Compare what the target remembers with the source's counters before and after it was asked."""
    if beat is not None and not same_system(beat.system, before.system):
        return [_foreign()]
    owner = ok("owner", "the target is this source's" if beat else "nobody has written to the target yet")
    return [owner, *_restored(before, beat, epochs, after)]


def _damaged(error: DamagedRecordError) -> Finding:
    return critical(
        "owner",
        error.message,
        why="whose copy the target is, or under which epochs it was written, is not known: workers refuse it",
        fix=error.hint or "",
    )


def _foreign() -> Finding:
    return critical(
        "owner",
        "the target is the copy of another source",
        why="two sources would overwrite each other's documents; the worker refuses",
        fix="syncline adopt  # if its source is gone for good; else name another `database` in [target]",
    )


def _restored(before: Counters, beat: Beat | None, epochs: Mapping[int, int], after: Counters) -> list[Finding]:
    if beat is not None and beat.installation != before.installation:
        text = "Syncline was installed anew in the source, and no worker has run since"
        return [warning("restore", text, why="what changed in between was not captured", fix=FIX)]
    forgotten = any(epochs.get(lane, 0) < epoch for lane, epoch in before.confirmed.items())
    if forgotten or (beat.count if beat else 0) < before.confirmed_beat:
        text = "the target has forgotten what it had confirmed: it was restored to an earlier time, or dropped"
        return [critical("restore", text, why="documents are older than what was applied, or missing", fix=FIX)]
    if max(epochs.values(), default=0) > after.epoch or (beat.count if beat else 0) > after.beat:
        text = "the source is older than what the target has seen of it: it was restored to an earlier time"
        return [critical("restore", text, why="the target has states that the source has not", fix=FIX)]
    if beat and beat.timeline and after.timeline and beat.timeline != after.timeline:
        text = "the source is on another timeline: a standby was promoted, and no worker has run since"
        return [warning("restore", text, why="it may lack what was committed last, and the target has it", fix=FIX)]
    return [ok("restore", "neither side has forgotten what the other one remembers")]
