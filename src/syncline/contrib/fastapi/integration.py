"""Everything of Syncline that an application mounts, made from its settings, closed with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, FastAPI, Request, Response

from syncline.config import Settings, load
from syncline.contrib.fastapi.middleware import Correlation, RequestTimes
from syncline.contrib.fastapi.tokens import Fresh
from syncline.insight.health import DEADLINE
from syncline.telemetry.metrics import AppMetrics, QueryMetrics
from syncline.telemetry.queries import engine_pool, time_engine
from syncline.tokens.freshness import Freshness
from syncline.web.admin import admin_router, backup_router
from syncline.web.auth import VARIABLE, AdminCredential
from syncline.web.exposition import Exposition, OfLink
from syncline.web.health import health_router
from syncline.web.metrics import metrics_router
from syncline.web.page import OperationsPage
from syncline.web.source import SourceCalls
from syncline.wiring.sides import make_health

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

Pool = Callable[[], Mapping[str, int]]


class Syncline:
    """One application's Syncline. Nothing connects before it is asked for.

        syncline = Syncline(engine=engine)          # settings: syncline.toml and the environment
        app = FastAPI()
        syncline.mount(app)

    Args:
        settings: by default as ``syncline`` itself reads them.
        engine: the application's; its statements are timed, its pool is shown, and tokens are asked through it.
        admin_token: guards the admin routes; by default ``SYNCLINE_ADMIN_TOKEN``. While there is none they refuse.
        guard_metrics: ask for the credential at ``/metrics`` too.
        mongo_pool: tells the pool of the application's MongoDB client (``telemetry.queries.MongoPool``).
        tracing: give each request an OpenTelemetry span (with ``attach_traces`` its changes are linked to it).
        deadline: within which health answers.
        metrics: where requests are counted.

    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        engine: AsyncEngine | None = None,
        admin_token: str | None = None,
        guard_metrics: bool = False,
        mongo_pool: Pool | None = None,
        tracing: bool = False,
        deadline: timedelta = DEADLINE,
        metrics: AppMetrics | None = None,
    ) -> None:
        self.settings = settings or load()
        self.credential = AdminCredential(admin_token or os.environ.get(VARIABLE))
        self.metrics = metrics or AppMetrics()
        self.queries = QueryMetrics(self.metrics.registry)
        self.health = make_health(self.settings, deadline=deadline, values=self.metrics.recent.measures)
        where = engine if engine is not None else self.settings.source.url
        self.freshness = Freshness(where, link=self.settings.link.name)
        self._calls = SourceCalls(self.settings)
        self._guard_metrics = guard_metrics
        self._tracing = tracing
        self._pools: dict[str, Pool] = {}
        self._page: OperationsPage | None = None
        if engine is not None:
            time_engine(engine, self.queries)
            self._pools[engine.dialect.name] = lambda: engine_pool(engine)
        if mongo_pool is not None:
            self._pools["mongodb"] = mongo_pool

    def mount(self, app: FastAPI, *, page: str | None = None) -> None:
        """Mount every router, time every request and give each an id (and a span, where asked for).

        Args:
            app: the application.
            page: where to mount the operations page, such as ``/ops``; nowhere by default.

        """
        for router in self.routers():
            app.include_router(router)
        if page is not None:
            app.mount(page, self.page())
        app.add_middleware(RequestTimes, metrics=self.metrics, beside=page)
        if self._tracing:
            from syncline.contrib.fastapi.tracing import RequestSpans  # needs the extra [tracing]

            app.add_middleware(RequestSpans)
        app.add_middleware(Correlation)

    def routers(self) -> list[APIRouter]:
        """Make all routers; the first one closes what was opened when the application ends."""
        closing = APIRouter(lifespan=self._lifespan)
        return [
            closing,
            self.health_router(),
            self.admin_router(),
            self.backup_router(),
            self.metrics_router(),
        ]

    def health_router(self) -> APIRouter:
        """Make ``/health``, ``/api/health/sync``, ``/api/health/databases``."""
        return health_router(self.health, credential=self.credential, pools=self._pools)

    def admin_router(self) -> APIRouter:
        """Make ``/api/admin/sync/trigger``."""
        return admin_router(self._calls, self.credential)

    def backup_router(self) -> APIRouter:
        """Make ``/api/backup/full`` and what follows a resync."""
        return backup_router(self._calls, self.credential)

    def metrics_router(self) -> APIRouter:
        """Make ``/metrics``."""
        exposition = Exposition(self.metrics.registry, OfLink(self.settings.link.name, self.health), shared=True)
        return metrics_router(exposition, credential=self.credential if self._guard_metrics else None)

    def page(self) -> OperationsPage:
        """Make the operations page; it begins to watch when it is first looked at."""
        if self._page is None:
            self._page = OperationsPage(self.settings, self.credential, values=self.metrics.recent.measures)
        return self._page

    def fresh(self, request: Request, response: Response) -> Fresh:
        """Give a route its read-your-writes helper; a dependency."""
        return Fresh(request, response, self.freshness, self.metrics.token)

    async def close(self) -> None:
        """Close what was opened; mounted routers do it by themselves when the application ends."""
        if self._page is not None:
            await self._page.close()
        await asyncio.gather(self.health.close(), self.freshness.close())

    @asynccontextmanager
    async def _lifespan(self, _: Any) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self.close()


def routers(settings: Settings | None = None, **options: Any) -> list[APIRouter]:
    """Make the routers alone, for ``app.include_router``; options are those of ``Syncline``."""
    return Syncline(settings, **options).routers()
