"""A worker's metrics over HTTP, on the worker's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from pymongo import monitoring

from syncline.config import Settings
from syncline.telemetry.metrics import QueryMetrics, WorkerMetrics
from syncline.telemetry.queries import MongoTimer
from syncline.web.exposition import CONTENT_TYPE, Exposition, OfLink, StatusReader
from syncline.web.listening import BriefProtocol, Server, listening
from syncline.wiring import make_health

LONGEST = 16 * 1024
"""Bytes of a request's head."""

TEXT = "text/plain; charset=utf-8"

Page = Callable[[], Awaitable[bytes]]
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


@contextlib.asynccontextmanager
async def counting(links: Sequence[Settings], *, host: str, port: int) -> AsyncIterator[Sequence[WorkerMetrics]]:
    """Give an observer a link that counts, and serve what they count at ``/metrics`` and a probe at ``/health``.

    To be called before the worker's clients are made: what it asks of MongoDB is timed too.

    Raises:
        SynclineError: the port cannot be had.

    """
    readers = {settings.link.name: make_health(settings) for settings in links}
    async with counting_of(readers, host=host, port=port) as metrics:
        yield metrics


@contextlib.asynccontextmanager
async def counting_of(
    readers: Mapping[str, StatusReader], *, host: str, port: int
) -> AsyncIterator[Sequence[WorkerMetrics]]:
    """Do the same for links whose status these readers give, by name; they are closed at the end."""
    metrics = [WorkerMetrics() for _ in readers]
    of_process = CollectorRegistry()
    monitoring.register(MongoTimer(QueryMetrics(of_process)))
    shown = [OfLink(name, reader, one.registry) for (name, reader), one in zip(readers.items(), metrics, strict=True)]
    pages = {
        "/metrics": (CONTENT_TYPE, Exposition(of_process, *shown).text),
        "/health": ("application/json", _alive),
    }
    try:
        async with exporting(pages, host=host, port=port) as bound:
            structlog.get_logger("syncline").info("metrics", host=host, port=bound, path="/metrics")
            yield metrics
    finally:
        await asyncio.gather(*(reader.close() for reader in readers.values()))


@contextlib.asynccontextmanager
async def exporting(pages: Mapping[str, tuple[str, Page]], *, host: str, port: int) -> AsyncIterator[int]:
    """Serve pages by path, each with its content type, during a block; give the port (``port`` 0: any free one).

    Raises:
        SynclineError: the port cannot be had.

    """

    async def answer(scope: Scope, _: object, send: Send) -> None:
        status, (kind, page) = HTTPStatus.OK, pages.get(scope["path"], (TEXT, None))
        if scope["method"] not in ("GET", "HEAD"):
            status, page = HTTPStatus.METHOD_NOT_ALLOWED, None
        elif page is None:
            status = HTTPStatus.NOT_FOUND
        body = await page() if page else f"{status.phrase}\n".encode()
        headers = [("Content-Type", kind), ("Content-Length", str(len(body))), ("Allow", "GET, HEAD")]
        headers.append(("Connection", "close"))  # connections are few, and short: one that is kept would be cut off
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})

    server = Server(answer, seconds=1, http=BriefProtocol, ws="none", h11_max_incomplete_event_size=LONGEST)
    with listening(host, port, option="--metrics-port") as sockets:
        serving = asyncio.create_task(server.serve(sockets=sockets))
        try:
            yield sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            await serving


async def _alive() -> bytes:
    return b'{"status":"healthy"}'
