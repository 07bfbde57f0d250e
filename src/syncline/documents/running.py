"""A process's worker of a document link, until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.documents.worker import DocumentWorker
from syncline.telemetry.observer import Observer


async def run_worker(documents: Documents, observer: Observer, *, asked: Callable[[], None] = lambda: None) -> None:
    """Run a worker until SIGTERM or SIGINT.

    Args:
        documents: the declaration.
        observer: is told what happens.
        asked: called when one of the signals has come.

    Raises:
        SynclineError: it has ended with something that waiting does not help.

    """
    loop = asyncio.get_running_loop()
    async with opened(documents) as link:
        worker = DocumentWorker(link, observer)

        def stop() -> None:
            asked()
            worker.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        try:
            await worker.run()
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
