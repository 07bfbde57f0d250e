"""What the view shows: the state of the demo, fed with what the traffic and the worker report. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from syncline.demo.sampler import Sample
from syncline.model.speed import Speed

RATE_SECONDS = 1.0
"""Rates are averages over the last second."""
RECENT_SECONDS = 10.0
"""Percentiles are over so much."""
FORGOTTEN = 840
"""So many values of a curve are forgotten at once: whole bars, whether these are of 1, 2, … or 8 values."""


class WorkerState(Enum):
    """What is known of the worker's process."""

    STARTING = "starting"
    WORKING = "working"
    KILLED = "killed"
    WAITING = "waiting for the dead worker's leases to run out"


class Rate:
    """A growing count, and how fast it grows."""

    def __init__(self) -> None:
        self.total = 0
        self._speed = Speed(RATE_SECONDS)

    def tick(self, now: float) -> None:
        """Look at the count; called a few times a second."""
        self._speed.note(self.total, at=now)

    @property
    def per_second(self) -> float:
        """Average over the last second."""
        return self._speed.per_second or 0.0


@dataclass(frozen=True, slots=True)
class Visible:
    """How long a committed record took to be visible in the target."""

    committed: float
    """On the monotonic clock."""
    seconds: float


@dataclass(slots=True)
class Picture:
    """Everything the view shows. Times are the monotonic clock's."""

    now: float
    began: float = 0.0
    """When the traffic began; 0: not yet."""
    seconds: float = 0.0
    """Its planned duration; 0: until stopped."""
    worker: WorkerState = WorkerState.STARTING
    worker_pid: int = 0
    sample: Sample = field(default_factory=Sample)
    commits: Rate = field(default_factory=Rate)
    rollbacks: int = 0
    before: tuple[float, int] = (0, 0)
    """Commits and rollbacks of the traffic processes that have ended."""
    applied: Rate = field(default_factory=Rate)
    applied_by_entity: dict[str, Rate] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """Collection to entity."""
    visible: list[Visible] = field(default_factory=list)
    waiting: Sequence[float] = ()
    events: list[tuple[float, str]] = field(default_factory=list)
    kills: int = 0
    killed: float = 0.0
    """When the worker was killed; 0: it was not."""
    recovered: float = 0.0
    """When the backlog of that was gone."""
    curves: dict[str, list[float]] = field(default_factory=dict)

    @property
    def elapsed(self) -> float:
        """Seconds since the traffic began."""
        return self.now - self.began if self.began else 0.0

    def restart(self, now: float, seconds: float) -> None:
        """A traffic process begins; it counts from zero."""
        self.began, self.seconds = self.began or now, seconds
        self.before, self.waiting = (self.commits.total, self.rollbacks), ()

    def note(self, text: str) -> None:
        """Something has happened that people should see."""
        self.events.append((self.elapsed, text))

    def traffic(self, report: Mapping[str, Any]) -> None:
        """Take in a line of the traffic."""
        commits, rollbacks = self.before
        self.commits.total = commits + report["commits"]
        self.rollbacks = rollbacks + report["rollbacks"]
        self.visible += [Visible(committed, seconds) for committed, seconds in report["seen"]]
        self.waiting = report["waiting"]

    def batch(self, line: Mapping[str, Any]) -> None:
        """Take in a batch of the worker's log: it was acknowledged."""
        records = line["applied"] + line["deleted"]
        self.applied.total += records
        name = self.names.get(line["collection"], line["collection"])
        self.applied_by_entity.setdefault(name, Rate()).total += records

    def draw(self) -> None:
        """Add a point to each curve; called a few times a second."""
        for rate in (self.commits, self.applied, *self.applied_by_entity.values()):
            rate.tick(self.now)
        fresh = [v.seconds for v in self.visible if v.committed + v.seconds > self.now - 0.5]
        points = {
            "commits": self.commits.per_second,
            "applied": self.applied.per_second,
            "queue": float(self.sample.queue),
            "visible": max([*fresh, *self.waiting], default=0.0),
        }
        for name, value in points.items():
            curve = self.curves.setdefault(name, [])
            curve.append(value)
            if len(curve) > 2 * FORGOTTEN:
                del curve[:FORGOTTEN]

    def recent(self) -> list[float]:
        """Times to visible of the last seconds; what is still missing counts with its age so far."""
        since = self.now - RECENT_SECONDS
        return [v.seconds for v in self.visible if v.committed + v.seconds > since] + list(self.waiting)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Give the value that so many percent do not exceed (nearest rank); ``None`` of nothing."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]
