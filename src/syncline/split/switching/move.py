"""A move between two databases: its gates, its journal, its link, and what they say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from syncline.errors import SwitchError
from syncline.split.switching.gate import Gate, GateRow, Mode
from syncline.split.switching.journal import Journal, JournalRow
from syncline.split.switching.ports import Link, Readers, SideGate


class Step(IntEnum):
    """The steps, as the protocol numbers them."""

    NUMBER = 1
    CLOSE = 2
    LINK = 3
    DRAIN = 4
    OPEN = 5
    REVERSE = 6
    PHASE = 7
    ANNOUNCE = 8
    """Between the drain and the opening, where readers have to know."""


@dataclass(frozen=True)
class Move:
    """What a coordinator works with."""

    name: str
    gates: Mapping[str, SideGate]
    """Both sides, by the names of their databases."""
    journal: Journal
    link: Link
    readers: Readers | None = None
    """Who has to know the side that will serve before it opens; ``None``: whoever reads asks the gates."""
    follower: str = "syncline split follow"
    """The command of a worker that finishes what was begun."""

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


@dataclass(frozen=True)
class TableMove(Move):
    """A move of tables: both sides are databases with SQL."""

    gates: Mapping[str, Gate]


@dataclass(frozen=True, slots=True)
class State:
    """What journal and gates say."""

    journal: JournalRow
    gates: Mapping[str, GateRow]

    @property
    def highest(self) -> int:
        """The highest number that is known, for a journal that was set back."""
        return max(self.journal.number, *(gate.number for gate in self.gates.values()))

    def see_that_none_was_set_back(self, goal: str) -> None:
        """See that the side that shall serve does not accept writes already, though the other one was opened after it.

        Raises:
            SwitchError: it does: it would serve without what was written on the other one.

        """
        other = next(side for side in self.gates if side != goal)
        if self.gates[goal].mode is Mode.APPLICATION and self.gates[other].opened > self.gates[goal].opened:
            raise SwitchError(
                f"{goal} accepts writes, though {other} was opened after it: it is a copy from before (a restore?)",
                hint=f"switch to {other} first, which closes {goal}; then copy the tables anew",
            )

    def settled(self, goal: str) -> bool:
        """Tell whether a side serves, and the other one takes the link's writes."""
        others = [gate.mode for side, gate in self.gates.items() if side != goal]
        return self.gates[goal].mode is Mode.APPLICATION and others == [Mode.LINK] and self.journal.phase == goal
