"""Routes for probes: does the process serve, how does the synchronisation stand, how are the databases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Security
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from syncline.insight.health import HealthReader
from syncline.insight.reach import DatabaseState
from syncline.model.thresholds import Health, health
from syncline.web.auth import AdminCredential
from syncline.web.problems import ProblemRoute
from syncline.web.shapes import UNHEALTHY, Alive, DatabasesHealth, SyncHealth

Pools = Mapping[str, Callable[[], Mapping[str, int]]]
"""What tells the state of the application's pools, by database."""

_FRESH = {"Cache-Control": "no-store"}
_TOO_BAD = {503: {"description": "unhealthy", "content": {"application/json": {"example": UNHEALTHY}}}}
_bearer = HTTPBearer(auto_error=False, scheme_name="SynclineAdmin")


def health_router(reader: HealthReader, *, credential: AdminCredential, pools: Pools | None = None) -> APIRouter:
    """Make ``GET /health``, ``GET /api/health/sync`` and ``GET /api/health/databases``.

    Args:
        reader: looks at the databases; it keeps its deadline whatever they do.
        credential: who has it is told why a database is disconnected.
        pools: the application's connections.

    """
    router = APIRouter(tags=["health"], route_class=ProblemRoute)

    @router.get("/health", response_model=Alive, summary="Does this process serve?")
    async def alive() -> Any:
        """200 while the process serves, whatever the databases do: for liveness probes."""
        return JSONResponse({"status": "healthy"}, headers=_FRESH)

    @router.get(
        "/api/health/sync",
        response_model=SyncHealth,
        responses=_TOO_BAD,  # type: ignore[arg-type]
        summary="How does the synchronisation stand?",
    )
    async def sync() -> Any:
        """Queue, lag, failures and alerts; 503 when ``unhealthy``. It answers in time even when a database hangs."""
        status = await reader.read()
        return _answer(status.summary(), status.health)

    @router.get(
        "/api/health/databases",
        response_model=DatabasesHealth,
        responses={503: {"description": "the primary is disconnected", "model": DatabasesHealth}},
        summary="How are the databases?",
    )
    async def databases(presented: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)]) -> Any:
        """Each database: state, latency, version, pool; 503 when the primary is down."""
        found = (await reader.read()).databases
        source, *targets = (state.connected for state in found.values())
        word = health(source_up=source, target_up=all(targets), alerts=())
        trusted = credential.accepts(presented.credentials if presented else None)
        shown = {name: _database(state, (pools or {}).get(name), trusted) for name, state in found.items()}
        return _answer({"status": word.value, "databases": shown}, word)

    return router


def _database(state: DatabaseState, pool: Callable[[], Mapping[str, int]] | None, trusted: bool) -> dict[str, Any]:
    shown = {**state.as_dict(), "pool": dict(pool()) if pool else None}
    return shown if trusted or state.error is None else {**shown, "error": "no answer; the admin credential shows why"}


def _answer(body: Mapping[str, Any], word: Health) -> JSONResponse:
    return JSONResponse(dict(body), 503 if word is Health.UNHEALTHY else 200, headers=_FRESH)
