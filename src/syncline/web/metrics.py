"""``GET /metrics``."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from syncline.web.auth import AdminCredential, require_admin
from syncline.web.exposition import CONTENT_TYPE, Exposition
from syncline.web.problems import ProblemRoute


def metrics_router(exposition: Exposition, *, credential: AdminCredential | None = None) -> APIRouter:
    """Make ``GET /metrics``; with a credential only for who has it."""
    guard = [Depends(require_admin(credential))] if credential else []
    router = APIRouter(tags=["metrics"], route_class=ProblemRoute, dependencies=guard)

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"example": "syncline_queue_size 45.0\nsyncline_lag_seconds 2.0"}}}},
        summary="Metrics for Prometheus",
    )
    async def metrics() -> Any:
        """What this process counted, and how the synchronisation stands. What is not known is left out."""
        return Response(await exposition.text(), media_type=CONTENT_TYPE, headers={"Cache-Control": "no-store"})

    return router
