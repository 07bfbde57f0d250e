"""What a coordinator asks of the sides of a move, of the link between them, and of who reads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

from syncline.split.switching.gate import GateRow, Verb


class SideGate(Protocol):
    """The gate of a side, in whatever database: one record that is compared and set."""

    side: str

    async def read(self) -> GateRow:
        """Read the record as it is now.

        Raises:
            NotMovingError: there is none.

        """
        ...

    async def change(self, number: int, verb: Verb, patience: timedelta) -> GateRow:
        """Change it; a closing has an answer when nobody can write any more who was let in before.

        Raises:
            GateBusyError: writers of before may still write; the same may be asked again.
            SupersededError: a coordinator with a higher number was here.
            NamedDatabaseUnavailableError: what became of the change is not known: it may come late.

        """
        ...

    async def writers(self) -> list[str]:
        """Name who was let in before, and may still write."""
        ...

    async def end_links(self) -> None:
        """End what a link does that was let in and does not go on."""
        ...

    async def aclose(self) -> None:
        """Close its connections."""
        ...


class Readers(Protocol):
    """Those who read the side that is announced to them, for as long as a lease says."""

    async def announce(self, side: str, number: int) -> None:
        """Say which side is read from now on, unless a coordinator with a higher number has said something.

        Raises:
            SupersededError: one has.
            NamedDatabaseUnavailableError: what became of it is not known.

        """
        ...

    async def behind(self) -> Sequence[str]:
        """Name those who may still read the other side: they have not acknowledged, and their lease holds."""
        ...


class Link(Protocol):
    """The link that carries what is written on one side to the other, in either direction."""

    async def ready(self, source: str, target: str, number: int) -> None:
        """See that a switch can be begun: writes on ``target`` will be captured, and every moved table has its gate.

        The last time that ``source`` is as applications have it: what is turned on and off is noted now.

        Raises:
            SwitchError: it says what is missing. Nothing is closed yet.
            SupersededError: a coordinator with a higher number was here.

        """
        ...

    async def learn(self) -> None:
        """Read what will be needed while writers are paused: a coordinator is about to close a side."""
        ...

    async def drained(self, source: str) -> bool:
        """Tell whether everything that was captured on ``source`` is written and acknowledged on the other side."""
        ...

    async def verify_tail(self, source: str, target: str) -> None:
        """Compare what was written last; nobody writes on either side.

        Raises:
            SwitchError: it differs. The source serves again.

        """
        ...

    async def raise_sequences(self, source: str, target: str, number: int) -> None:
        """Set the sequences of ``target`` beyond those of ``source``, while its gate is as ``number`` left it."""
        ...

    async def open_up(self, side: str, number: int) -> None:
        """Turn on what acts on new rows (triggers, immediate foreign keys): the side is about to accept writes.

        Raises:
            GateBusyError: not now; it is asked again.
            SupersededError: a coordinator with a higher number was here.

        """
        ...

    async def close_up(self, side: str, number: int, *, hurried: bool = False) -> None:
        """Turn it off: the side is about to be the link's, whose rows have met it on the other one.

        Args:
            side: the side.
            number: the coordinator's; a later one's work stays.
            hurried: writers are paused meanwhile.

        Raises:
            GateBusyError: not now; it is asked again.
            SupersededError: a coordinator with a higher number was here.

        """
        ...
