"""A move between two databases: its gates, its journal, its link, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from syncline.split.switching.gate import Gate, GateRow, Mode
from syncline.split.switching.journal import Journal, JournalRow
from syncline.split.switching.ports import Link


class Step(IntEnum):
    """The steps, as the protocol numbers them."""

    NUMBER = 1
    CLOSE = 2
    LINK = 3
    DRAIN = 4
    OPEN = 5
    REVERSE = 6
    PHASE = 7


@dataclass(frozen=True)
class Move:
    """What a coordinator works with."""

    name: str
    gates: Mapping[str, Gate]
    """Both sides, by the names of their databases."""
    journal: Journal
    link: Link

    def other(self, side: str) -> str:
        """Give the other side."""
        return next(each for each in self.gates if each != side)

    async def look(self) -> State:
        """Read journal and gates."""
        gates = {side: await gate.read() for side, gate in self.gates.items()}
        return State(await self.journal.read(), gates)

    async def aclose(self) -> None:
        """Close its connections."""
        for gate in self.gates.values():
            await gate.aclose()
        await self.journal.aclose()


@dataclass(frozen=True, slots=True)
class State:
    """What journal and gates say."""

    journal: JournalRow
    gates: Mapping[str, GateRow]

    @property
    def highest(self) -> int:
        """The highest number that is known, for a journal that was set back."""
        return max(self.journal.number, *(gate.number for gate in self.gates.values()))

    def settled(self, goal: str) -> bool:
        """Tell whether a side serves, and the other one takes the link's writes."""
        others = [gate.mode for side, gate in self.gates.items() if side != goal]
        return self.gates[goal].mode is Mode.APPLICATION and others == [Mode.LINK] and self.journal.phase == goal
