"""Health, for load balancers and people. Public: it names no host and no user."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from backoffice.health import Health, HealthCheck
from backoffice.metrics import Metrics

router = APIRouter(tags=["health"])


@router.get("/api/health", responses={503: {"model": Health, "description": "PRIMARY does not answer"}})
async def health(request: Request, response: Response) -> Health:
    """Say how both databases, their pools and the session cache are, and in which mode this process runs."""
    check: HealthCheck = request.app.state.health
    found = await check()
    if found.status == "down":
        response.status_code = 503
    return found


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"example": "…"}}}})
async def metrics(request: Request) -> Response:
    """Give metrics to Prometheus. They name routes and databases, no person; keep them inside all the same."""
    check: HealthCheck = request.app.state.health
    told: Metrics = request.app.state.metrics
    return Response(told.exposition(await check()), media_type="text/plain; version=0.0.4; charset=utf-8")
