"""Where a read is answered from: the cache, MongoDB, PostgreSQL; and how the answer says so.

The order, for what is read in bulk:

1. the cache, for the few hot reads that have one (not when the caller brings a token);
2. MongoDB, when it has what the caller wrote (the token), or when the caller brings none;
3. PostgreSQL, when MongoDB is away or has not caught up, unless the read is too heavy for it;
4. for a heavy one: old figures marked stale; or 503, try later.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Annotated, Any

import structlog
from fastapi import Depends, Header, Response
from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy.services import Services, Serving, Tokens
from syncline import Secondary, SynclineError, TargetUnavailableError
from syncline.contrib.fastapi import Fresh

Rows = list[dict[str, Any]]

SOURCE_HEADER = "Data-Source"
STALE_HEADER = "Data-Stale"

FromSecondary = Callable[[Secondary], Awaitable[Rows]]
FromPrimary = Callable[[AsyncSession], Awaitable[Rows]]

HEADERS: dict[str, Any] = {
    SOURCE_HEADER: {
        "description": "Which database answered.",
        "schema": {"type": "string", "enum": ["mongodb", "postgresql", "cockroachdb"]},
    },
    "Age": {"description": "How old the answer is, when it comes from the cache.", "schema": {"type": "integer"}},
    STALE_HEADER: {
        "description": "`true`: newer figures, or the caller's own writes, were not to be had in time.",
        "schema": {"type": "string", "enum": ["true"]},
    },
}


class Reads:
    """The reads of one request."""

    def __init__(self, services: Services, response: Response, tokens: Fresh) -> None:
        self._services = services
        self._response = response
        self._tokens = tokens

    async def rows(self, secondary: FromSecondary, primary: FromPrimary | None = None) -> Rows:
        """Read from MongoDB when it has what the caller wrote, else from PostgreSQL.

        Args:
            secondary: the read, for MongoDB.
            primary: the same read for PostgreSQL; ``None`` when it is too heavy for that.

        Raises:
            TargetUnavailableError: MongoDB is away, and there is no other way; it becomes a 503.

        """
        synced = await self._synced()
        if not synced and primary is None:
            self._response.headers[STALE_HEADER] = "true"  # without what the caller has just written
        source, rows = await self._load(secondary, primary, synced=synced)
        self._response.headers[SOURCE_HEADER] = source
        return rows

    async def cached(
        self,
        key: str,
        secondary: FromSecondary,
        primary: FromPrimary | None = None,
        *,
        ttl: timedelta,
        tag: str,
        ahead: timedelta = timedelta(),
    ) -> Rows:
        """Read like ``rows``, once for all who ask at the same time, and keep the answer for ``ttl``.

        In the part of it that is ``ahead`` of its end a new answer is made while the old one is given.
        """
        if self._tokens.token:  # what is kept may be older than what the caller wrote
            try:
                return await self.rows(secondary, primary)
            except TargetUnavailableError:  # then an old answer, marked stale, is better than none
                self._response.headers[STALE_HEADER] = "true"

        async def load() -> tuple[str, Rows]:
            return await self._load(secondary, primary, synced=True)

        reading = await self._services.cache.get(key, load, ttl=ttl, tags=[tag], ahead=ahead)
        source, rows = reading.value
        self._response.headers[SOURCE_HEADER] = source
        self._response.headers["Age"] = str(int(reading.age.total_seconds()))
        if reading.stale:
            self._response.headers[STALE_HEADER] = "true"
        return rows

    async def _load(self, secondary: FromSecondary, primary: FromPrimary | None, *, synced: bool) -> tuple[str, Rows]:
        if synced or primary is None:
            try:
                return "mongodb", await secondary(self._services.secondary)
            except TargetUnavailableError:
                if primary is None:
                    raise
        async with self._services.sessions() as session:
            return self._services.engine.dialect.name, await primary(session)

    async def _synced(self) -> bool:
        """Tell whether MongoDB has what the caller wrote; waits for it a little."""
        try:
            return await self._tokens.synced(self._services.settings.synced_seconds)
        except SynclineError as error:  # not installed, or no right to ask: PostgreSQL is always right
            structlog.get_logger().warning("cannot tell whether MongoDB is up to date", error=error.message)
            return False


def _reads(
    services: Serving,
    response: Response,
    tokens: Tokens,
    syncline_token: Annotated[
        str | None, Header(description="From your last writes: the answer has what you wrote.", max_length=1024)
    ] = None,
) -> Reads:
    del syncline_token  # `tokens` has read it; here it is described
    return Reads(services, response, tokens)


Reading = Annotated[Reads, Depends(_reads)]


async def selected(session: AsyncSession, statement: Select[Any]) -> Rows:
    """Run a SELECT of columns."""
    return [dict(row) for row in (await session.execute(statement)).mappings()]
