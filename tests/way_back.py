"""The way back in tests: a gate of MongoDB where there is no coordinator, and what a worker does where there is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.engines.mongo.gates import MongoBackGate
from syncline.phases.returning import Returning
from syncline.phases.switching.watching import Watch
from syncline.telemetry.observer import NullObserver


class Gate:
    """What the gate of the tasks says, as somebody else changes it."""

    def __init__(self) -> None:
        self.number: int | None = 5
        self.asked = 0

    async def links(self) -> dict[str, int]:
        self.asked += 1
        return {} if self.number is None else {"tasks": self.number}

    async def last(self, _: str) -> int:
        return 5 if self.number is None else self.number


@asynccontextmanager
async def worker(documents: Documents) -> AsyncIterator[None]:
    """Run what a worker does of the way back, and of what was left half-way."""
    async with opened(documents) as link:
        back = Returning(documents, MongoBackGate(link.database), NullObserver())
        watch = Watch(documents, every=0.1)
        tasks = [asyncio.create_task(one.run()) for one in (back, watch)]
        try:
            yield
        finally:
            back.stop()
            watch.stop()
            await asyncio.gather(*tasks)
