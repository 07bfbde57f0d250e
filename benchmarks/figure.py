"""A measured figure with what it cost the client: processor time per record and memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HIGHER = ("/s", "%")
"""Units of which more is better; of all others (ms, s) less is."""


@dataclass(frozen=True)
class Figure:
    """One figure of one run."""

    what: str
    value: float
    unit: str
    """``/s``, ``ms``, ``s``."""
    cpu_us: float
    """Microseconds of processor per record, of whatever is not a database server."""
    peak_mb: float
    """Highest resident memory of any such process."""

    def better_than(self, other: Figure) -> float:
        """Ratio to another run's figure; above 1 this one is better."""
        return self.value / other.value if self.unit in HIGHER else other.value / self.value

    def __str__(self) -> str:
        digits = 0 if self.value >= 1000 else 2
        return f"{self.value:,.{digits}f}{'' if self.unit == '/s' else ' '}{self.unit} ({self.cost})"

    @property
    def cost(self) -> str:
        """Processor and memory, in words."""
        return f"{self.cpu_us:,.1f} µs, {self.peak_mb:,.0f} MB"

    def json(self) -> dict[str, Any]:
        return {"value": self.value, "unit": self.unit, "cpuMicroseconds": self.cpu_us, "peakMegabytes": self.peak_mb}


def peak_megabytes(pid: int | str = "self") -> float:
    """Highest resident memory of a process so far."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1e3


def read(found: list[dict[str, Any]]) -> Iterator[Figure]:
    """Read figures that a player has printed."""
    for one in found:
        yield Figure(**one)
