"""Looks at both databases, a few times a second, for the view."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg import sql
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from syncline.config import Settings
from syncline.insight import reach
from syncline.model.mark import LANES
from syncline.postgres.connection import Connection


@dataclass(frozen=True, slots=True)
class Sample:
    """What was seen."""

    queue: int = 0
    lag_seconds: float = 0.0
    failed: int = 0
    lanes_owned: int = 0
    """Lanes with a live owner."""
    lanes_total: int = LANES
    holder: str = ""
    """The id of the worker that has them."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """By entity, in PostgreSQL."""
    documents: Mapping[str, int] = field(default_factory=dict)
    """By entity, in MongoDB."""


class Sampler:
    """Asks what ``syncline status`` asks, over connections that stay open."""

    def __init__(self, settings: Settings, connection: Connection, database: AsyncDatabase[Mapping[str, Any]]) -> None:
        self._entities = settings.entities
        self._connection = connection
        self._database = database
        tables = [sql.Identifier(entity.table.schema, entity.table.name) for entity in settings.entities]
        counts = [sql.SQL("(SELECT count(*) FROM {})").format(table) for table in tables]
        self._counts = sql.SQL("SELECT ") + sql.SQL(", ").join(counts)

    async def look(self) -> Sample:
        """Take a sample."""
        measures = await reach.one(self._connection, "measures")
        lanes = await reach.one(self._connection, "lane_counts")
        workers = await reach.rows(self._connection, "workers")
        counted = await (await self._connection.execute(self._counts)).fetchone()
        rows = dict(zip((entity.name for entity in self._entities), counted or (), strict=True))
        documents = {
            entity.name: await self._database[entity.collection].estimated_document_count() for entity in self._entities
        }
        holder = max((w for w in workers if w["alive"]), key=lambda w: w["lanes"], default=None)
        return Sample(
            queue=measures["queue_size"],
            lag_seconds=measures["lag_seconds"],
            failed=measures["failed_events"],
            lanes_owned=lanes["owned"],
            lanes_total=lanes["total"],
            holder=holder["id"] if holder and holder["lanes"] else "",
            rows=rows,
            documents=documents,
        )


@contextlib.asynccontextmanager
async def opened_sampler(settings: Settings) -> AsyncIterator[Sampler]:
    """Make a sampler for a block."""
    client = AsyncMongoClient[Mapping[str, Any]](settings.target.url)
    async with client, reach.source(settings.source, purpose="demo") as connection:
        yield Sampler(settings, connection, client[settings.target.database])
