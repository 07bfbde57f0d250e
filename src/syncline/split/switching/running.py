"""Running a whole transaction again where a gate refuses it, on the side that serves by then."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

from syncline.errors import GateClosedError, UnknownOutcomeError
from syncline.split.switching.following import Following
from syncline.split.switching.refusals import Refusal, is_unknown, refusal_of

Handle = TypeVar("Handle")
Result = TypeVar("Result")
DEADLINE = timedelta(seconds=10)
_FIRST_SECONDS, _LONGEST_SECONDS = 0.004, 0.05
_LOOK_SECONDS = 0.008
"""Between two looks at the gates while no side accepts writes: a look is less than an attempt, and one does for all."""
_DOUBLINGS = 8


class Attempts:
    """The attempts of one transaction."""

    def __init__(self, following: Following, deadline: timedelta) -> None:
        self._following = following
        self._until = time.monotonic() + deadline.total_seconds()
        self._count = 0
        self._opening = following.last_opening
        self._rests_until = 0.0
        self._looks = False
        self.committing = False
        """The work is done, and what follows is the commit."""

    def begin(self) -> None:
        """Begin another one: an opening that is not known by now ends the rest before the next."""
        self.committing = False
        self._opening = self._following.last_opening

    def after(self, error: Exception) -> None:
        """Judge an attempt that has failed: there is to be another one, after a rest.

        Raises:
            UnknownOutcomeError: it may be committed.
            GateClosedError: no side has accepted it in time.
            MovedError: this process does not know the database in which the tables are.
            Exception: any other one, as it is.

        """
        refusal = Refusal.CLOSED if isinstance(error, GateClosedError) else refusal_of(error)
        if refusal is None:
            if self.committing and is_unknown(error):
                raise UnknownOutcomeError(hint=_LOOK) from error
            raise error
        if refusal is not Refusal.SERIALIZATION:
            self._following.look_again()
        if time.monotonic() >= self._until:
            if refusal is Refusal.SERIALIZATION:
                raise error
            raise GateClosedError(hint=_LATER) from error
        self._count += 1
        longest = min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(self._count, _DOUBLINGS))
        rest = random.uniform(longest / 2, longest)  # noqa: S311  so that writers do not come back together
        self._rests_until = time.monotonic() + rest
        self._looks = refusal in _CLOSED

    @property
    def rest_seconds(self) -> float:
        """Say how long to rest until the next look; 0: try again."""
        if self._following.last_opening != self._opening:
            return 0.0
        left = self._rests_until - time.monotonic()
        return max(0.0, min(left, _LOOK_SECONDS) if self._looks else left)

    @property
    def is_to_look(self) -> bool:
        """Tell whether no side accepted writes, and nobody has looked since."""
        return self._looks and not self._following.asked_within(_LOOK_SECONDS / 2)

    def look(self) -> None:
        """Look whether a side was opened, after a rest."""
        if self.is_to_look:
            self._following.look_again(fresh_seconds=_LOOK_SECONDS / 2)


_CLOSED = (Refusal.CLOSING, Refusal.CLOSED)
_LATER = "send it again later; `syncline split status` says what is going on"
_LOOK = "look whether its rows are there before it is done again; a key of the request's own makes that possible"


def run(
    following: Following,
    work: Callable[[Handle], Result],
    using: Callable[[], AbstractContextManager[Handle]],
    deadline: timedelta = DEADLINE,
) -> Result:
    """Run a transaction, and again as long as it is refused; see ``Databases.run``."""
    attempts = Attempts(following, deadline)
    while True:
        attempts.begin()
        try:
            with using() as handle, _whole(handle):
                result = work(handle)
                attempts.committing = True
        except Exception as error:  # noqa: BLE001  judged, and raised again
            attempts.after(error)
        else:
            return result
        while seconds := attempts.rest_seconds:
            time.sleep(seconds)
            attempts.look()


async def arun(
    following: Following,
    work: Callable[[Handle], Awaitable[Result]],
    using: Callable[[], AbstractAsyncContextManager[Handle]],
    deadline: timedelta = DEADLINE,
) -> Result:
    """Do the same for asyncio."""
    attempts = Attempts(following, deadline)
    while True:
        attempts.begin()
        try:
            async with using() as handle, _awhole(handle):
                result = await work(handle)
                attempts.committing = True
        except Exception as error:  # noqa: BLE001  judged, and raised again
            await asyncio.to_thread(attempts.after, error)
        else:
            return result
        while seconds := attempts.rest_seconds:
            await asyncio.sleep(seconds)
            if attempts.is_to_look:
                await asyncio.to_thread(attempts.look)


@contextmanager
def _whole(handle: Any) -> Iterator[None]:
    """Forbid a commit in the middle of the work: what comes before it would be done twice."""
    if isinstance(handle, psycopg.Connection):
        with handle.transaction():
            yield
    else:
        yield  # SQLAlchemy's ``sessions.begin`` forbids it itself


@asynccontextmanager
async def _awhole(handle: Any) -> AsyncIterator[None]:
    if isinstance(handle, psycopg.AsyncConnection):
        async with handle.transaction():
            yield
    else:
        yield
