"""A process's workers: one a link, each apart from the others, until the process is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Protocol

import structlog

from syncline.config import Settings
from syncline.ending import Group, end
from syncline.engines.mongo.clients import Clients
from syncline.errors import SynclineError
from syncline.executing.collector import tune_garbage_collection
from syncline.model.link import entered
from syncline.relay.worker import Worker
from syncline.telemetry.observer import Observer
from syncline.wiring.sides import opened_target
from syncline.wiring.worker import make_worker

AGAIN_SECONDS = 10.0
"""After so long a link whose worker has ended with an error is tried again, where a process serves several; and so
often is looked which links are declared."""

OTHERS_SECONDS = 1.0
"""How long other work of the process is given to end."""


Served = tuple[Settings, Observer | None]
"""A link, and what is told of its work."""


class Declared(Protocol):
    """Which links a process is to serve, while that may change."""

    def links(self) -> Sequence[Settings] | None:
        """Give the links as they are declared now; ``None``: that cannot be told, all stays as it is."""
        ...

    def observer(self, settings: Settings) -> Observer:
        """Make what is told of a link's work."""
        ...

    async def leave(self, link: str) -> None:
        """Take in that a link is served no more."""
        ...


async def run_workers(
    links: Sequence[Served],
    *,
    asked: Callable[[], None] = lambda: None,
    declared: Declared | None = None,
    beside: Sequence[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Run a worker for each link until SIGTERM or SIGINT.

    Args:
        links: each with what is told of its work.
        asked: called when one of the signals has come.
        declared: asked now and then: links that came later are served, too, those that are gone no more.
        beside: other work of the process, cancelled when the workers have ended; where it ends, they are to end, too.

    Raises:
        SynclineError: the only link's worker has ended. Of several, or with ``declared``, it is logged, and tried
            again: the others go on.
        Exception: what other work of the process has ended with.

    """
    clients = Clients()
    workers = _Workers(clients, several=len(links) > 1 or declared is not None)
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
        if workers.several:
            await workers.keep(links, declared)
        else:
            await workers.run(*links[0])
    finally:
        await end(*others, seconds=OTHERS_SECONDS)
        await clients.close()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    for one in others:
        if one.done() and not one.cancelled():
            one.result()


@contextmanager
def _others_go_on() -> Iterator[None]:
    """Log what went wrong with a link that came or went."""
    try:
        yield
    except Exception as error:
        log = structlog.get_logger("syncline").bind(again_in_seconds=AGAIN_SECONDS)
        log.exception("a link that came or went was not taken in, the others go on", exc_info=error)


class _Workers:
    def __init__(self, clients: Clients, *, several: bool) -> None:
        self.several = several
        self._clients = clients
        self._running: dict[str, Worker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._gone: set[str] = set()
        """Links that are declared no more, whose workers end."""
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Have every worker finish what is under way."""
        self._stopping.set()
        for worker in self._running.values():
            worker.stop()

    async def keep(self, links: Sequence[Served], declared: Declared | None) -> None:
        """Run a worker for each link, until all are to stop; look now and then which links there are."""
        async with Group() as group:
            for settings, observer in links:
                self._tasks[settings.link.name] = group.create_task(self._keep_running(settings, observer))
            while declared is not None and not await self._stopped_within(AGAIN_SECONDS):
                there = None
                with _others_go_on():
                    there = await asyncio.to_thread(declared.links)
                if there is not None:
                    await self._follow(group, {one.link.name: one for one in there}, declared)

    async def _follow(self, group: Group, there: dict[str, Settings], declared: Declared) -> None:
        """Begin with links that are new, and have the workers of those end that are gone."""
        log = structlog.get_logger("syncline")
        for name, task in list(self._tasks.items()):
            if name not in there and name not in self._gone:
                log.info("the link is declared no more, its worker ends", link=name)
                self._gone.add(name)
                if name in self._running:
                    self._running[name].stop()
            if task.done():
                del self._tasks[name]
                self._gone.discard(name)
                with _others_go_on():
                    await declared.leave(name)
        for name in there.keys() - self._tasks.keys():
            with _others_go_on():
                observer = declared.observer(there[name])
                log.info("the link is new, a worker begins", link=name)
                self._tasks[name] = group.create_task(self._keep_running(there[name], observer))

    async def run(self, settings: Settings, observer: Observer | None) -> None:
        """Run a link's worker to its end."""
        async with opened_target(settings, self._clients) as target:
            with entered(settings.link):
                worker = make_worker(settings, target, observer=observer, one_of_many=self.several)
                self._running[settings.link.name] = worker
                try:
                    if not self._ends(settings):
                        await worker.run()
                finally:
                    del self._running[settings.link.name]

    def _ends(self, settings: Settings) -> bool:
        return self._stopping.is_set() or settings.link.name in self._gone

    async def _keep_running(self, settings: Settings, observer: Observer | None) -> None:
        """Run a link's worker again and again, until it is to end."""
        with structlog.contextvars.bound_contextvars(link=settings.link.name):
            while not self._ends(settings):
                try:
                    await self.run(settings, observer)
                except Exception as error:  # noqa: BLE001  a defect in one link's data stops no other one either
                    _tell(error)
                if not self._ends(settings):
                    await self._stopped_within(AGAIN_SECONDS)

    async def _stopped_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()


def _tell(error: Exception) -> None:
    """Log with what a link's worker has ended; a traceback only where it is a defect of ours."""
    log = structlog.get_logger("syncline").bind(again_in_seconds=AGAIN_SECONDS)
    if isinstance(error, SynclineError):
        log.error("the link's worker has ended, the others go on", error=error.message, hint=error.hint)
    else:
        log.error("the link's worker has ended by a defect of Syncline, the others go on", exc_info=error)
