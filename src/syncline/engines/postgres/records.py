"""Records of PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from syncline.engines.postgres.bounded import Bound
from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.states import read_states
from syncline.journal.named import Statements
from syncline.ports import Plan, States
from syncline.postgres.dialect import Dialect, statements


class PostgresRecords:
    """Reads states; see ``syncline.ports.Records``."""

    name = "postgresql"

    def __init__(self, connections: Connections, worker: str) -> None:
        self.worker = worker
        self._connections = connections
        self._bounds: dict[int, Bound] = {}
        self.durability = PostgresDurability(connections)

    async def read(
        self, plan: Plan, keys: Sequence[str], *, most_bytes: int | None = None, apart: bool = False
    ) -> States:
        """Read records as they are now."""
        async with self._connections.reading_on(apart=apart) as connection:
            if most_bytes is None:
                return await read_states(connection, plan, keys)
            bound = self._bounds.setdefault(most_bytes, Bound(most_bytes))
            return await bound.read(connection, plan, keys)


class PostgresDurability:
    """Commits with ``synchronous_commit = off`` are seen before they are durable."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._queries = statements("queries.sql", Dialect.POSTGRESQL)

    async def wait(self, *, apart: bool = False) -> None:
        """Wait until everything written so far would survive a crash."""
        async with self._connections.reading_on(apart=apart) as connection:
            calls = Statements(connection, self._queries)
            (position,) = await calls.one("insert_position")
            while not (await calls.one("flushed", lsn=position))[0]:  # noqa: ASYNC110  the server has no event for it
                await asyncio.sleep(0.01)

    async def asynchronous_writers(self) -> bool:
        """Tell whether a setting lets somebody commit before the change is durable."""
        return bool((await Statements(self._connections.control, self._queries).one("asynchronous_writers"))[0])
