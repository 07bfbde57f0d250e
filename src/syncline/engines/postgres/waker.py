"""Waking an idle relay: an advisory lock that writers look at, and NOTIFY."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable

from syncline.engines.postgres.connections import Connections
from syncline.journal.named import Statements
from syncline.model.link import current
from syncline.postgres.connection import fetch_one, translated
from syncline.postgres.dialect import Dialect, statements
from syncline.postgres.sql import ours

CALL = "call"
"""The payload of a notification by which a worker asks for lanes; a writer's has none."""


class PostgresWaker:
    """See ``syncline.ports.Waker``. The lock belongs to the session of ``reader``, which reads the marks."""

    def __init__(self, connections: Connections, worker: str) -> None:
        self.worker = worker
        self.holds = False
        self.can_listen = connections.listener is not None
        self._reader, self._listener = connections.reader, connections.listener
        self._control = Statements(connections.control, statements("queries.sql", Dialect.POSTGRESQL))
        self._relied_on: int | None = None
        self._lock = current().wake_lock
        self._listen, self._notify = ours("LISTEN syncline"), ours("NOTIFY syncline")
        self._call = ours(f"NOTIFY syncline, '{CALL}'")

    async def arm(self) -> bool:
        """Take the wake lock; false while another worker has it or a writer is at work."""
        if not self.can_listen:
            return False
        if not self.holds:
            row = await fetch_one(self._reader, "SELECT pg_try_advisory_lock(%s, %s)", self._lock)
            self.holds = bool(row[0])
        return self.holds

    async def disarm(self) -> None:
        """Give back the wake lock."""
        if self.holds:
            self.holds = False
            with translated():
                await self._reader.execute("SELECT pg_advisory_unlock(%s, %s)", self._lock)

    def has_lost_connection(self) -> bool:
        """Tell whether something has come in on an idle reader: that it was cut off, and its wake lock is gone."""
        if self._reader.closed:
            return True
        poll = select.poll()
        poll.register(self._reader.fileno(), select.POLLIN)
        return bool(poll.poll(0))

    async def another_holds(self) -> bool:
        """Tell whether another worker holds the wake lock, and remember who."""
        self._relied_on = await self._holder()
        return self._relied_on is not None

    async def another_holds_still(self) -> bool:
        """Tell whether the same one holds it as before."""
        return self._relied_on is not None and await self._holder() == self._relied_on

    async def _holder(self) -> int | None:
        found: int | None = (await self._control.one("wake_lock_held"))[0]
        return found

    async def listen(self, wake: Callable[[bool], None]) -> None:
        """Call ``wake`` at every notification, until the session ends."""
        if self._listener is None:
            await asyncio.Event().wait()
            return
        with translated():
            await self._listener.execute(self._listen)
            wake(False)  # what was committed before it listened has told nobody: look once
            async for notice in self._listener.notifies():
                wake(notice.payload == CALL)

    async def notify(self, *, call: bool = False) -> None:
        """Wake the other workers; by a call, have them renew their leases, too."""
        with translated():
            await self._control.connection.execute(self._call if call else self._notify)
