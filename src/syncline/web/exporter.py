"""A worker's metrics over HTTP, on the worker's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

import structlog
from prometheus_client import CollectorRegistry
from pymongo import monitoring

from syncline.telemetry.metrics import QueryMetrics, WorkerMetrics
from syncline.telemetry.queries import MongoTimer
from syncline.web.exposition import CONTENT_TYPE, Exposition, OfLink, StatusReader
from syncline.web.listening import BriefProtocol, Server, listening

LONGEST = 16 * 1024
"""Bytes of a request's head."""

TEXT = "text/plain; charset=utf-8"

Page = Callable[[], Awaitable[bytes]]
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Counters:
    """Counts what the workers of a process do, a link apart from the others."""

    def __init__(self, exposition: Exposition) -> None:
        self._exposition = exposition
        self._readers: dict[str, StatusReader] = {}

    def add(self, link: str, reader: StatusReader) -> WorkerMetrics:
        """Give an observer that counts for a link; ``reader`` gives its status, and is closed with it."""
        metrics = WorkerMetrics()
        self._readers[link] = reader
        self._exposition.show(OfLink(link, reader, metrics.registry))
        return metrics

    async def remove(self, link: str) -> None:
        """Show a link no more."""
        self._exposition.hide(link)
        await self._readers.pop(link).close()

    async def close(self) -> None:
        """Close what looks at the links."""
        await asyncio.gather(*(reader.close() for reader in self._readers.values()))


@contextlib.asynccontextmanager
async def counting(*, host: str, port: int) -> AsyncIterator[Counters]:
    """Serve what links count at ``/metrics``, and a probe at ``/health``.

    To be called before the worker's clients are made: what it asks of MongoDB is timed too.

    Raises:
        SynclineError: the port cannot be had.

    """
    of_process = CollectorRegistry()
    monitoring.register(MongoTimer(QueryMetrics(of_process)))
    exposition = Exposition(of_process)
    counters = Counters(exposition)
    pages = {"/metrics": (CONTENT_TYPE, exposition.text), "/health": ("application/json", _alive)}
    try:
        async with exporting(pages, host=host, port=port) as bound:
            structlog.get_logger("syncline").info("metrics", host=host, port=bound, path="/metrics")
            yield counters
    finally:
        await counters.close()


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
