"""``syncline worker`` where documents are the source."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncline.config.documents import Documents
    from syncline.config.settings import LogSettings
    from syncline.telemetry.observer import Observer


async def work(
    documents: Documents, log: LogSettings, *, host: str, port: int | None, asked: Callable[[], None]
) -> None:
    """Run a worker until SIGTERM or SIGINT, both ways, with its metrics, if a port is given."""
    from syncline.documents.opening import opened
    from syncline.documents.running import run_worker
    from syncline.engines.mongo.gates import MongoBackGate
    from syncline.phases.returning import Returning
    from syncline.phases.switching.watching import watching
    from syncline.telemetry.observer import LoggingObserver, Observers

    observers: list[Observer] = [LoggingObserver(wants_keys=log.level == "debug")]
    async with contextlib.AsyncExitStack() as stack:
        if port is not None:
            from syncline.web.document_metrics import DocumentReader
            from syncline.web.exporter import counting  # needs the extra [metrics]

            counters = await stack.enter_async_context(counting(host=host, port=port))
            observers.append(counters.add("", DocumentReader(documents)))
        await stack.enter_async_context(watching(documents))
        told = Observers(*observers)
        gate = MongoBackGate((await stack.enter_async_context(opened(documents))).database)
        await run_worker(documents, told, asked=asked, beside=[Returning(documents, gate, told)])
