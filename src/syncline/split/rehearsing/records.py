"""What a rehearsal has shown: how long each step took, kept at home, where it counts for a week."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.split.moving.probes import VALID
from syncline.split.moving.state import Book
from syncline.split.rehearsing.scratch import sql


@dataclass
class Clock:
    """Times the steps of something, one after the other."""

    told: Callable[[str], None] = lambda _: None
    steps: list[tuple[str, float]] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    step: str | None = None
    """The one under way."""

    def begin(self, step: str) -> None:
        """Begin a step; the one before is at its end."""
        self.end()
        self.step, self._began = step, time.monotonic()
        self.told(step)

    def end(self) -> None:
        """End the last one."""
        if self.step is not None:
            self.steps.append((self.step, time.monotonic() - self._began))
            self.step = None

    @property
    def seconds(self) -> float:
        """All of it."""
        return sum(seconds for _, seconds in self.steps)


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """The newest rehearsal of a move."""

    at: datetime
    age_seconds: float
    tables: tuple[str, ...]
    report: Mapping[str, Any]

    @property
    def counts(self) -> bool:
        """Whether it is young enough to stand for a test of the way back."""
        return self.age_seconds <= VALID.total_seconds()

    @property
    def summary(self) -> str:
        """Say it in a line."""
        took, pauses = self.report["seconds"], (self.report["switch_paused_ms"], self.report["back_paused_ms"])
        return (
            f"rehearsed at {self.at:%Y-%m-%d %H:%M %Z}: {took:.0f} s, writers were paused {pauses[0]} ms, and"
            f" {pauses[1]} ms on the way back" + ("" if self.counts else f"; older than {VALID.days} days")
        )


def remember(home: psycopg.Connection[Any], move: str, tables: Sequence[str], report: Mapping[str, Any]) -> None:
    """Note a rehearsal that came to its end."""
    Book(move, home).prepare()
    with home.transaction():
        home.execute(sql("table"))
        home.execute(sql("record"), {"move": move, "tables": list(tables), "report": Jsonb(dict(report))})


def recorded(home: psycopg.Connection[Any], move: str) -> Rehearsed | None:
    """Read what is noted; ``None``: nothing is."""
    there = home.execute(sql("is_there"), prepare=False).fetchone()
    row = home.execute(sql("recorded"), {"move": move}, prepare=False).fetchone() if there and there[0] else None
    return Rehearsed(row[0], float(row[1]), tuple(row[2]), row[3]) if row else None
