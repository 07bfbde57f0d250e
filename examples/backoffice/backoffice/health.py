"""How the application is: both databases, their pools, the session cache, the mode."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Literal

from pydantic import Field
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from backoffice.schemas.common import Output
from backoffice.services import Services
from syncline.errors import SynclineError
from syncline.split import Database
from syncline.split.moving.way_back import way_back
from syncline.split.switching.seen import SeenMove
from syncline.telemetry.queries import engine_pool

DEADLINE_SECONDS = 2.0
KEPT_SECONDS = 1.0
"""Anybody may ask: however often they do, the databases are asked once in this time."""


class DatabaseHealth(Output):
    """One database."""

    up: bool
    latency_ms: float | None = Field(examples=[0.7], description="Of a query that reads nothing; null: no answer.")
    pool: dict[str, int] = Field(examples=[{"size": 15, "inUse": 1, "idle": 3}])


class WayBackHealth(Output):
    """The link that brings home what is written on the new side, after a switch."""

    workers: int = Field(description="0: nobody does, and `syncline split back` would be refused.")
    lag_seconds: float = Field(examples=[0.1])
    parked: int = Field(description="Records that home refuses.")


class MoveHealth(Output):
    """A move of a database's tables, as this process follows it."""

    serving: str = Field(examples=["primary"])
    closed_seconds: float = Field(description="Neither side accepts writes since, or did in the last five minutes.")
    way_back: WayBackHealth | None


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
    moves: dict[str, MoveHealth] = Field(description="Of tables that change databases; empty: nothing moves.")


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
            moves={
                name: await self._look_at_move(name, seen) for name, seen in self._services.databases.moves().items()
            },
        )

    async def _look_at_move(self, name: str, seen: SeenMove) -> MoveHealth:
        found = None
        with suppress(SynclineError, TimeoutError):
            async with asyncio.timeout(DEADLINE_SECONDS):
                found = await way_back(self._services.databases, name)
        return MoveHealth(
            serving=seen.serving,
            closed_seconds=round(seen.closed_seconds, 3),
            way_back=None if found is None else WayBackHealth(**asdict(found)),
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
