"""A process's worker of a document link, until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from typing import Protocol

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.documents.worker import CUT_OFF_SECONDS, DocumentWorker
from syncline.ending import end
from syncline.telemetry.observer import Observer


class Beside(Protocol):
    """Other work of the process."""

    async def run(self) -> None:
        """Work until ``stop``."""
        ...

    def stop(self) -> None:
        """Return from ``run`` soon."""
        ...


async def run_worker(
    documents: Documents,
    observer: Observer,
    *,
    asked: Callable[[], None] = lambda: None,
    beside: Sequence[Beside] = (),
) -> None:
    """Run a worker until SIGTERM or SIGINT.

    Args:
        documents: the declaration.
        observer: is told what happens.
        asked: called when one of the signals has come.
        beside: other work of the process, which ends with the worker.

    Raises:
        SynclineError: it has ended with something that waiting does not help.

    """
    loop = asyncio.get_running_loop()
    async with opened(documents) as link:
        worker = DocumentWorker(link, observer)

        def stop() -> None:
            asked()
            worker.stop()
            for one in beside:
                one.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        others = [asyncio.ensure_future(one.run()) for one in beside]
        try:
            await worker.run()
        finally:
            for one in beside:
                one.stop()
            if others:
                await asyncio.wait(others, timeout=CUT_OFF_SECONDS)
            await end(*others, seconds=1.0)
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
