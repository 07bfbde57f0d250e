"""Follow marks as they come: one question at a time while they do, rarely while none does, and a walk now and then.

A walk finds everything. A look asks for the first marked documents alone, in one statement of each side: what it does
not find, documents of writers who do not mark and what came late, waits for the next walk.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from syncline.ending import end
from syncline.errors import SynclineError, TargetRefusedError
from syncline.ports.documents import DocumentRows, Fate, MarkedDocument, MarkedDocuments, Outcome
from syncline.relay.documents.pump import DocumentPump, Tally, key_of, others

FIRST_SECONDS = 0.001
"""Shortest pause between two looks at a collection."""
PART = 8
"""A pause is so small a part of the time since something came."""
WALK_SECONDS, WALK_BESIDE_SECONDS = 0.25, 2.0
"""A collection that is looked at more often is walked so often; more rarely where others carry most."""
_SETTLE_SECONDS = 0.02
"""Marks are cleared so much later, together; nobody waits for it."""
_BESIDE_SECONDS = 0.25
"""Between two looks where others carry most: what they have not settled by the second one is carried here."""
_END_SECONDS = 1.0


class Pace:
    """When something is looked for again: the longer nothing came, the later.

    What comes after a while is found within an eighth of it, and each doubling of a wait costs no more than six looks.
    """

    def __init__(self, now: float, *, longest: float) -> None:
        self._came, self._longest = now, longest
        self.next = now

    def looked(self, now: float, *, came: bool, first: float = FIRST_SECONDS) -> None:
        """Take in a look, and whether something was there; the next one is ``first`` seconds later, or more."""
        if came:
            self._came = now
        self.next = now + min(max((now - self._came) / PART, first), self._longest)


@dataclass(slots=True)
class _Course:
    """How far a collection is followed."""

    pace: Pace
    number: int = 0
    """The link's, from before its last walk, which has asked the gate that looks go by."""
    walk: float = -math.inf
    """When it is walked next."""
    beside: bool = False
    """Whether others carry most of it: applications, within their calls."""
    waiting: AbstractSet[tuple[str, bytes]] = frozenset()
    """What the last look has left to them."""
    came: bool = False
    """Whether something of that was new."""
    unsettled: list[Sequence[Outcome]] = field(default_factory=list)
    """What was written, and has its marks still."""


class Follower:
    """Carries what is marked, soon after it is.

    Args:
        source: where documents are marked.
        rows: where they go.
        ancestors: the collections to follow, parents first, each with those that it refers to.
        longest: so many seconds are the longest pause.
        options: of ``DocumentPump``.

    """

    def __init__(
        self,
        source: MarkedDocuments,
        rows: DocumentRows,
        ancestors: Mapping[str, Sequence[str]],
        *,
        longest: float,
        **options: Any,
    ) -> None:
        self._source, self._rows, self._ancestors = source, rows, ancestors
        self._pump = DocumentPump(source, rows, [*ancestors], before=self._go_ahead, **options)
        now = time.monotonic()
        self._courses = {name: _Course(Pace(now, longest=longest)) for name in ancestors}
        self._ahead = False
        self._settles = asyncio.Lock()
        self._settling: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Have a walk that is under way end with its batch."""
        self._pump.stop()

    async def turn(self) -> float:
        """Follow each collection whose time has come; a collection that cannot be carried does not hold up others.

        Returns:
            The seconds until the next one's time comes.

        Raises:
            SynclineError: one cannot; the others were followed.
            SourceUnavailableError, TargetUnavailableError: a side does not answer; what is left is not tried.

        """
        failed: SynclineError | None = None
        for name, course in self._courses.items():
            if time.monotonic() < course.pace.next:
                continue
            try:
                await self._follow(name, course)
            except SynclineError as error:
                course.walk = -math.inf
                if error.retryable and not isinstance(error, TargetRefusedError):
                    raise  # a side is away
                failed = failed or error
        if failed is not None:
            raise failed
        return max(0.0, min(one.pace.next for one in self._courses.values()) - time.monotonic())

    async def _follow(self, name: str, course: _Course) -> None:
        """Look, and walk when it is time to, or a look has said that there is more than it sees."""
        tally = Tally()
        if time.monotonic() < course.walk:
            await self._look(name, course, tally)
        if time.monotonic() >= course.walk:
            tally = await self._walk(name, course)
        if tally.applied:
            course.beside = 2 * tally.already > tally.applied
        first = _BESIDE_SECONDS if course.beside else FIRST_SECONDS
        course.pace.looked(time.monotonic(), came=tally.moved or course.came, first=first)

    async def _walk(self, name: str, course: _Course) -> Tally:
        await self._settle(name, course)
        course.number = await self._rows.number()
        tally = await self._pump.walk([name])
        after = WALK_BESIDE_SECONDS if course.beside else WALK_SECONDS
        again = tally.more or tally.late or tally.rested
        course.walk = -math.inf if again else time.monotonic() + after
        course.waiting, course.came = frozenset(), False
        return tally

    async def _look(self, name: str, course: _Course, tally: Tally) -> None:
        written = [[one.document for one in some] for some in course.unsettled]  # whose marks may still be there
        page = await self._source.first(name, self._pump.batch)
        if len(page) >= self._pump.batch:
            course.walk = -math.inf
        elif found := self._left(course, others(page, written)):
            outcomes = await self._pump.write(name, found, course.number, tally)
            if tally.late:
                course.walk = -math.inf
            if tally.moved:
                self._settle_soon(course, [one for one in outcomes if one.fate is not Fate.LATE])

    @staticmethod
    def _left(course: _Course, found: Sequence[MarkedDocument]) -> Sequence[MarkedDocument]:
        """Leave to others what they are about to carry; give what they have left."""
        before, course.waiting = course.waiting, {key_of(one) for one in found} if course.beside else frozenset()
        course.came = not course.waiting <= before
        if not course.beside:
            return found
        return [one for one in found if key_of(one) in before]

    async def _go_ahead(self, name: str) -> None:
        """Follow what a collection refers to, before its documents are written that were read."""
        if not self._ahead:
            self._ahead = True
            try:
                for parent in self._ancestors[name]:
                    await self._follow(parent, self._courses[parent])
            finally:
                self._ahead = False

    # -- marks of what was written

    def _settle_soon(self, course: _Course, outcomes: Sequence[Outcome]) -> None:
        course.unsettled.append(outcomes)
        if self._settling is None or self._settling.done():
            self._settling = asyncio.create_task(self._settle_later())

    async def _settle_later(self) -> None:
        while any(course.unsettled for course in self._courses.values()):
            await asyncio.sleep(_SETTLE_SECONDS)
            for name, course in self._courses.items():
                try:
                    await self._settle(name, course)
                except SynclineError:
                    course.walk = -math.inf  # which says what the trouble is

    async def _settle(self, name: str, course: _Course) -> None:
        """Settle what was written so far; marks that are not cleared are found again."""
        async with self._settles:
            some = [*course.unsettled]
            try:
                if some:
                    await self._pump.settle(name, [outcome for one in some for outcome in one])
            finally:
                del course.unsettled[: len(some)]

    async def close(self) -> None:
        """Clear the marks of what was written; what takes too long is left to who finds them."""
        if self._settling is not None:
            await asyncio.wait({self._settling}, timeout=_END_SECONDS)
            await end(self._settling, seconds=_END_SECONDS)
