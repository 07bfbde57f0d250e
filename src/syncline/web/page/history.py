"""The last hour in memory: fixed in size, one point for each five seconds."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from syncline.model.speed import Speed

SPAN_SECONDS = 3600
BUCKET_SECONDS = 5

Point = list[float | int | bool | None]
N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured at one moment; ``None`` where it could not be."""

    at: float
    """Seconds since 1970."""
    queue: int | None
    lag: float | None
    rate: float | None
    """Records written to the target per second."""
    failed: int | None
    source_up: bool
    target_up: bool


@dataclass(slots=True)
class _Bucket:
    at: int
    queue: int | None = None
    lag: float | None = None
    failed: int | None = None
    rates: list[float] = field(default_factory=list)
    source_up: bool = True
    target_up: bool = True

    def add(self, sample: Sample) -> None:
        self.queue = _most(self.queue, sample.queue)
        self.lag = _most(self.lag, sample.lag)
        self.failed = _most(self.failed, sample.failed)
        if sample.rate is not None:
            self.rates.append(sample.rate)
        self.source_up &= sample.source_up
        self.target_up &= sample.target_up

    def point(self) -> Point:
        rate = round(sum(self.rates) / len(self.rates), 1) if self.rates else None
        lag = None if self.lag is None else round(self.lag, 2)
        return [self.at, self.queue, lag, rate, self.failed, self.source_up, self.target_up]


class History:
    """Highest queue, lag and failures, and the mean rate, of each stretch of the last hour."""

    names = ("time", "queue", "lag", "rate", "failed", "sourceUp", "targetUp")

    def __init__(self, *, span: int = SPAN_SECONDS, bucket: int = BUCKET_SECONDS) -> None:
        self.span, self.bucket = span, bucket
        self._buckets: deque[_Bucket] = deque(maxlen=span // bucket + 1)

    def add(self, sample: Sample) -> None:
        """Take in a sample. A clock that was set back goes on in the newest stretch until it has caught up."""
        at = int(sample.at // self.bucket * self.bucket)
        if not self._buckets or self._buckets[-1].at < at:
            self._buckets.append(_Bucket(at))
        self._buckets[-1].add(sample)
        while self._buckets[0].at < self._buckets[-1].at - self.span:
            self._buckets.popleft()

    def points(self) -> list[Point]:
        """Give every stretch, oldest first, in the order of ``names``; what was not watched is missing."""
        return [bucket.point() for bucket in self._buckets]

    def newest(self) -> Point | None:
        """Give the stretch that is being filled."""
        return self._buckets[-1].point() if self._buckets else None


class Rates:
    """Turns the workers' totals, which they tell once a second, into records per second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._speed = Speed(0)
        self._grown = 0.0
        self._last: tuple[float, Mapping[str, float]] | None = None

    def step(self, totals: Mapping[str, float]) -> float | None:
        """Compare with the last time; ``None`` at the first. Within a second nothing new can be told."""
        now, last = self._clock(), self._last
        if last is None or now - last[0] >= 1:
            # A worker that is new here began after the last look, with nothing.
            before = totals if last is None else last[1]
            self._grown += sum(max(0.0, total - before.get(worker, 0.0)) for worker, total in totals.items())
            self._speed.note(self._grown, at=now)
            self._last = now, totals
        return self._speed.per_second


def _most(one: N | None, other: N | None) -> N | None:
    return other if one is None else one if other is None else max(one, other)
