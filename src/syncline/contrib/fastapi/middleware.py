"""What every request passes: it is timed by route, and its log lines carry one id."""

from __future__ import annotations

import re
import time
import uuid

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncline.telemetry.metrics import AppMetrics

HEADER = "X-Request-ID"
UNTIMED = frozenset({"/health", "/metrics", "/api/health/sync", "/api/health/databases"})
"""Probes ask often and fast: with them in it no percentile would say anything of the application."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestTimes:
    """Times requests by their route's template. What matches no route counts as ``unmatched``.

    A stream of events is timed to its first byte, everything else to its last.

    Args:
        app: what answers.
        metrics: where requests are counted.
        beside: path of the operations page; it is not a route of the application.

    """

    def __init__(self, app: ASGIApp, metrics: AppMetrics, beside: str | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._beside = f"{beside}/" if beside else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or self._is_untimed(scope["path"]):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status, ended = 500, 0.0

        async def sending(message: Message) -> None:
            nonlocal status, ended
            await send(message)
            if message["type"] == "http.response.start":
                status = message["status"]
                if Headers(raw=message["headers"]).get("content-type", "").startswith("text/event-stream"):
                    ended = time.perf_counter()

        try:
            await self._app(scope, receive, sending)
        finally:
            seconds = (ended or time.perf_counter()) - began
            self._metrics.request(scope["method"], template(scope), status, seconds)

    def _is_untimed(self, path: str) -> bool:
        return path in UNTIMED or (self._beside is not None and f"{path}/".startswith(self._beside))


class Correlation:
    """Gives each request an id: the client's ``X-Request-ID`` where it is a decent one, else a new one.

    It stands in the response, in ``scope["state"]["request_id"]`` and, as ``request_id``, in every structlog line.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(HEADER, "")
        id_ = given if _ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = id_

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault(HEADER, id_)
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=id_):
            await self._app(scope, receive, sending)


def template(scope: Scope) -> str:
    """Find the template of the route that took the request; mounted applications count under their place."""
    route = scope.get("route")
    path = getattr(route, "path_format", None) or getattr(route, "path", None)
    return str(path) if path else "unmatched"
