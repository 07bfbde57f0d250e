"""What is done for every request: its line in the log, safe headers, a bound on its size."""

from __future__ import annotations

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from syncline.contrib.fastapi import Problem

SAFE = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class Requests:
    """Gives the log a line for each request, and each response headers that keep browsers from guessing and storing."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message).update(SAFE)
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        finally:
            route = getattr(scope.get("route"), "path", None)  # the template: ids stay out of the log
            milliseconds = round((time.perf_counter() - began) * 1000, 1)
            structlog.get_logger().info("request", method=scope["method"], route=route, status=status, ms=milliseconds)


class BodyLimit:
    """Refuses bodies that are too large, whatever their headers say, without reading them to their end."""

    def __init__(self, app: ASGIApp, limit: int, *, uploads: str, upload_limit: int) -> None:
        self._app = app
        self._limit = limit
        self._uploads = uploads
        self._upload_limit = upload_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        upload = scope["method"] == "POST" and scope["path"] == self._uploads
        limit = self._upload_limit if upload else self._limit
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal() or int(declared[:20]) > limit:
            await _too_large(limit).response()(scope, receive, send)
            return
        size = 0

        async def counted() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _too_large(limit)
            return message

        await self._app(scope, counted, send)


def _too_large(limit: int) -> Problem:
    return Problem(413, f"the body is larger than {limit} bytes", headers={"Connection": "close"})
