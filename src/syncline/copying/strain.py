"""Whether the source takes longer than usual while a table is copied."""

from __future__ import annotations

import asyncio

from syncline.backfill.latency import Latency
from syncline.errors import SynclineError
from syncline.ports.copying import Copies, Copy

UNANSWERED = 20
"""After so many looks in a row that failed, whatever they need is lost."""


class Strain:
    """Looks at the source.

    Args:
        copies: the source's memory.
        copy: whose source it is.
        latency: knows what is usual.

    """

    def __init__(self, copies: Copies, copy: Copy, latency: Latency) -> None:
        self._copies, self._copy, self._latency = copies, copy, latency
        self._failed = 0

    async def lasts(self) -> bool:
        """Look; a source that does not answer takes longer than usual.

        Raises:
            SynclineError: it has not answered for a while.

        """
        try:
            took = await self._copies.look(self._copy)
        except SynclineError:
            self._failed += 1
            if self._failed >= UNANSWERED:
                raise
            return True
        self._failed = 0
        self._latency.note(took, at=asyncio.get_running_loop().time())
        return self._latency.strained
