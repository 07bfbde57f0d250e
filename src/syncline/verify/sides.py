"""What a verification is given: two sides to read, and how much to compare, how fast, how patiently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from syncline.ports import Executor, Inspection, Plan, Reverse, Same, SourceSide
from syncline.verify.report import Mode
from syncline.verify.spool import Taker
from syncline.version import __version__


@dataclass(frozen=True, slots=True)
class Options:
    """How to verify."""

    mode: Mode = Mode.FULL
    sample: int = 1000
    """Records of a sample, from each side."""
    keys: Sequence[str] = ()
    """Only these (key texts); then the mode is ``SAMPLE``."""
    first: str | None = None
    """Only records from this key on (a key text); then the mode is ``RANGE``."""
    end: str | None = None
    """Only records before this key, which is not among them; then the mode is ``RANGE``."""
    patience: timedelta = timedelta(seconds=60)
    """How long differences that may be lag are looked at again, after the pass."""
    rate: float | None = None
    """Records a second at most; ``None``: as fast as it goes."""
    taker: Taker | None = None
    """Is given every finding; a report keeps the first ones only."""

    @property
    def scope(self) -> Mode:
        """How much is compared."""
        if self.keys:
            return Mode.SAMPLE
        ranged = self.first is not None or self.end is not None
        return Mode.RANGE if ranged and self.mode is Mode.FULL else self.mode


@dataclass(frozen=True, slots=True)
class Step:
    """How far a verification has come."""

    entity: str
    phase: str
    """``source`` (contents are compared), ``target`` (ids are looked up), ``again`` (second looks)."""
    done: int
    total: int | None = None


@dataclass(slots=True)
class Sides:
    """Where to read. Both sides stay the caller's."""

    source: SourceSide
    inspection: Inspection
    """The target."""
    on_progress: Callable[[Step], None] = field(default=lambda _: None)
    reverse: Reverse | None = None
    """What knows whether a link goes back from the target."""
    executor: Executor | None = None
    """Who takes first looks; ``None``: this process, one after the other."""


async def same_of(source: SourceSide, inspection: Inspection | None, plan: Plan) -> Same:
    """Say what whoever does a job of an entity must share; without an inspection: whatever the target is.

    A target without a heartbeat is the one of which its source will be the owner.
    """
    same = Same(__version__, await source.passes.guard(), plan.projection.fingerprint)
    if inspection is None:
        return same
    if (beat := await inspection.owner()) is None:
        return replace(same, owner=" ".join(await source.identity()))
    return replace(same, owner=f"{beat.installation} {beat.system}", renewals=beat.count)
