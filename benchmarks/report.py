"""Lines of the result."""

from __future__ import annotations

import math
import operator
import os
import platform
import statistics
from dataclasses import dataclass
from typing import Any

median = statistics.median
_COMPARE = {">=": operator.ge, "<=": operator.le, "<": operator.lt}


@dataclass
class Line:
    """One measured figure and what it has to reach."""

    what: str
    value: float
    sign: str
    bound: float
    detail: str = ""

    @property
    def reached(self) -> bool:
        return bool(_COMPARE[self.sign](self.value, self.bound))

    def json(self) -> dict[str, Any]:
        return {
            "what": self.what,
            "value": self.value if math.isfinite(self.value) else None,
            "bound": f"{self.sign} {self.bound:g}",
            "reached": self.reached,
            "detail": self.detail,
        }

    def __str__(self) -> str:
        mark = "ok  " if self.reached else "MISS"
        return f"{mark} {self.what:76} {self.value:8.2f}  (to reach: {self.sign} {self.bound:g})  {self.detail}"


def percentile(values: list[float], part: float) -> float:
    """The value below which this part of all lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def machine() -> str:
    """Where this was measured."""
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")  # noqa: PTH123, SIM115
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    return (
        f"{os.cpu_count()} x {model}, {memory:.0f} GB, Linux {platform.release()}, Python {platform.python_version()}"
    )
