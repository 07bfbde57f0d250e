"""The application. ``uvicorn --factory backoffice.app:create_app`` serves it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from sqlalchemy.exc import SQLAlchemyError

from backoffice import logs, problems
from backoffice.health import HealthCheck
from backoffice.metrics import Metrics
from backoffice.middleware import BodyLimit, Requests
from backoffice.routes import (
    audit,
    auth,
    carriers,
    delivery,
    exports,
    facilities,
    health,
    imports,
    integrations,
    organizations,
    roles,
    transforms,
    users,
)
from backoffice.services import Services
from backoffice.settings import Settings, SettingsError
from syncline.contrib.fastapi import Correlation, RequestTimes
from syncline.errors import SynclineError
from syncline.split import Databases

DESCRIPTION = """
A back office: people and what they may do, customers, integrations, delivery prices and their imports.

Log in with `POST /api/auth/login`, send `Authorization: Bearer …`. Errors are problem details (RFC 9457).
"""
UPLOADS = "/api/imports"
ROUTES = (
    health,
    auth,
    users,
    roles,
    audit,
    organizations,
    facilities,
    integrations,
    carriers,
    delivery,
    transforms,
    imports,
    exports,
)


def create_app(settings: Settings | None = None, databases: Databases | None = None) -> FastAPI:
    """Make the application; by default as the environment says."""
    if settings is None:
        settings = Settings.from_environment()
        logs.setup()
    try:
        services = Services.make(settings, databases)
    except SynclineError as error:  # a missing variable, a URL that cannot be used, a mistake in syncline.toml
        raise SettingsError(f"backoffice cannot start:\n{error}") from None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await asyncio.to_thread(services.databases.check)  # swapped URLs, one database twice: said at the start
        async with services.open():
            closing = asyncio.Event()
            settling = asyncio.create_task(_settle(services, closing))
            try:
                yield
            finally:
                closing.set()  # a driver may lose the cancellation
                settling.cancel()
                await asyncio.wait({settling})

    app = FastAPI(title="backoffice", version="1.0", description=DESCRIPTION, lifespan=lifespan)
    app.state.services = services
    app.state.health = HealthCheck(services)
    app.state.metrics = Metrics(services)
    app.add_middleware(BodyLimit, limit=settings.body_bytes, uploads=UPLOADS, upload_limit=settings.upload_bytes)
    app.add_middleware(Requests)
    app.add_middleware(RequestTimes, metrics=services.metrics)
    app.add_middleware(Correlation)
    problems.install(app)
    for one in ROUTES:
        app.include_router(one.router)
    return app


async def _settle(services: Services, closing: asyncio.Event) -> None:
    """Finish imports that somebody left half done, until the application closes."""
    while not closing.is_set():
        try:
            await services.imports.settle()
        except (SynclineError, SQLAlchemyError) as error:
            structlog.get_logger().error("imports cannot be settled", error=str(error).partition("\n")[0])
        await asyncio.sleep(services.settings.settle_seconds)
