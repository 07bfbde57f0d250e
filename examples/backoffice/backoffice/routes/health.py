"""Health, for load balancers and people. Public: it names no host and no user."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from backoffice.health import Health, HealthCheck

router = APIRouter(prefix="/api/health", tags=["health"])


@router.get("", responses={503: {"model": Health, "description": "PRIMARY does not answer"}})
async def health(request: Request, response: Response) -> Health:
    """Say how both databases, their pools and the session cache are, and in which mode this process runs."""
    check: HealthCheck = request.app.state.health
    found = await check()
    if found.status == "down":
        response.status_code = 503
    return found
