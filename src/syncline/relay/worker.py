"""The worker: sessions with the source, one after the other, until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import socket
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from datetime import timedelta
from typing import Any

from syncline.config.settings import Settings
from syncline.ending import Group, end
from syncline.errors import (
    DamagedError,
    HinderedError,
    NotInstalledError,
    PrivilegeError,
    SourceChangedError,
    SourceError,
    SourceUnavailableError,
    StalePlanError,
    SynclineError,
)
from syncline.model.mark import Hint
from syncline.model.notice import Notice
from syncline.ports import Identity, Plans, Reinstall, Source, Target
from syncline.relay.clock import Backoff
from syncline.relay.keeper import Keeper
from syncline.relay.leases import Leases
from syncline.relay.pump import Pump
from syncline.relay.rest import Rest
from syncline.relay.restores import Restores
from syncline.relay.trouble import Strikes, gravest, hindrance, is_retryable
from syncline.telemetry.observer import Observer, Started, Stopped, Unavailable

REINSTALLS = 5
"""So often in a row our schema is put back; then the worker ends."""
DAMAGED_SECONDS = 15.0
"""How long a worker that was at work waits for an installation to put our schema back; then it ends."""
HINDERED_PAUSE = timedelta(seconds=1)
"""Between sessions that end because somebody's rule refuses what is written into our tables."""
STOP_SECONDS = 2.0
"""How long a stop waits for what is under way."""
LAST_BEAT_SECONDS = 0.5
"""How long it then waits for a renewal: one that is cut off takes along the connection that gives lanes back."""
CUT_OFF_SECONDS = 4.0
"""A stop that has not ended by then (a side hangs, and with it the way out) is cut off: leases and claims run out."""
LEFT_BEHIND_SECONDS = 0.5
"""How long tasks that were cut off are waited for."""

Open = Callable[..., Awaitable[Source]]
"""Opens a session: takes the URL, and ``worker``, ``known``, ``wake`` and ``connect_timeout``."""
Compile = Callable[[Source], Awaitable[Plans]]
"""Compiles the entities against the tables as they are now."""
Background = Callable[[Source, Plans], Coroutine[None, None, None]]
"""Other work of a session: tasks that mark many records. Runs until cancelled."""


