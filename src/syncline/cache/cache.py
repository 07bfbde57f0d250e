"""The cache: look, else load once; keep what was loaded unless it was outdated meanwhile; fall back to what is old."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar, cast

from syncline.cache.flights import Flights
from syncline.cache.observer import CacheObserver, Counts, Event
from syncline.cache.store import Entry, Lifetime, Look, Stamp, Store
from syncline.errors import CacheUnavailableError, LoadCancelledError

T = TypeVar("T")

REMEMBERED_FAILURES = 1000


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """A value, and what it is worth."""

    value: T
    stale: bool = False
    """It is outdated, and a newer one could not be had. Say so to whoever sees it."""
    age: timedelta = timedelta()
    """Since it was loaded."""
    error: str | None = None
    """Why no newer one could be had."""


class Cache:
    """A cache in front of reads, for one event loop.

    Args:
        store: where values are kept.
        name: its name in metrics.
        ttl: how long a value is fresh when nobody invalidates it.
        stale: how much longer it may be shown, marked stale, when its load fails; 0: never.
        patience: how long a load may take before an old value is shown instead, if there is one.
        pause: after a failure, how long an old value is shown without trying again.
        observer: is told about every read.

    A store that is down never breaks a read: values are then loaded, still once for readers at the same time.

    """

    def __init__(
        self,
        store: Store,
        *,
        name: str = "cache",
        ttl: timedelta = timedelta(seconds=30),
        stale: timedelta = timedelta(minutes=5),
        patience: timedelta | None = timedelta(seconds=2),
        pause: timedelta = timedelta(seconds=1),
        observer: CacheObserver | None = None,
    ) -> None:
        self.name = name
        self.counts = Counts()
        self._store = store
        self._life = Lifetime(ttl, stale)
        self._patience = patience.total_seconds() if patience is not None else None
        self._pause = pause.total_seconds()
        self._observer = observer
        self._flights = Flights()
        self._failed: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._invalidations = 0

    async def get(
        self,
        key: str,
        load: Callable[[], Awaitable[T]],
        *,
        tags: Sequence[str] = (),
        ttl: timedelta | None = None,
        ahead: timedelta = timedelta(),
    ) -> Reading[T]:
        """Give the value of a key: kept, or loaded once for all who ask for it now.

        Args:
            key: what identifies the value, everything that ``load`` depends on included.
            load: makes the value. It runs in a task of its own, which may outlive the caller: let it take its own
                connection or session, not the request's.
            tags: what invalidates it, besides its key. The same for every call with this key.
            ttl: instead of the cache's own.
            ahead: in this last part of its time a value that is asked for is loaded anew behind the readers' backs, so
                that nobody waits for a load that takes long as long as somebody asks often enough.

        Raises:
            Exception: whatever ``load`` raises, when there is no old value to fall back to.

        """
        named = tuple(dict.fromkeys((key, *tags)))
        look = await self._look(key, named)
        entry = look.entry if look else None
        stamp = look.stamp if look else None
        life = self._life if ttl is None else Lifetime(ttl, self._life.stale)
        run = self._loading(key, named, stamp, load, life)
        # Whoever comes after an invalidation has another stamp, and never joins a load from before it.
        flight = (key, stamp or self._invalidations)
        if entry and entry.fresh:
            if entry.left < ahead and not self._resting(key):
                self._flights.begin(flight, run, failed=lambda failure: self._rest(key, failure))
            return self._read(Event.HIT, entry)
        if entry and (error := self._resting(key)):
            return self._read(Event.STALE, entry, error)
        try:
            value = await self._loaded(flight, run, self._patience if entry else None)
        except Exception as failure:
            if not entry:
                self._tell(Event.MISS)
                raise
            return self._read(Event.STALE, entry, self._rest(key, failure))
        self._tell(Event.MISS)
        self._failed.pop(key, None)
        return Reading(value)

    async def invalidate(self, *tags: str) -> None:
        """Make values with one of these tags or keys outdated, in every process. Call it after the commit.

        A load that is under way began before: its result goes to those who wait for it already, and is not kept. An
        outdated value may still be shown, marked stale, while loads fail.
        """
        await self._invalidate(tags, remove=False)

    async def remove(self, *tags: str) -> None:
        """Remove values with one of these tags or keys for good: they are never shown again, not even as stale."""
        await self._invalidate(tags, remove=True)

    async def close(self) -> None:
        """Cancel loads under way and let go of the store."""
        await self._flights.close()
        await self._store.close()

    async def _look(self, key: str, tags: Sequence[str]) -> Look | None:
        try:
            return await self._store.look(key, tags)
        except CacheUnavailableError:
            self._tell(Event.ERROR)
            return None

    def _loading(
        self, key: str, tags: Sequence[str], stamp: Stamp | None, load: Callable[[], Awaitable[T]], life: Lifetime
    ) -> Callable[[], Awaitable[T]]:
        async def run() -> T:
            self._tell(Event.LOAD)
            began = time.monotonic()
            value = await load()
            took = timedelta(seconds=time.monotonic() - began)
            if stamp is not None:
                await self._keep(key, tags, stamp, value, Lifetime(life.fresh - took, life.stale))
            return value

        return run

    async def _loaded(self, flight: Hashable, run: Callable[[], Awaitable[T]], patience: float | None) -> T:
        task = await self._flights.wait(flight, run, patience)
        if not task.done():
            raise TimeoutError(f"the load takes longer than {patience:g} s")
        if task.cancelled():
            raise LoadCancelledError
        return cast("T", task.result())

    async def _keep(self, key: str, tags: Sequence[str], stamp: Stamp, value: Any, life: Lifetime) -> None:
        try:
            await self._store.write(key, tags, stamp, value, life)
        except CacheUnavailableError:
            self._tell(Event.ERROR)

    async def _invalidate(self, tags: Sequence[str], *, remove: bool) -> None:
        self._invalidations += 1
        try:
            await self._store.invalidate(tags, remove=remove)
        except CacheUnavailableError:
            self._tell(Event.ERROR)

    def _read(self, event: Event, entry: Entry, error: str | None = None) -> Reading[Any]:
        self._tell(event)
        return Reading(entry.value, event is Event.STALE, entry.age, error)

    def _resting(self, key: str) -> str | None:
        until, error = self._failed.get(key, (0.0, None))
        return error if until > time.monotonic() else None

    def _rest(self, key: str, failure: BaseException) -> str:
        error = str(failure) or type(failure).__name__
        self._failed[key] = (time.monotonic() + self._pause, error)
        self._failed.move_to_end(key)
        if len(self._failed) > REMEMBERED_FAILURES:
            self._failed.popitem(last=False)
        return error

    def _tell(self, event: Event) -> None:
        self.counts.add(event)
        if self._observer is not None:
            self._observer.cache(self.name, event)
