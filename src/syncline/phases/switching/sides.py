"""The gates of both sides of a collection, as a coordinator has them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

from psycopg import AsyncConnection

from syncline.engines.mongo.gates import Gate as MongoRow
from syncline.errors import NamedDatabaseUnavailableError, SourceUnavailableError
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.postgres.sql import blocks
from syncline.split.switching.gate import BUSY, Gate, GateBusyError, GateRow, Mode, Verb

MONGODB, POSTGRESQL = "mongodb", "postgresql"
"""The sides, as the journal of a switch names them."""
Result = TypeVar("Result")
_POLL_SECONDS = 0.004


def gate_name(collection: str) -> str:
    """Name the gate of a collection in PostgreSQL, and its switch in the journal: no database is called so."""
    return f"documents/{collection}"


@contextmanager
def answered() -> Iterator[None]:
    """Say of a MongoDB that does not answer what a coordinator expects of a side."""
    try:
        yield
    except SourceUnavailableError as error:
        raise NamedDatabaseUnavailableError(error.message, hint=error.hint) from error


async def asked(question: Callable[[], Result]) -> Result:
    """Ask MongoDB, by a thread."""
    with answered():
        return await asyncio.to_thread(question)


class MongoSide:
    """MongoDB's gate of a collection; implements ``split.switching.ports.SideGate``.

    No lock is waited for: a closing waits until each process that may write has learned of it, or its lease is over.
    """

    def __init__(self, collection: str, gates: GatesInMongoDB) -> None:
        self.side = MONGODB
        self._collection, self._gates = collection, gates
        self._closed: int | None = None

    async def read(self) -> GateRow:
        """Read the gate."""
        return _row(await asked(lambda: self._gates.read(self._collection)))

    async def change(self, number: int, verb: Verb, patience: timedelta) -> GateRow:
        """Change it; see ``SideGate.change``."""
        gate = await asked(lambda: self._gates.change(self._collection, number, verb))
        if verb is Verb.CLOSE:
            self._closed = gate.change
            await self.learned(gate.change, patience)
            await asked(lambda: self._gates.shut(self._collection, gate))
        return _row(gate)

    async def learned(self, change: int, patience: timedelta) -> None:
        """Wait until nobody writes under what the gate said before a change.

        Raises:
            GateBusyError: somebody may still.

        """
        until = time.monotonic() + patience.total_seconds()
        while await asked(lambda: self._gates.behind(change)):
            if time.monotonic() >= until:
                raise GateBusyError
            await asyncio.sleep(_POLL_SECONDS)

    async def writers(self) -> list[str]:
        """Name the processes that have not learned of the closing."""
        change = self._closed
        if change is None:
            return []
        behind = await asked(lambda: self._gates.behind(change))
        return [f"process {one.name}, its lease holds for {one.seconds:.1f} s" for one in behind]

    async def end_links(self) -> None:
        """Do nothing: what the link back writes is compared, document by document."""

    async def aclose(self) -> None:
        """Do nothing: the connections are lent."""


class PostgresSide(Gate):
    """PostgreSQL's gate of a collection.

    Whoever brings documents reads one number before the documents, that of the link of all collections. It becomes
    another one with each gate that is given to the link.
    """

    async def change(self, number: int, verb: Verb, patience: timedelta) -> GateRow:
        """Change it; see ``SideGate.change``."""
        if verb is Verb.LINK and (await self.read()).mode is not Mode.LINK:
            async with self.session.connected() as connection:
                await _renumbered(connection, patience)
        return await super().change(number, verb, patience)


async def _renumbered(connection: AsyncConnection[Any], patience: timedelta) -> None:
    sql = blocks("versions.sql", "syncline.engines.postgres.documents")
    try:
        async with connection.transaction():
            limit = f"{max(1, round(patience.total_seconds() * 1000))}ms"
            await connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", [limit])
            await connection.execute(sql["alone"])
            await connection.execute(sql["renumber"])
    except BUSY as error:
        raise GateBusyError from error


def _row(gate: MongoRow) -> GateRow:
    return GateRow(Mode(gate.mode), gate.number, gate.opened, gate.link)
