"""A worker's metrics over HTTP, on the worker's own event loop: a few lines instead of a web framework."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog
from pymongo import monitoring

from syncline.config import Settings
from syncline.errors import SynclineError
from syncline.telemetry.metrics import QueryMetrics, WorkerMetrics
from syncline.telemetry.queries import MongoTimer
from syncline.web.exposition import CONTENT_TYPE, Exposition
from syncline.wiring import make_health

REQUEST_SECONDS = 5.0
AT_ONCE = 16
"""Connections; who comes beyond them is sent away, so that nobody can use up the worker's files."""
LONGEST = 16 * 1024
"""Bytes of a request's head."""

Page = Callable[[], Awaitable[bytes]]


@contextlib.asynccontextmanager
async def counting(settings: Settings, *, host: str, port: int) -> AsyncIterator[WorkerMetrics]:
    """Give an observer that counts, and serve what it counts at ``/metrics`` and a probe at ``/health``.

    To be called before the worker's clients are made: what it asks of MongoDB is timed too.

    Raises:
        SynclineError: the port cannot be had.

    """
    metrics = WorkerMetrics()
    monitoring.register(MongoTimer(QueryMetrics(metrics.registry)))
    health = make_health(settings)
    pages = {
        "/metrics": (CONTENT_TYPE, Exposition(metrics.registry, health).text),
        "/health": ("application/json", _alive),
    }
    try:
        async with exporting(pages, host=host, port=port) as bound:
            structlog.get_logger("syncline").info("metrics", host=host, port=bound, path="/metrics")
            yield metrics
    finally:
        await health.close()


@contextlib.asynccontextmanager
async def exporting(pages: Mapping[str, tuple[str, Page]], *, host: str, port: int) -> AsyncIterator[int]:
    """Serve pages by path, each with its content type, during a block; give the port (``port`` 0: any free one).

    Raises:
        SynclineError: the port cannot be had.

    """
    open_connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_connections
        open_connections += 1
        try:
            with contextlib.suppress(TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(REQUEST_SECONDS):
                    busy = open_connections > AT_ONCE
                    head = b"" if busy else await reader.readuntil(b"\r\n\r\n")
                    writer.write(_response("503 Service Unavailable") if busy else await _answer(head, pages))
                    await writer.drain()
        finally:
            open_connections -= 1
            writer.close()

    try:
        server = await asyncio.start_server(serve, host, port, limit=LONGEST)
    except OSError as error:
        raise SynclineError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="choose another --metrics-port, or end what uses it",
        ) from error
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _alive() -> bytes:
    return b'{"status":"healthy"}'


async def _answer(head: bytes, pages: Mapping[str, tuple[str, Page]]) -> bytes:
    method, _, rest = head.partition(b"\r\n")[0].decode("latin-1").partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if method not in ("GET", "HEAD"):
        return _response("405 Method Not Allowed", more="Allow: GET, HEAD\r\n")
    if path not in pages:
        return _response("404 Not Found")
    kind, page = pages[path]
    return _response("200 OK", await page(), kind, head=method == "HEAD")


def _response(
    status: str, body: bytes = b"", kind: str = "text/plain; charset=utf-8", *, more: str = "", head: bool = False
) -> bytes:
    body = body or (status + "\n").encode()
    lines = (
        f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n{more}\r\n"
    )
    return lines.encode("latin-1") + (b"" if head else body)
