"""The way back within a document link's worker: where it is installed, it runs beside the way forward.

Which of both writes is for the gates to say: the way back writes nothing while MongoDB's gate does not let it in.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from syncline.config.documents import Documents
from syncline.documents.opening import opened
from syncline.documents.standing import require_sides
from syncline.engines.mongo.written_back import BackGate
from syncline.engines.postgres.documents.coming_back import statements
from syncline.errors import NotInstalledError, SynclineError, TargetRefusedError
from syncline.phases.switching.opening import address_of_target
from syncline.phases.way_back import WayBack
from syncline.relay.worker import Worker
from syncline.split.switching.gate import Session
from syncline.telemetry.observer import Observer

LOOK_SECONDS = 2.0
"""Between two looks whether it is installed."""
AGAIN_SECONDS = 10.0
"""After so long a way back that has ended with an error is tried again; the way forward goes on."""
_LOG = logging.getLogger("syncline.phases")


class Returning:
    """Runs the way back of a link, as long as it is installed.

    Args:
        documents: the declaration.
        gate: says under which number MongoDB may be written.
        observer: is told what happens.

    """

    def __init__(self, documents: Documents, gate: BackGate, observer: Observer) -> None:
        self._documents = documents
        self._way, self._observer = WayBack(documents, gate), observer
        self._session = Session(address_of_target(documents))
        self._stopping = asyncio.Event()
        self._worker: Worker | None = None
        self._said = ""

    def stop(self) -> None:
        """Finish what is under way, give the lanes back, and return from ``run``; for a signal handler of the loop."""
        self._stopping.set()
        if self._worker is not None:
            self._worker.stop()

    async def run(self) -> None:
        """Work until ``stop``; what it ends with is logged, and tried again."""
        try:
            await self._run()
        finally:
            await self._session.aclose()

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if await self._is_installed():
                    await self._work()
                pause = LOOK_SECONDS
                self._said = ""
            except SynclineError as error:
                self._say(error)
                pause = LOOK_SECONDS if error.retryable else AGAIN_SECONDS
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _is_installed(self) -> bool:
        """Look over one connection: it is asked every two seconds, by each worker of each link."""
        return bool((await self._session.rows(statements()["there"], {}))[0][0])

    def _say(self, error: SynclineError) -> None:
        """Log what somebody has to see to, once; that a side is away, the way forward says."""
        if (not error.retryable or isinstance(error, TargetRefusedError)) and error.message != self._said:
            _LOG.error("the way back has ended, and is tried again: %s (%s)", error.message, error.hint or "no hint")
            self._said = error.message

    async def _work(self) -> None:
        async with opened(self._documents) as link:
            await require_sides(link)
        target = self._way.target()
        try:
            self._worker = self._way.worker(target, observer=self._observer)
            if not self._stopping.is_set():
                await self._worker.run()
        except NotInstalledError:  # taken away meanwhile: the collections are complete, or the link is uninstalled
            if await self._is_installed():
                raise
        finally:
            self._worker = None
            await target.close()
