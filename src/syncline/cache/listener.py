"""The part that every listener to a server shares: connect, prove again and again that nothing was missed."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod

import structlog

from syncline.cache.revocations import DELAY, Heard
from syncline.clock import boottime
from syncline.errors import SynclineError

_log = structlog.get_logger("syncline")

INTERVAL = DELAY / 3
"""Seconds between two proofs."""
SILENCE = 10.0
"""Seconds without an answer after which a connection is given up. The cache is not used long before that."""
REST = 0.25
"""Seconds between two attempts to connect."""


class Listener(ABC):
    """Listens in a task of its own; after a failure it says so, and connects again for as long as it takes."""

    def __init__(self) -> None:
        self._until = 0.0
        self._ready = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def open(self, heard: Heard) -> None:
        """Begin to listen, and wait a moment for the first proof.

        Raises:
            SynclineError: what no second attempt can help, such as a pooler in between.

        """
        if self._task is not None:
            return
        self._task = asyncio.create_task(self._run(heard))
        waiting = asyncio.create_task(self._ready.wait())
        await asyncio.wait({waiting, self._task}, timeout=DELAY, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if self._task.done():
            task, self._task = self._task, None
            task.result()

    def current(self) -> bool:
        """Tell whether a proof of the last ``DELAY`` seconds is there."""
        return boottime() < self._until

    async def close(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None
        self._until = 0.0
        self._ready.clear()

    @abstractmethod
    async def listen(self, heard: Heard) -> None:
        """Connect, call ``heard`` with ``None`` once it listens, and ``proved`` after each answer, until that ends.

        Raises:
            SynclineError: retryable or not.
            OSError: the server does not answer; also ``TimeoutError``.

        """

    def proved(self, asked: float) -> None:
        """Note that what was committed before the server was asked, at this ``boottime()``, has been heard."""
        self._until = asked + DELAY
        self._ready.set()

    async def _run(self, heard: Heard) -> None:
        said = None
        while True:
            try:
                await self.listen(heard)
            except (SynclineError, OSError) as error:
                if isinstance(error, SynclineError) and not error.retryable and not self._ready.is_set():
                    raise
                if said != str(error):
                    said = str(error)
                    _log.warning("revocations cannot be heard: every request loads its session", error=said)
            else:
                said = None
            await asyncio.sleep(REST)
