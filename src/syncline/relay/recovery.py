"""What happens when the target fails: wait until it takes a write, and find the record that it cannot stand."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from syncline.errors import TargetError, TargetRefusedError
from syncline.model.notice import Notice
from syncline.ports import Plan, Target
from syncline.relay.clock import Backoff
from syncline.relay.poison import Poison
from syncline.relay.work import Work
from syncline.telemetry.observer import Noticed, Observer, Unavailable

SUSPECT_PAUSE = timedelta(seconds=0.5)
"""Between tries of a record that is suspected to bring the target down: a server that stumbles gets over it."""


class Recovery:
    """Tells trouble of the target from a record that brings it down, for one session."""

    def __init__(self, target: Target, plans: Mapping[int, Plan], poison: Poison, observer: Observer) -> None:
        self.down: TargetError | None = None
        """Why nothing is written at present."""
        self._target = target
        self._plans = plans
        self._poison = poison
        self._observer = observer
        self._backoff = Backoff()

    def failed(self, work: Work, error: TargetError) -> None:
        """Take in that a batch failed."""
        self.down = error
        self._poison.failed(list(work.records()))

    def succeeded(self) -> None:
        """Take in that a batch went through."""
        self._backoff.reset()

    async def recover(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Wait until the target takes a write. When it does, but a batch goes on failing, the batch is at fault."""
        error = self.down
        assert error is not None  # noqa: S101  the caller has looked
        seconds = self._backoff.next()
        if self._poison.suspects:
            seconds = max(seconds, SUSPECT_PAUSE)
        self._observer.tell(Unavailable("target", error, seconds))
        await pause(seconds.total_seconds())
        try:
            await self._target.probe()
        except TargetError as unavailable:
            self.down = unavailable
            self._poison.server_failed()
            return
        self.down = None
        if isinstance(error, TargetRefusedError):
            self._poison.server_failed()
            return  # no record is to blame, whatever the probe says
        self._search(error)

    def _search(self, error: TargetError) -> None:
        record = self._poison.bisect(error.message)
        if self._poison.shrink and self._poison.suspect is None:
            self._backoff.reset()  # the search for the record goes on at once
        if record is not None:
            entity, key = record
            message = f"{self._plans[entity].name}/{key}: {error.message}"
            self._observer.tell(Noticed(Notice.POISON_RECORD, "warning", message))
