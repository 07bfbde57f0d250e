"""Whose turn it is when only so many things a second may pass. Pure: it is told the time."""

from __future__ import annotations


class Turns:
    """Spreads things over time; what was lost to waiting is made up for by ``behind`` seconds at most."""

    def __init__(self, behind: float, *, now: float) -> None:
        self._behind = behind
        self._due = now

    def passed(self, count: float, rate: float, *, now: float) -> float:
        """Take in that so many have passed; give the time at which the next may."""
        self._due = max(self._due, now - self._behind) + count / rate
        return self._due
