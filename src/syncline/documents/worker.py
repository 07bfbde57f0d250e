"""The worker of a document link: its pump as a process, beside any number of others, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
import uuid
from collections import Counter
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

from syncline.documents.continuous import ContinuousVerification
from syncline.documents.opening import DocumentLink
from syncline.documents.restores import advance, require_unrestored
from syncline.documents.settling import settle_intents
from syncline.documents.standing import keeping, require_declared, require_same, require_standing
from syncline.documents.telling import tell_rejections
from syncline.documents.watching import Watcher
from syncline.ending import Group, end
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.errors import (
    ForeignTargetError,
    NotInstalledError,
    OtherDeclarationError,
    RestoredError,
    SourceError,
    SynclineError,
    TargetRefusedError,
    UnsuitableTargetError,
)
from syncline.model.documents import ancestors
from syncline.model.documents.types import ID_TYPES
from syncline.ports import Rejection
from syncline.ports.documents import Fate, Outcome
from syncline.relay.clock import Backoff
from syncline.relay.documents.following import Follower
from syncline.relay.documents.pump import Carried
from syncline.relay.documents.recovery import forget
from syncline.relay.trouble import gravest
from syncline.telemetry.observer import BatchDone, Observer, Started, Stopped, Unavailable
from syncline.version import __version__

POLL_SECONDS = 2.0
"""Longest pause between two looks for marks."""
REST_SECONDS = 5.0
"""A collection that cannot be carried is tried again after so long, while the others go on."""
TURN_SECONDS = 1.0
"""After so long the next collection has its turn."""
BEAT_SECONDS = 2.0
FORGET_SECONDS = 3600.0
"""How often the versions of deleted keys are forgotten."""
SETTLE_SECONDS = 30.0
"""Between two looks for operations that nobody has ended."""
CUT_OFF_SECONDS = 4.0
"""A stop that has not ended by then is cut off: whatever was under way is done again from its mark."""
_ENDS = (NotInstalledError, OtherDeclarationError, ForeignTargetError, RestoredError, UnsuitableTargetError)
"""What waiting does not help."""


class DocumentWorker:
    """Carries what is marked.

    Trouble with one collection holds up no other; a side that is away is waited for, and costs nothing meanwhile.

    Args:
        link: both sides; the worker is the only one that uses its ``rows``.
        observer: is told what happens.
        forget_seconds: how often the versions of deleted keys are forgotten.

    """

    def __init__(self, link: DocumentLink, observer: Observer, *, forget_seconds: float = FORGET_SECONDS) -> None:
        self.id = str(uuid.uuid4())
        self._link, self._observer, self._forget_seconds = link, observer, forget_seconds
        self._stopping = asyncio.Event()
        self._kept = keeping(link)
        link.rows.at_once = True
        self._follower = Follower(
            link.source,
            link.rows,
            ancestors(link.mappings),
            longest=POLL_SECONDS,
            carried=self._tell,
            rejected=tell_rejections,
            log=MongoIntentLog(link.database),
            rest=REST_SECONDS,
            turn=TURN_SECONDS,
        )
        self._forgetting: set[asyncio.Task[None]] = set()
        self._settled = 0.0
        self._trouble: str | None = None
        self._carried, self._since = 0, time.monotonic()
        self._totals = Counter(applied=0, deleted=0, stale=0, rejected=0)

    def stop(self) -> None:
        """Finish the batch that is under way, and return from ``run``; for a signal handler of the loop."""
        self._stopping.set()
        self._follower.stop()

    async def run(self) -> None:
        """Work until ``stop``, and then return within ``CUT_OFF_SECONDS``, whatever hangs.

        Raises:
            SynclineError: something that waiting does not help.

        """
        self._observer.tell(Started(self.id, {"entities": list(self._link.collections)}))
        working = asyncio.ensure_future(self._work())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({working}, timeout=CUT_OFF_SECONDS)
        finally:
            await end(working, stopping, seconds=1.0)
        if working.done() and not working.cancelled() and (error := working.exception()) is not None:
            raise gravest(error) if isinstance(error, BaseExceptionGroup) else error
        self._observer.tell(Stopped("stop requested"))

    async def _work(self) -> None:
        try:
            await self._begin()
            async with Group() as group:
                beside = [group.create_task(self._beat(group))]
                if self._link.documents.watch:
                    beside.append(group.create_task(self._watch()))
                if self._link.documents.verify.continuously:
                    beside.append(group.create_task(ContinuousVerification(self._link, self.id).run()))
                await self._carry()
                await end(*beside, *self._forgetting, seconds=1.0)
        finally:
            with contextlib.suppress(SynclineError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._kept.gone(self.id)
            await self._kept.close()

    async def _begin(self) -> None:
        """See that all is as declared; a side that is away is waited for, one that refuses this user is not."""
        backoff = Backoff(first=timedelta(milliseconds=200), most=timedelta(seconds=POLL_SECONDS))
        while not self._stopping.is_set():
            try:
                await require_standing(self._link, await self._kept.kept())
                await require_unrestored(self._link, self._kept)
            except SynclineError as error:
                if not error.retryable or isinstance(error, TargetRefusedError):
                    raise
                await self._unavailable(error, backoff.next())
            else:
                return

    async def _carry(self) -> None:
        backoff = Backoff(first=timedelta(milliseconds=200), most=timedelta(seconds=POLL_SECONDS))
        while not self._stopping.is_set():
            try:
                pause = await self._follower.turn()
            except _ENDS:
                raise
            except SynclineError as error:
                await self._unavailable(error, backoff.next())
                continue
            backoff.reset()
            self._trouble = None
            if pause > 0:
                await self._sleep(pause)
        await self._follower.close()

    async def _unavailable(self, error: SynclineError, pause: timedelta) -> None:
        self._trouble = error.message
        self._observer.tell(Unavailable("source" if isinstance(error, SourceError) else "target", error, pause))
        await self._sleep(pause.total_seconds())

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _beat(self, group: asyncio.TaskGroup) -> None:
        """Say that it lives, take what somebody has asked for, and forget deleted keys when it is time."""
        name = f"{socket.gethostname()}:{os.getpid()}"
        while True:
            await self._look()
            with contextlib.suppress(SynclineError):  # the pump says what the trouble is
                await self._kept.beat(self.id, name, __version__, self._report())
                if not self._forgetting and await self._kept.may_forget(self._forget_seconds):
                    self._beside(group, self._forget())
                if not self._forgetting and time.monotonic() > self._settled + SETTLE_SECONDS:
                    self._settled = time.monotonic()
                    self._beside(group, self._settle())
            await asyncio.sleep(BEAT_SECONDS)

    async def _look(self) -> None:
        """End where somebody has adopted one of the sides meanwhile, or restored it, or changed a declaration."""
        try:
            kept = await self._kept.kept()
            require_same(kept, await MarkedDatabase(self._link.database).identity())
            require_declared(self._link, kept)
            await require_unrestored(self._link, self._kept)
            await advance(self._link, self._kept)
        except (ForeignTargetError, OtherDeclarationError, RestoredError):
            raise
        except SynclineError:
            return  # the pump says what the trouble is

    async def _watch(self) -> None:
        """Read change events, by turns with other workers."""
        backoff = Backoff(first=timedelta(milliseconds=200), most=timedelta(seconds=POLL_SECONDS))
        while True:
            async with self._link.apart() as beside:
                try:
                    await Watcher(beside, self.id).run()
                except SynclineError as error:
                    if not error.retryable:
                        raise
                    await self._unavailable(error, backoff.next())

    def _report(self) -> dict[str, Any]:
        now = time.monotonic()
        rate = round(self._carried / max(now - self._since, 0.001))
        self._carried, self._since = 0, now
        return {"rate": rate, "target_error": self._trouble, **self._totals}

    def _beside(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, None]) -> None:
        try:
            task = group.create_task(work)
        except RuntimeError:  # the group ends, and this task's own cancellation was lost in a driver
            work.close()
            raise asyncio.CancelledError from None
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)

    async def _settle(self) -> None:
        with contextlib.suppress(SynclineError):  # what is left is settled another time
            async with self._link.apart() as beside:
                await settle_intents(beside)

    async def _forget(self) -> None:
        with contextlib.suppress(SynclineError):  # what is left is forgotten another time
            async with self._link.apart() as beside:
                for collection in beside.collections:
                    await forget(beside.source, beside.rows, collection)
            kept = keeping(self._link)
            try:
                await kept.forget_settled()
            finally:
                await kept.close()

    def _tell(self, done: Carried) -> None:
        by = {fate: [one for one in done.outcomes if one.fate is fate] for fate in Fate}
        deleted = sum(one.document.deleted for one in by[Fate.APPLIED])
        self._carried += len(by[Fate.APPLIED])
        stale = len(by[Fate.REFUSED]) + len(by[Fate.LATE])
        applied = len(by[Fate.APPLIED]) - deleted
        self._totals.update(applied=applied, deleted=deleted, stale=stale, rejected=len(by[Fate.REJECTED]))
        self._observer.tell(
            BatchDone(
                entity=done.collection,
                collection=done.collection,
                marks=len(done.outcomes),
                applied=applied,
                deleted=deleted,
                stale=stale,
                rejected=[Rejection(_shown(one), "rejected", one.reason) for one in by[Fate.REJECTED]],
                took=done.took,
                keys=[_shown(one) for one in by[Fate.APPLIED]] if self._observer.wants_keys else (),
            )
        )


def _shown(outcome: Outcome) -> str:
    return str(ID_TYPES["any"].show(outcome.document.id))