class Worker:
    """Keeps the target equal to the source, for the lanes that it gets.

    Trouble with the source ends a session: batches and leases are dropped, and the next session starts from what the
    database says. Trouble with the target is waited out within the session.

    Args:
        settings: as configured.
        target: where states go.
        open_source: opens a session with the source.
        compile_plans: compiles the entities at the start of each session.
        observer: is told what happens.
        background: runs beside the pump in each session.
        reinstall: puts back what captures changes, where the settings say so.
        rests: renew leases seldom while nothing happens and nobody else is there.

    """

    def __init__(
        self,
        settings: Settings,
        target: Target,
        open_source: Open,
        compile_plans: Compile,
        observer: Observer,
        *,
        background: Background | None = None,
        reinstall: Reinstall | None = None,
        rests: bool = False,
    ) -> None:
        self.id = str(uuid.uuid4())
        self._settings = settings
        self._target = target
        self._opened = open_source
        self._compile = compile_plans
        self._observer = observer
        self._background = background
        self._reinstall = reinstall
        self._rests = rests
        self._reinstalls = 0
        self._damaged_at: float | None = None
        self._stopping = asyncio.Event()
        self._pump: Pump | None = None
        self._known: Identity | None = None
        self._connected = False
        self._strikes = Strikes()
        self._unfinished: dict[int, set[str]] = {}
        """What the session before left under way: a write that was sent may yet be executed."""
        self._compiled: dict[int, str] = {}

    def stop(self) -> None:
        """Finish what is under way, give the lanes back, return from ``run``; for a signal handler of the loop."""
        self._stopping.set()
        if self._pump is not None:
            self._pump.stop()

    async def run(self) -> None:
        """Work until ``stop``.

        After ``stop`` it returns within ``CUT_OFF_SECONDS`` and ``LEFT_BEHIND_SECONDS``, whatever hangs.

        Raises:
            SynclineError: something that waiting does not help (not installed, another version, a foreign target),
                or the source could not be reached at the start.

        """
        self._observer.tell(Started(self.id, self._settings.as_dict()))
        working = asyncio.ensure_future(self._work())
        try:
            if not await self._unless_stopped(working):
                await asyncio.wait({working}, timeout=CUT_OFF_SECONDS)
        finally:
            await end(working, seconds=LEFT_BEHIND_SECONDS, again=LEFT_BEHIND_SECONDS / 5)
        if not working.done() or working.cancelled():
            reason = f"cut off {CUT_OFF_SECONDS:g} s after the stop was requested; its leases run out"
            self._observer.tell(Stopped(reason))
            return
        working.result()
        self._observer.tell(Stopped("stop requested"))

    async def _work(self) -> None:
        backoff = Backoff(first=timedelta(milliseconds=100), most=timedelta(seconds=2))
        while not self._stopping.is_set():
            try:
                await self._session(backoff)
            except (BaseExceptionGroup, SynclineError) as raised:
                error = gravest(raised)
                connected = self._connected or self._stopping.is_set()
                if not is_retryable(error) or not connected:
                    error = await self._cause(error)
                    if not (connected and is_retryable(error)) and not await self._bears(error):
                        raise error from raised
                assert isinstance(error, SynclineError)  # noqa: S101  else it was raised
                await self._pause(error, backoff)

    async def _cause(self, error: BaseException) -> BaseException:
        """Say what is behind an error: where something of ours is missing, any statement may fail for it."""
        if not isinstance(error, (SourceError, PrivilegeError, NotInstalledError)) or not self._connected:
            return error
        try:
            source = await self._open()
        except DamagedError as damage:
            return damage
        except SynclineError:
            return error  # whatever it is, the first error says more
        try:
            if (said := await hindrance(source, error)) is not None:
                with suppress(SynclineError):  # the notice may be refused by the same rule
                    await source.journal.notices.leave(Notice.SCHEMA_DAMAGED, "critical", said)
                return HinderedError(f"{error.message} ({said})")  # until it is taken away
        finally:
            with suppress(SynclineError):
                await source.close()
        if isinstance(error, NotInstalledError):
            return SourceUnavailableError(f"{error.message}; what it was is there again")
        return error

    async def _bears(self, error: BaseException) -> bool:
        """Tell whether to go on though something of ours is missing; put it back where the settings say so."""
        if not isinstance(error, DamagedError):
            return False
        if self._reinstall is not None and self._reinstalls < REINSTALLS:
            self._reinstalls += 1
            with suppress(SynclineError):  # the next session says whether it helped
                await self._reinstall()
            return True
        now = time.monotonic()
        self._damaged_at = self._damaged_at or now
        return self._connected and now - self._damaged_at < DAMAGED_SECONDS

    async def _open(self) -> Source:
        settings = self._settings.source
        return await self._opened(
            settings.url,
            worker=self.id,
            known=self._known,
            wake=settings.wake,
            connect_timeout=settings.connect_timeout,
        )

    async def _pause(self, error: SynclineError, backoff: Backoff) -> None:
        if isinstance(error, StalePlanError) and error.entity is not None:
            self._strikes.add(error.entity, error.message)
        if isinstance(error, SourceChangedError):
            self._known = None  # noticed; what it means, the beats will tell
        pause = max(backoff.next(), HINDERED_PAUSE) if isinstance(error, HinderedError) else backoff.next()
        self._observer.tell(Unavailable("source", error, pause))
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), pause.total_seconds())

    async def _session(self, backoff: Backoff) -> None:
        source = await self._open()
        try:
            self._known = source.identity
            self._connected = True
            self._reinstalls, self._damaged_at = 0, None
            plans = await self._compile(source)
            await self._serve(source, plans, backoff)
        finally:
            self._pump = None
            await source.close()

    async def _serve(self, source: Source, plans: Plans, backoff: Backoff) -> None:
        worker = self._settings.worker
        restores = Restores(source.journal, plans.by_id, self._observer)
        leases = Leases(
            source,
            self._target,
            restores,
            self._observer,
            name=worker.name or own_name(),
            ttl=worker.lease,
        )
        pump = Pump(
            source,
            self._target,
            plans.by_id,
            leases,
            self._observer,
            settings=worker,
            history=self._settings.history,
            stopped={**self._strikes.stopped(), **dict.fromkeys(plans.pending, "it is not installed to its end")},
        )
        keeper = Keeper(
            source,
            self._target,
            plans,
            leases,
            pump,
            settings=self._settings,
            compiled=self._compiled,
            reinstall=self._reinstall,
            rest=Rest(source, plans, leases, pump, worker, allowed=self._rests),
            retry_due=self._strikes.due(),
        )
        if self._stopping.is_set():
            return
        self._pump = pump
        await self._mark_unfinished(source)
        try:
            await self._run_session(source, plans, pump, keeper, backoff)
        finally:
            await keeper.close()
            self._unfinished = pump.in_flight.unfinished()
            if self._stopping.is_set():
                with suppress(SynclineError):  # the source is away: what is not given back runs out
                    await self._mark_unfinished(source)
                    await leases.release_all()

    async def _mark_unfinished(self, source: Source) -> None:
        for entity, keys in self._unfinished.items():
            await source.marks.add(entity, sorted(keys), Hint.REPAIR)
        self._unfinished = {}

    async def _run_session(self, source: Source, plans: Plans, pump: Pump, keeper: Keeper, backoff: Backoff) -> None:
        def notified(called: bool) -> None:
            pump.wake()
            keeper.wake(called=called)

        async with Group() as tasks:
            starting = tasks.create_task(keeper.start())
            if await self._unless_stopped(starting):
                backoff.reset()
                keeping = tasks.create_task(keeper.run())
                helpers = []
                if source.waker is not None:
                    helpers.append(tasks.create_task(source.waker.listen(notified)))
                if self._background is not None:
                    helpers.append(tasks.create_task(self._background(source, plans)))
                pumping = tasks.create_task(self._pumping(pump))
                await self._unless_stopped(pumping)
                ending = tasks.create_task(end(*helpers, seconds=CUT_OFF_SECONDS))  # they give back what they claimed
                await asyncio.wait({pumping})
                keeper.stop()
                await asyncio.wait({keeping}, timeout=LAST_BEAT_SECONDS)
                await end(keeping, seconds=CUT_OFF_SECONDS)
                await asyncio.wait({ending})
            await end(starting, seconds=CUT_OFF_SECONDS)

    async def _unless_stopped(self, task: asyncio.Future[Any]) -> bool:
        """Wait for a task or for the stop; tell whether the task has ended well."""
        stopping: asyncio.Future[Any] = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
        return task.done() and not task.cancelled() and task.exception() is None

    async def _pumping(self, pump: Pump) -> None:
        """Pump; after a stop, wait only so long for what is under way."""
        running = asyncio.ensure_future(pump.run())
        try:
            if not await self._unless_stopped(running):
                await asyncio.wait({running}, timeout=STOP_SECONDS)
            if running.done():
                running.result()
        finally:
            await end(running, seconds=CUT_OFF_SECONDS)
            if running.done() and not running.cancelled():
                running.exception()  # when the session has failed elsewhere, nobody else asks: a traceback in the log


def own_name() -> str:
    """Name this process as operators find it: by host and pid."""
    return f"{socket.gethostname()}:{os.getpid()}"
