"""What a coordinator asks of the link between the sides of a move."""

from __future__ import annotations

from typing import Protocol


class Link(Protocol):
    """The link that carries what is written on one side to the other, in either direction."""

    async def ready(self, source: str, target: str) -> None:
        """See that a switch can be begun: writes on ``target`` will be captured, and every moved table has its gate.

        The last time that ``source`` is as applications have it: what is turned on and off is noted now.

        Raises:
            SwitchError: it says what is missing. Nothing is closed yet.

        """
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

    async def open_up(self, side: str) -> None:
        """Turn on what acts on new rows (triggers, immediate foreign keys): the side is about to accept writes.

        Raises:
            GateBusyError: not now; it is asked again.

        """
        ...

    async def close_up(self, side: str, *, hurried: bool = False) -> None:
        """Turn it off: the side is about to be the link's, whose rows have met it on the other one.

        Args:
            side: the side.
            hurried: writers are paused meanwhile.

        Raises:
            GateBusyError: not now; it is asked again.

        """
        ...
