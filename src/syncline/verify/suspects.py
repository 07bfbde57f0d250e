"""Keys that a first look found different, until a second look has decided them or patience has run out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from syncline.ports import Backlog, Why
from syncline.verify.report import EntityReport, Finding
from syncline.verify.second_look import SecondLook

BATCH = 500
"""Keys of one second look."""
CAPACITY = 20_000
"""Undecided keys that are remembered; then the pass waits until some are decided."""
SOON = 0.3
"""Seconds between a first and a second look, or between two: most differences are gone by then."""


@dataclass(slots=True)
class Suspect:
    """A key under suspicion."""

    first_seen: datetime
    due: float
    looks: int = 0
    moved: int = 0
    why: Why | None = None


class Suspects:
    """Holds the suspects of one entity and decides them.

    Args:
        look: takes second looks.
        report: what stays undecided is noted there.
        backlog: tells whether anybody applies what waits.
        found: is given what was found.
        pulse: is called while it waits.
        patience: how long ``settle`` waits.
        keys_only: whether contents matter.

    """

    def __init__(
        self,
        look: SecondLook,
        report: EntityReport,
        backlog: Backlog,
        *,
        found: Callable[[Sequence[Finding]], Awaitable[None]],
        pulse: Callable[[], Awaitable[None]],
        patience: timedelta,
        keys_only: bool,
    ) -> None:
        self._look = look
        self._report = report
        self._backlog = backlog
        self._found = found
        self._pulse = pulse
        self._patience = patience.total_seconds()
        self._budget = self._patience
        """Seconds that the pass may still wait for room: a target far behind is not waited for again and again."""
        self._keys_only = keys_only
        self._open: dict[str, Suspect] = {}
        self._parked: dict[str, Suspect] = {}
        """Those that differ and are parked: they count as failed for as long as they are."""
        self._alone = 0

    def __len__(self) -> int:
        return len(self._open)

    def add(self, keys: Iterable[str]) -> None:
        """Suspect keys."""
        now = datetime.now(UTC)
        due = time.monotonic() + SOON
        for key in keys:
            self._open.setdefault(key, Suspect(now, due))

    def as_state(self) -> dict[str, str]:
        """Give those under suspicion, with the time since when, in JSON's types; parked ones may not be so later."""
        return {key: suspect.first_seen.isoformat() for key, suspect in (self._parked | self._open).items()}

    def restore(self, state: Mapping[str, str]) -> None:
        """Put back what ``as_state`` gave; all are looked at again."""
        due = time.monotonic()
        self._open |= {key: Suspect(datetime.fromisoformat(seen), due) for key, seen in state.items()}

    def suspect_unparked(self, parked: Collection[str]) -> bool:
        """Suspect again what was parked when it was looked at and is not any more; tell whether there is such a key.

        Somebody may have discarded its entry, and nobody wrote the record.
        """
        gone = self._parked.keys() - set(parked)
        for key in gone:
            self._open[key] = self._parked.pop(key)
        return bool(gone)

    async def tend(self) -> None:
        """Look at those that are due, when it is worth a look; wait while there are too many."""
        if len(self._open) < BATCH:
            return
        await self._look_at_due()
        while len(self._open) > CAPACITY:
            if self._budget <= 0 or await self._nobody_drains():
                self._give_up()
                return
            began = time.monotonic()
            await self._pulse()
            await asyncio.sleep(SOON)
            await self._look_at_due()
            self._budget -= time.monotonic() - began

    async def settle(self) -> None:
        """Look until all are decided, or patience has run out and each was looked at; the rest is hot or lagging."""
        until = time.monotonic() + self._patience
        while self._open:
            await self._look_at_due()
            if not self._open:
                return
            seen = all(suspect.looks for suspect in self._open.values())
            if seen and (time.monotonic() > until or (self._only_waiting() and await self._nobody_drains())):
                self._give_up()
                return
            await self._pulse()
            await asyncio.sleep(min(SOON, max(0.0, min(s.due for s in self._open.values()) - time.monotonic())) + 0.01)

    async def _look_at_due(self) -> None:
        now = time.monotonic()
        due = [key for key, suspect in self._open.items() if suspect.due <= now]
        for start in range(0, len(due), BATCH):
            await self._decide(due[start : start + BATCH])
            await self._pulse()

    async def _decide(self, keys: list[str]) -> None:
        looked = await self._look.look({key: self._open[key].first_seen for key in keys}, keys_only=self._keys_only)
        self._report.looks += 1
        if looked.findings:
            await self._found(looked.findings)
        now = time.monotonic()
        for key in keys:
            why = looked.later.get(key)
            suspect = self._open[key]
            if why is None:
                del self._open[key]
                self._parked |= {key: suspect} if key in looked.parked else {}
                continue
            suspect.looks += 1
            suspect.moved += why is Why.MOVED
            suspect.why = why
            suspect.due = now + min(2.0, SOON * suspect.looks)

    def _only_waiting(self) -> bool:
        return all(suspect.why not in {None, Why.MOVED} for suspect in self._open.values())

    async def _nobody_drains(self) -> bool:
        """Tell whether no worker has been alive for three looks in a row."""
        self._alone = 0 if (await self._backlog.situation()).workers else self._alone + 1
        return self._alone >= 3

    def _give_up(self) -> None:
        for key, suspect in self._open.items():
            if suspect.moved:
                self._report.hot.append(key)
            else:
                self._report.lagging += 1
        self._open.clear()
