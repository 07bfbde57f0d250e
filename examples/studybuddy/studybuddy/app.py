"""The application. ``uvicorn --factory studybuddy.app:create_app`` serves it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from opentelemetry import trace

from studybuddy import logs, problems
from studybuddy.middleware import BodyLimit, Requests
from studybuddy.routes import auth, forms, friendships, messages, reports, sessions, todos, users
from studybuddy.services import Services
from studybuddy.settings import Settings, SettingsError
from syncline import SynclineError
from syncline.contrib.opentelemetry import exporting_traces

DESCRIPTION = """
Study together: todos, messages, reports, a timer.

Writes go to the primary and answer with `Syncline-Token`. Send it with the next reads, and they have what you wrote;
`Data-Source` and `Data-Stale` say where an answer comes from. Errors are problem details (RFC 9457).
"""


def create_app(settings: Settings | None = None) -> FastAPI:
    """Make the application; by default as the environment says."""
    if settings is None:
        settings = Settings.from_environment()
        logs.setup()
    exporting = contextlib.ExitStack()
    try:
        if settings.tracing:
            trace.set_tracer_provider(exporting.enter_context(exporting_traces("studybuddy")))
        services = Services.open(settings)
    except SynclineError as error:  # a URL without a database, a mistake in syncline.toml, no exporter
        exporting.close()
        raise SettingsError(f"studybuddy cannot start:\n{error}") from None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with exporting:
            yield
            await services.close()

    app = FastAPI(title="studybuddy", version="1.0", description=DESCRIPTION, lifespan=lifespan)
    app.state.services = services
    app.add_middleware(BodyLimit, limit=settings.body_bytes)
    app.add_middleware(Requests)
    problems.install(app)
    for one in (auth, users, todos, messages, friendships, reports, sessions, forms):
        app.include_router(one.router)
    services.syncline.mount(app, page="/ops")  # health, metrics, admin, the page; times requests, gives each an id
    return app
