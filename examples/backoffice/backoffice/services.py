"""What the routes work with: opened once for the process, handed to each request."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from backoffice.callers import Caller
from backoffice.imports.workflow import Imports
from backoffice.models import DataBase, PrimaryBase
from backoffice.passwords import Passwords
from backoffice.settings import Settings
from syncline.cache import ListenedRevocations, PolledRevocations, Revocations, SessionCache
from syncline.contrib.fastapi.writes import Writes
from syncline.errors import NamedDatabaseError
from syncline.split import Databases
from syncline.telemetry.metrics import AppMetrics

CONFIG = Path(__file__).parents[1] / "syncline.toml"


@dataclass(frozen=True, slots=True)
class Services:
    """One of each for a process."""

    settings: Settings
    databases: Databases
    sessions: async_sessionmaker[AsyncSession]
    reads: async_sessionmaker[AsyncSession]
    """Sessions without transactions: two round trips less to a database that may be far away."""
    writes: Writes[AsyncSession]
    """Runs transactions that write to DATA, again where its tables are changing sides."""
    callers: SessionCache[Caller]
    passwords: Passwords
    imports: Imports
    metrics: AppMetrics

    @classmethod
    def make(cls, settings: Settings, databases: Databases | None = None) -> Self:
        """Prepare; nothing connects before it is needed.

        Raises:
            ConfigError: a variable is missing, or a URL cannot be used.

        """
        databases = databases or Databases.from_environment(CONFIG)
        databases.declare("primary", PrimaryBase)
        databases.declare("data", DataBase)
        metrics = AppMetrics()
        sessions = databases.async_session_factory(expire_on_commit=False)
        deadline = timedelta(seconds=settings.write_seconds)
        return cls(
            settings=settings,
            databases=databases,
            sessions=sessions,
            reads=databases.async_session_factory(expire_on_commit=False, reading=True),
            writes=Writes(databases, sessions.begin, deadline=deadline),
            callers=SessionCache(names=Caller.names, revocations=revocations(databases), observer=metrics),
            passwords=Passwords(settings.hash_memory_kib),
            imports=Imports(sessions, databases, deadline),
            metrics=metrics,
        )

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Listen for revocations for a block, and close everything at its end."""
        try:
            async with self.callers:
                yield
        finally:
            await self.databases.aclose()


def revocations(databases: Databases) -> Revocations:
    """Hear of ended sessions by LISTEN where PRIMARY can be reached directly, else by polling through the pooler."""
    try:
        return ListenedRevocations(databases.primary.direct_address.conninfo)
    except NamedDatabaseError:
        return PolledRevocations(databases.primary.address.conninfo)


async def of_request(request: Request) -> Services:
    """Find the services of the application that serves this request; async, or a thread would be asked for it."""
    services: Services = request.app.state.services
    return services


Serving = Annotated[Services, Depends(of_request)]


async def _session(services: Serving) -> AsyncIterator[AsyncSession]:
    async with services.sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
"""A session over both databases, for transactions that write to PRIMARY."""


async def _reads(services: Serving) -> AsyncIterator[AsyncSession]:
    async with services.reads() as session:
        yield session


Reads = Annotated[AsyncSession, Depends(_reads)]
"""A session over both databases for what only reads."""


async def _writes(services: Serving) -> Writes[AsyncSession]:
    return services.writes


DataWrites = Annotated[Writes[AsyncSession], Depends(_writes)]
"""Transactions that write to DATA: each is run whole, and again while the tables change sides."""
