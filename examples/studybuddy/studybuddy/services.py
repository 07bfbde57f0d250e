"""What the routes work with: opened once for the process, handed to each request."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from fastapi import Depends, Request, Response
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine

from studybuddy.passwords import Passwords
from studybuddy.settings import Settings
from syncline import Secondary, attach_tokens
from syncline.cache import Cache, open_cache
from syncline.config import load
from syncline.contrib.fastapi import Fresh, Syncline
from syncline.contrib.opentelemetry import attach_traces
from syncline.telemetry.queries import MongoPool, MongoTimer

CONFIG = Path(__file__).parents[1] / "syncline.toml"


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for a process."""

    settings: Settings
    engine: AsyncEngine
    sessions: async_sessionmaker[AsyncSession]
    syncline: Syncline
    secondary: Secondary
    cache: Cache
    passwords: Passwords

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Prepare; nothing connects before it is needed, so the application starts whatever is down."""
        url, given = settings.engine
        connect = {"connect_timeout": 5, "application_name": "studybuddy", **given.pop("connect_args", {})}
        engine = create_async_engine(
            url,
            isolation_level="READ COMMITTED",  # on CockroachDB too, whose default leaves retries to the application
            pool_pre_ping=True,
            connect_args=connect,
            **{"pool_size": 10, "pool_timeout": 5, **given},
        )
        sessions = async_sessionmaker(engine, expire_on_commit=False)
        attach_tokens(sessions)
        if settings.tracing:
            attach_traces(sessions)
        mongodb_url = settings.mongodb_url.get_secret_value()
        environment = {
            **os.environ,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "MONGODB_URL": mongodb_url,
        }
        pool = MongoPool()
        syncline = Syncline(load(CONFIG, environment), engine=engine, mongo_pool=pool, tracing=settings.tracing)
        return cls(
            settings=settings,
            engine=engine,
            sessions=sessions,
            syncline=syncline,
            secondary=Secondary(
                mongodb_url,
                timeout=timedelta(seconds=settings.mongodb_seconds),
                listeners=[MongoTimer(syncline.queries), pool],
            ),
            cache=open_cache(
                settings.redis_url.get_secret_value() if settings.redis_url else None,
                name="studybuddy",
                stale=timedelta(hours=1),
                observer=syncline.metrics,
            ),
            passwords=Passwords(settings.hash_memory_kib),
        )

    async def close(self) -> None:
        """Close what was opened."""
        await self.cache.close()
        await self.syncline.close()
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


def _tokens(request: Request, response: Response, services: Serving) -> Fresh:
    return services.syncline.fresh(request, response)


Tokens = Annotated[Fresh, Depends(_tokens)]
"""The read-your-writes tokens of a request and its response: the header ``Syncline-Token``."""


async def commit(session: AsyncSession, tokens: Fresh) -> None:
    """Commit, and give the caller the token with which later reads will see what was written."""
    await session.commit()
    tokens.wrote(session)
