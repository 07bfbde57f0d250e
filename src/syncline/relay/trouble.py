"""What ends a session with the source: which error counts, what is behind it, who stands back in the next one."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from syncline.errors import NotInstalledError, PrivilegeError, SourceError, SynclineError
from syncline.model.notice import hindered
from syncline.ports import Source
from syncline.relay.keeper import refused


class Strikes:
    """Entities whose states could not be read though they were just compiled: they stand back, the others go on."""

    def __init__(self, *, seconds: float = 30.0) -> None:
        self._seconds = seconds
        self._strikes: dict[int, tuple[int, float, str]] = {}

    def add(self, entity: int, reason: str) -> None:
        """Count one."""
        count, when, _ = self._strikes.get(entity, (0, 0.0, ""))
        recent = time.monotonic() - when < 2 * self._seconds
        self._strikes[entity] = (count + 1 if recent else 1, time.monotonic(), reason)

    def stopped(self) -> Mapping[int, str]:
        """List the entities that stand back in the next session."""
        now = time.monotonic()
        return {
            entity: reason
            for entity, (count, when, reason) in self._strikes.items()
            if count > 1 and now - when < self._seconds
        }

    def due(self) -> float | None:
        """Give the time (monotonic) at which the first of them is to be tried again."""
        now = time.monotonic()
        ends = [when + self._seconds for count, when, _ in self._strikes.values() if count > 1]
        return min((end for end in ends if end > now), default=None)


async def hindrance(source: Source, error: SourceError | PrivilegeError | NotInstalledError) -> str | None:
    """Say what of somebody's making may have refused what was written into our tables; ``None``: there is nothing."""
    if isinstance(error, SourceError) and error.of_our_tables:
        return refused(error)
    rules: Sequence[str] = ()
    with suppress(SynclineError):
        rules = await source.journal.foreign_rules()
    return hindered(rules) if rules else None


def is_retryable(error: BaseException) -> bool:
    return isinstance(error, SynclineError) and error.retryable


def gravest(raised: BaseException) -> BaseException:
    """Take the one error out of a group that decides what to do: a defect, else what waiting does not help."""
    if not isinstance(raised, BaseExceptionGroup):
        return raised
    errors = [gravest(error) for error in raised.exceptions]
    defects = [error for error in errors if not isinstance(error, SynclineError)]
    final = [error for error in errors if isinstance(error, SynclineError) and not error.retryable]
    return (defects or final or errors)[0]
