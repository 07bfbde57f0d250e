"""How the application is: both databases, their pools, the session cache, the mode."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backoffice.schemas.common import Output
from backoffice.services import Services
from syncline.errors import SynclineError
from syncline.split import Database
from syncline.telemetry.queries import engine_pool

DEADLINE_SECONDS = 2.0
KEPT_SECONDS = 1.0
"""Anybody may ask: however often they do, the databases are asked once in this time."""


class DatabaseHealth(Output):
    """One database."""

    up: bool
    latency_ms: float | None = Field(examples=[0.7], description="Of a query that reads nothing; null: no answer.")
    pool: dict[str, int] = Field(examples=[{"size": 15, "inUse": 1, "idle": 3}])


class CacheHealth(Output):
    """The session cache of this process."""

    current: bool = Field(description="Sessions are kept; false: each request asks PRIMARY.")
    entries: int
    hit_rate: float = Field(examples=[0.98])
    loads: int
    suppressed: int
    revocations: int


class Health(Output):
    """The whole."""

    status: Literal["ok", "degraded", "down"] = Field(
        description="`degraded`: DATA does not answer. `down` (503): PRIMARY does not, and nobody can log in."
    )
    mode: Literal["single", "split"]
    databases: dict[str, DatabaseHealth]
    sessions: CacheHealth


class HealthCheck:
    """Asks, and remembers for a moment."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._asking = asyncio.Lock()
        self._found: tuple[float, Health] | None = None

    async def __call__(self) -> Health:
        """Give the health, at most a second old."""
        async with self._asking:
            if self._found is None or time.monotonic() - self._found[0] > KEPT_SECONDS:
                health = await self._ask()
                self._found = (time.monotonic(), health)
            return self._found[1]

    async def _ask(self) -> Health:
        databases = list(self._services.databases)
        answers = await asyncio.gather(*map(_look_at, databases))
        found = {database.name: answer for database, answer in zip(databases, answers, strict=True)}
        up = all(answer.up for answer in answers)
        counts = self._services.callers.counts
        return Health(
            status="ok" if up else "degraded" if found["primary"].up else "down",
            mode="split" if self._services.databases.split else "single",
            databases=found,
            sessions=CacheHealth(
                current=self._services.callers.current,
                entries=len(self._services.callers),
                hit_rate=round(counts.hit_rate, 4),
                loads=counts.load,
                suppressed=counts.suppressed,
                revocations=counts.revoke,
            ),
        )


async def _look_at(database: Database) -> DatabaseHealth:
    engine = database.async_engine
    began = time.perf_counter()
    latency = None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS), engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            latency = round((time.perf_counter() - began) * 1000, 2)
    except (TimeoutError, SQLAlchemyError, SynclineError, OSError):
        pass
    return DatabaseHealth(up=latency is not None, latency_ms=latency, pool=engine_pool(engine))
