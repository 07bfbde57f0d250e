"""What a process has seen of moves: which side serves, and for how long neither did."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from syncline.split.switching.gate import GateRow, Mode

REMEMBERED_SECONDS = 300.0
"""For so long a closing that is over is told of: whoever collects metrics comes by more seldom than it lasts."""


@dataclass(frozen=True, slots=True)
class SeenMove:
    """A move of a database's tables."""

    serving: str
    """The side that serves; while they change, the one that did."""
    has_way_back: bool
    """The other side takes what is written on the new one: a link brings it there."""
    closed_seconds: float
    """For how long no side has accepted writes; once one does, for how long none did, told of for five minutes."""


class Closings:
    """How long no side of a move accepted writes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._spans: dict[str, tuple[float, float | None]] = {}

    def note(self, moves: Mapping[str, Mapping[str, GateRow]]) -> None:
        """Take over what the gates say now."""
        for move, sides in moves.items():
            began, ended = self._spans.get(move, (0.0, 0.0))
            if any(row.mode is Mode.APPLICATION for row in sides.values()):
                if ended is None:
                    self._spans[move] = began, self._clock()
            elif ended is not None:
                self._spans[move] = self._clock(), None

    def seconds(self, move: str) -> float:
        """Say how long the present closing lasts, or the last one did, of the last five minutes."""
        began, ended = self._spans.get(move, (0.0, 0.0))
        if ended is None:
            return self._clock() - began
        return ended - began if self._clock() - ended < REMEMBERED_SECONDS else 0.0
