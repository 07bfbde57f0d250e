"""Whether one side is slower than the other, from pairs of runs that were made one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Any

from benchmarks.figure import Figure

FEWEST = 7
METHOD = "median of the pairs' ratios; its interval by order statistics (sign test), at least 95 %"


@dataclass(frozen=True)
class Comparison:
    """One figure of both sides; ratios above 1 say that this side is the better one."""

    this: Sequence[Figure]
    other: Sequence[Figure]
    limit: float

    @property
    def what(self) -> str:
        return self.this[0].what

    @property
    def ratios(self) -> list[float]:
        return [mine.better_than(theirs) for mine, theirs in zip(self.this, self.other, strict=True)]

    @property
    def interval(self) -> tuple[float, float]:
        return interval(self.ratios)

    @property
    def cpu_ratios(self) -> list[float]:
        """Ratios of processor time a record, above 1 where this side takes less; none where it was not measured."""
        pairs = list(zip(self.this, self.other, strict=True))
        measured = all(mine.cpu_us > 0 and theirs.cpu_us > 0 for mine, theirs in pairs)
        return [theirs.cpu_us / mine.cpu_us for mine, theirs in pairs] if measured else []

    @property
    def missed(self) -> bool:
        """The whole interval lies below the limit."""
        return self.interval[1] < self.limit

    def told(self, name: str) -> str:
        mark = "MISS" if self.missed else "ok  "
        processor = f"processor {_median(found)}  " if (found := self.cpu_ratios) else ""
        return (
            f"{mark} {self.what:56} {_median(self.ratios)}  {processor}"
            f"this {middle(self.this)}, {name} {middle(self.other)}"
        )

    def json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "ratio": median(self.ratios),
            "interval": self.interval,
            "missed": self.missed,
            "ratios": self.ratios,
            "cpuRatios": self.cpu_ratios,
            "this": middle(self.this).json(),
            "against": middle(self.other).json(),
        }


def interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Give the narrowest pair of order statistics that holds the median so surely, whatever the distribution.

    The number of values below the median is binomial: the k-th smallest and the k-th largest miss it with a
    probability of ``2 · P(B(n, ½) < k)``.
    """
    ordered, missing, taken = sorted(values), 0.0, 0
    for k in range(len(ordered) // 2):
        missing += 2 * comb(len(ordered), k) / 2 ** len(ordered)
        if missing > 1 - confidence:
            break
        taken = k
    return ordered[taken], ordered[-1 - taken]


def _median(ratios: Sequence[float]) -> str:
    low, high = interval(ratios)
    return f"{median(ratios):6.3f}  [{low:.3f}, {high:.3f}]"


def middle(runs: Sequence[Figure]) -> Figure:
    """Medians of one side's runs; the highest peak."""
    return Figure(
        runs[0].what,
        median(run.value for run in runs),
        runs[0].unit,
        median(run.cpu_us for run in runs),
        max(run.peak_mb for run in runs),
    )
