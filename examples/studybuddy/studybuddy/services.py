"""What the routes work with: opened once for the process, handed to each request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Self

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from studybuddy.passwords import Passwords
from studybuddy.settings import Settings
from syncline import Freshness, Secondary, attach_tokens
from syncline.cache import Cache, open_cache

TOKEN_HEADER = "Syncline-Token"  # noqa: S105  no secret: it names a transaction


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for a process."""

    settings: Settings
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    freshness: Freshness
    secondary: Secondary
    cache: Cache
    passwords: Passwords

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Prepare; nothing connects before it is needed, so the application starts whatever is down."""
        engine = create_async_engine(
            settings.sqlalchemy_url,
            pool_size=10,
            pool_timeout=5,
            pool_pre_ping=True,
            connect_args={"connect_timeout": 5, "application_name": "studybuddy"},
        )
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        attach_tokens(sessions)
        redis_url = settings.redis_url.get_secret_value() if settings.redis_url else None
        return cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            freshness=Freshness(engine),
            secondary=Secondary(
                settings.mongodb_url.get_secret_value(), timeout=timedelta(seconds=settings.mongodb_seconds)
            ),
            cache=open_cache(redis_url, name="studybuddy", stale=timedelta(hours=1)),
            passwords=Passwords(settings.hash_memory_kib),
        )

    async def close(self) -> None:
        """Close what was opened."""
        await self.cache.close()
        await self.freshness.close()
        await self.secondary.close()
        await self.engine.dispose()


def of_request(request: Request) -> Services:
    """Find the services of the application that serves this request."""
    services: Services = request.app.state.services
    return services


Serving = Annotated[Services, Depends(of_request)]


async def _session(services: Serving) -> AsyncIterator[AsyncSession]:
    async with services.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
"""A session with the primary. It takes a connection with its first statement and gives it back at the commit."""


async def commit(session: AsyncSession, response: Response) -> None:
    """Commit, and give the caller the token with which later reads will see what was written."""
    await session.commit()
    token = session.info.get("syncline_token")
    if token:
        response.headers[TOKEN_HEADER] = token
