"""The moves of named databases, as the page shows them: looked at seldom, and never waited for for long."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from syncline.config import redact
from syncline.errors import SynclineError
from syncline.insight.patience import Patience

Moves = Callable[[], Awaitable[Sequence[Mapping[str, Any]]]]
"""Gives what ``split status --json`` says of each named database."""
EVERY_SECONDS = 5.0
_IDLE_SECONDS = 30.0


class MovesWatch:
    """Reads them, and remembers what it has read.

    Args:
        read: reads them; without it there are none.
        deadline: how many seconds a reading may take.

    """

    def __init__(self, read: Moves | None, deadline: float) -> None:
        self._read = read
        self._patience = Patience[Sequence[Mapping[str, Any]]](deadline)
        self._known: Mapping[str, Any] = {"moves": []}
        self._due = 0.0

    async def current(self) -> Mapping[str, Any]:
        """Give the moves that have begun, or why they are not known."""
        if self._read is not None and time.monotonic() >= self._due:
            self._known = await self._asked(self._read)
            busy = self._known.get("moves") or "moves_error" in self._known
            self._due = time.monotonic() + (EVERY_SECONDS if busy else _IDLE_SECONDS)
        return self._known

    async def _asked(self, read: Moves) -> Mapping[str, Any]:
        last = self._known.get("moves", [])
        try:
            found = await self._patience.within(read)
        except TimeoutError:
            return {"moves": last, "moves_error": f"no answer within {self._patience.seconds:g} s"}
        except Exception as error:  # noqa: BLE001  the rest of the page is told all the same
            said = error.message if isinstance(error, SynclineError) else f"{type(error).__name__}: {error}"
            return {"moves": last, "moves_error": redact(said)}
        return {"moves": [one for one in found if one["phase"] is not None]}

    async def settle(self) -> None:
        """Wait a moment for what was left behind."""
        await self._patience.settle()
