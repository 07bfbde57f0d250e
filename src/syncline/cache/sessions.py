"""Validated sessions, kept for seconds, forgotten everywhere as soon as they are revoked."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from datetime import timedelta
from types import TracebackType
from typing import Generic, Self, TypeVar, cast

from syncline.cache.flights import Flights
from syncline.cache.memory import TAGS_PER_ENTRY, Versions
from syncline.cache.observer import CacheObserver, Counts, Event
from syncline.cache.revocations import DELAY, OneProcess, Revocations, digest
from syncline.cache.shelf import Kept, Shelf
from syncline.clock import boottime
from syncline.errors import LoadCancelledError

S = TypeVar("S")

UNKNOWN_SHARE = 8
"""Ids without a session are kept apart, in one eighth of the size: guessed ids push no session out."""


def _no_names(_: object) -> Iterable[str]:
    return ()


class SessionCache(Generic[S]):
    """Keeps what an id of a session stands for, for one event loop.

    A value is given only while it is certain that every revocation of more than ``DELAY`` seconds ago has been heard;
    without that certainty every read loads, and readers within a second share a load. A load that began before a
    revocation is never kept.

    Args:
        names: what revokes a session besides its own id, like ``lambda s: [f"user:{s.user_id}", f"role:{s.role}"]``.
        revocations: carries revocations between processes; without it there is this process only.
        ttl: how long a session is kept, from the beginning of its load.
        size: how many sessions.
        name: its name in metrics.
        observer: is told about every read.
        clock: seconds that only grow; for tests.

    Hand out the very objects that were loaded: treat them as read-only.

    """

    def __init__(
        self,
        *,
        names: Callable[[S], Iterable[str]] = _no_names,
        revocations: Revocations | None = None,
        ttl: timedelta = timedelta(seconds=30),
        size: int = 10_000,
        name: str = "sessions",
        observer: CacheObserver | None = None,
        clock: Callable[[], float] = boottime,
    ) -> None:
        self.name = name
        self.counts = Counts()
        self._names = names
        self._revocations = revocations if revocations is not None else OneProcess()
        self._ttl = ttl.total_seconds()
        self._observer = observer
        self._clock = clock
        self._sessions = Shelf(size, clock)
        self._unknown = Shelf(max(1, size // UNKNOWN_SHARE), clock)
        self._revoked = Versions(size * TAGS_PER_ENTRY)
        self._missed = 0
        self._flights = Flights()
        self._cleaning: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._sessions) + len(self._unknown)

    @property
    def current(self) -> bool:
        """Whether kept sessions may be given; false before ``open`` and while revocations may be missing."""
        return self._cleaning is not None and self._revocations.current()

    async def open(self) -> None:
        """Begin to listen for revocations. Until then every read loads."""
        if self._cleaning is None:
            await self._revocations.open(self._heard)
            self._cleaning = asyncio.create_task(self._clean())

    async def close(self) -> None:
        """Forget everything, cancel loads under way, stop listening."""
        if self._cleaning is not None:
            self._cleaning.cancel()
            await asyncio.wait({self._cleaning})
            self._cleaning = None
        await self._flights.close()
        await self._revocations.close()
        self._forget()

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    async def get(self, session_id: str, load: Callable[[], Awaitable[S | None]]) -> S | None:
        """Give what a session's id stands for: kept, or loaded once for all who ask for it now.

        Args:
            session_id: as the client sent it.
            load: reads and validates it; ``None``: there is no such session, which is kept, too. It runs in a task of
                its own, which may outlive the caller: let it take its own connection or session, not the request's.

        Raises:
            Exception: whatever ``load`` raises; it is not kept, the next reader tries again.

        """
        if current := self.current:  # asked first: it takes in what has arrived
            kept = self._sessions.find(session_id) or self._unknown.find(session_id)
            if kept is not None:
                self._tell(Event.HIT)
                return cast("S | None", kept.value)
        else:
            self._tell(Event.BYPASS)
        self._tell(Event.MISS)
        task = await self._flights.wait(
            self._flight(session_id, current=current), self._loading(session_id, load), None
        )
        if task.cancelled():
            raise LoadCancelledError
        return cast("S | None", task.result())

    async def revoke(self, *names: str) -> None:
        """Make every process forget the sessions of these ids or names. Call it after the commit.

        Where sessions live in PostgreSQL, execute ``revocation_sql`` in the transaction instead: both or neither.

        Raises:
            CacheUnavailableError: other processes may not hear it, and use what they keep for up to ``ttl``. This
                process has forgotten. Revoking again is harmless.

        """
        digests = [digest(name) for name in dict.fromkeys(names)]
        self._remove(digests)
        await self._revocations.revoke(digests)

    def _flight(self, session_id: str, *, current: bool) -> Hashable:
        """Tell apart what must not be shared: who comes after a revocation never joins a load from before it.

        While revocations may be missing, a load is joined for ``DELAY`` seconds only.
        """
        return (session_id, self._revoked.now, self._missed, None if current else int(self._clock() / DELAY))

    def _loading(self, session_id: str, load: Callable[[], Awaitable[S | None]]) -> Callable[[], Awaitable[S | None]]:
        async def run() -> S | None:
            self._tell(Event.LOAD)
            began, revoked, missed = self._clock(), self._revoked.now, self._missed
            value = await load()
            names = (session_id, *(self._names(value) if value is not None else ()))
            kept = Kept(value, began + self._ttl, tuple(digest(name) for name in dict.fromkeys(names)))
            if self.current and missed == self._missed and max(self._revoked.of(kept.names)) <= revoked:
                self._keep(session_id, kept)
            return value

        return run

    def _keep(self, session_id: str, kept: Kept) -> None:
        if self._clock() >= kept.until:
            return  # the load took longer than a session is kept
        shelf, other = self._sessions, self._unknown
        if kept.value is None:
            shelf, other = other, shelf
        other.revoke((digest(session_id),))
        shelf.put(session_id, kept)

    def _heard(self, names: Sequence[bytes] | None) -> None:
        if names is None:
            self._forget()
            return
        self._tell(Event.REVOKE)
        self._remove(names)

    def _remove(self, names: Sequence[bytes]) -> None:
        self._revoked.advance(names)
        self._sessions.revoke(names)
        self._unknown.revoke(names)

    def _forget(self) -> None:
        self._missed += 1
        self._sessions.clear()
        self._unknown.clear()

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(max(self._ttl / 2, 0.05))
            self._sessions.expire()
            self._unknown.expire()

    def _tell(self, event: Event) -> None:
        self.counts.add(event)
        if self._observer is not None:
            self._observer.cache(self.name, event)
