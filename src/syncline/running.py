"""A process's workers: one a link, each apart from the others, until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

import structlog

from syncline.config import Settings
from syncline.ending import Group, end
from syncline.engines.mongo.clients import Clients
from syncline.errors import SynclineError
from syncline.model.link import entered
from syncline.relay.worker import Worker
from syncline.telemetry.observer import Observer
from syncline.wiring import make_worker, opened_target, tune_garbage_collection

AGAIN_SECONDS = 10.0
"""After so long a link whose worker has ended with an error is tried again, where a process serves several."""

OTHERS_SECONDS = 1.0
"""How long other work of the process is given to end."""


async def run_workers(
    links: Sequence[tuple[Settings, Observer | None]],
    *,
    asked: Callable[[], None] = lambda: None,
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Run a worker for each link until SIGTERM or SIGINT.

    Args:
        links: each with what is told of its work.
        asked: called when one of the signals has come.
        beside: other work of the process, cancelled when the workers have ended; where it ends, they are to end, too.

    Raises:
        SynclineError: the only link's worker has ended. Of several it is logged, and tried again: the others go on.
        Exception: what other work of the process has ended with.

    """
    clients = Clients()
    workers = _Workers(clients, several=len(links) > 1)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        asked()
        workers.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    tune_garbage_collection()
    others = [asyncio.ensure_future(work()) for work in beside]
    for one in others:
        one.add_done_callback(lambda _: workers.stop())
    try:
        if len(links) == 1:
            await workers.run(*links[0])
        else:
            async with Group() as group:
                for settings, observer in links:
                    group.create_task(workers.keep_running(settings, observer))
    finally:
        await end(*others, seconds=OTHERS_SECONDS)
        await clients.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for one in others:
        if one.done() and not one.cancelled():
            one.result()


class _Workers:
    def __init__(self, clients: Clients, *, several: bool) -> None:
        self._clients, self._several = clients, several
        self._running: set[Worker] = set()
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have every worker finish what is under way."""
        self._stopping.set()
        for worker in self._running:
            worker.stop()

    async def run(self, settings: Settings, observer: Observer | None) -> None:
        """Run a link's worker to its end."""
        async with opened_target(settings, self._clients) as target:
            with entered(settings.link):
                worker = make_worker(settings, target, observer=observer, one_of_many=self._several)
                self._running.add(worker)
                try:
                    if not self._stopping.is_set():
                        await worker.run()
                finally:
                    self._running.discard(worker)

    async def keep_running(self, settings: Settings, observer: Observer | None) -> None:
        """Run a link's worker again and again, until all are to stop."""
        with structlog.contextvars.bound_contextvars(link=settings.link.name):
            while not self._stopping.is_set():
                try:
                    await self.run(settings, observer)
                except SynclineError as error:
                    structlog.get_logger("syncline").error(
                        "the link's worker has ended, the others go on",
                        error=error.message,
                        hint=error.hint,
                        again_in_seconds=AGAIN_SECONDS,
                    )
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._stopping.wait(), AGAIN_SECONDS)
