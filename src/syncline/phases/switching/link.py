"""What carries a collection between the sides of its switch: documents forward, rows back."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any

from syncline.capture.documents.field import MARK
from syncline.documents.opening import DocumentLink
from syncline.ending import end
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked import translated
from syncline.errors import SwitchError, SynclineError
from syncline.model.entity import TableName
from syncline.model.link import entered
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB
from syncline.phases.switching.sides import MONGODB, MongoSide, PostgresSide, asked
from syncline.phases.way_back import WayBack
from syncline.postgres.sql import blocks
from syncline.relay.documents.pump import DocumentPump
from syncline.relay.worker import Worker
from syncline.split.switching.gate import GateBusyError
from syncline.split.switching.install import unguarded
from syncline.telemetry.observer import NullObserver

_LOG = logging.getLogger("syncline.phases")
_STOP_SECONDS = 3.0
"""A worker that has not ended by then is cut off: whatever was under way is done again from its mark."""
LEARN = timedelta(seconds=10)
"""How long it is waited, before anybody is refused, until every process knows that a change is to come."""
CATCH_UP = timedelta(seconds=5)
"""How long it is waited likewise until the way back lags little: longer than the lease of a worker that has died."""
_LITTLE_SECONDS = 0.1
_LOOK_SECONDS = 0.02


class CollectionLink:
    """Implements ``split.switching.ports.Link``. It carries documents by itself, and rows where no worker does.

    Args:
        collection: the collection.
        link: documents forward; nobody else uses its ``rows``.
        back: the way back.
        mongodb: the side.
        postgresql: the other one.
        gates: MongoDB's.

    """

    def __init__(
        self,
        collection: str,
        link: DocumentLink,
        back: WayBack,
        *,
        mongodb: MongoSide,
        postgresql: PostgresSide,
        gates: GatesInMongoDB,
    ) -> None:
        self._collection, self._link, self._back = collection, link, back
        self._mongodb, self._postgresql, self._gates = mongodb, postgresql, gates
        self._pump = DocumentPump(link.source, link.rows, [collection], log=MongoIntentLog(link.database))
        self._worker: tuple[Worker, asyncio.Task[None], Any] | None = None

    @property
    def tables(self) -> list[TableName]:
        """Give the tables of the collection, the child tables too."""
        return [table.name for table in self._link.mapping(self._collection).tables]

    async def ready(self, source: str, target: str, number: int) -> None:  # noqa: ARG002  the same for both directions
        """See that every table has its gate and its capture; have every process ask often from now on."""
        missing = await unguarded(self._postgresql, self.tables)
        with entered(self._back.link):
            rows = await self._postgresql.session.rows(_sql("captured"), {"collection": self._collection})
        if not rows:
            missing.append(f"{self._collection} has no way back: its tables are not captured")
        if missing:
            raise SwitchError("; ".join(missing), hint="`syncline phase advance` puts them in place")
        change = (await asked(lambda: self._gates.hurry(self._collection))).change
        try:
            await self._mongodb.learned(change, LEARN)
        except GateBusyError:
            names = ", ".join(one.name for one in await asked(lambda: self._gates.behind(change)))
            raise SwitchError(
                f"these processes do not ask MongoDB's gate, and may write past it: {names}",
                hint="they run an older version, or hang: end them, or start them anew",
            ) from None
        if source == MONGODB:
            await self._carried()  # most of it, before anybody is refused, over a session that is open then
        else:
            await self._caught_up()

    async def _caught_up(self) -> None:
        """Wait until all lanes of the way back are served and it lags little; what is in its way is told by the drain.

        A worker that joins others gets lanes with their next renewals only, and until then nobody serves these: one is
        begun here where lanes are free, and at no other time.
        """
        until = time.monotonic() + CATCH_UP.total_seconds()
        while time.monotonic() < until:
            with entered(self._back.link):
                ((served, seconds),) = await self._postgresql.session.rows(
                    _sql("lag"), {"collection": self._collection}
                )
            if served and seconds < _LITTLE_SECONDS:
                return
            if not served:
                self._carry_back()
            await asyncio.sleep(_LOOK_SECONDS)

    async def learn(self) -> None:
        """Do nothing: no trigger is turned on or off."""

    async def drained(self, source: str) -> bool:
        """Tell whether all is on the other side; carry it."""
        if source == MONGODB:
            return await self._carried()
        with entered(self._back.link):
            ((waits, served),) = await self._postgresql.session.rows(_sql("waiting"), {"collection": self._collection})
        if waits and not served:  # its worker has ended since
            self._carry_back()
        return not waits

    async def _carried(self) -> bool:
        marked = {MARK: {"$exists": True}}
        try:
            await self._pump.walk()
            with translated():
                return await self._link.database[self._collection].find_one(marked, {"_id": 1}) is None
        except SynclineError as error:
            if not error.retryable:
                raise
            return False  # tried again as long as writers may be paused

    def _carry_back(self) -> None:
        """Run a worker of the way back, beside others."""
        if self._worker is None or self._worker[1].done():
            target = self._back.target()
            worker = self._back.worker(target, observer=NullObserver())
            self._worker = worker, asyncio.create_task(worker.run()), target

    async def verify_tail(self, source: str, target: str) -> None:
        """Do nothing: each document goes behind its version, each row behind its ticket."""

    async def raise_sequences(self, source: str, target: str, number: int) -> None:
        """Do nothing: ids are MongoDB's."""

    async def open_up(self, side: str, number: int) -> None:
        """Do nothing: what is written here meets the same on both sides."""

    async def close_up(self, side: str, number: int, *, hurried: bool = False) -> None:
        """Do nothing, likewise."""

    async def aclose(self) -> None:
        """End what it has begun."""
        if self._worker is not None:
            worker, running, target = self._worker
            worker.stop()
            await asyncio.wait({running}, timeout=_STOP_SECONDS)
            await end(running, seconds=1.0)
            if running.done() and not running.cancelled() and (error := running.exception()) is not None:
                _LOG.info("the way back beside a change of sides has ended: %s", error)
            await target.close()


def _sql(name: str) -> str:
    return blocks("switching.sql", "syncline.phases.switching")[name]
