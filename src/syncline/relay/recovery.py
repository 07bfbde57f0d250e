"""What happens when the target fails: wait until it takes a write, and find the record that it cannot stand."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from syncline.errors import TargetError, TargetGateError, TargetRefusedError
from syncline.model.notice import Notice
from syncline.ports import Plan, Target
from syncline.relay.clock import Backoff
from syncline.relay.poison import Poison
from syncline.relay.work import Work
from syncline.telemetry.observer import Noticed, Observer, Unavailable

SUSPECT_PAUSE = timedelta(seconds=0.5)
"""Between tries of a record that is suspected to bring the target down: a server that stumbles gets over it."""
GATE_PAUSE = timedelta(seconds=0.2)
"""Between two questions to a gate that is closed to links: it is opened to them when its side has stopped to serve."""

TRY_PAUSE = timedelta(seconds=5)
"""At a gate that stays closed something is tried so often: others may have done what it has turned back, and what comes
due later may need no gate."""


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
        self.waits_at_gate = ""
        """The gate at which everything waits."""
        self._gate_backoff = Backoff(first=timedelta(milliseconds=10), most=timedelta(seconds=1))
        self._tried = 0.0

    def failed(self, work: Work, error: TargetError) -> None:
        """Take in that a batch failed."""
        self.down = error
        if not isinstance(error, TargetGateError):
            self._poison.failed(list(work.records()))

    def succeeded(self) -> None:
        """Take in that a batch went through."""
        self._backoff.reset()
        self._gate_backoff.reset()

    async def recover(self, pause: Callable[[float], Awaitable[None]]) -> None:
        """Wait until the target takes a write. When it does, but a batch goes on failing, the batch is at fault."""
        error = self.down
        assert error is not None  # noqa: S101  the caller has looked
        if isinstance(error, TargetGateError):
            await self._ask_gate(error, pause)
            return
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

    async def _ask_gate(self, error: TargetGateError, pause: Callable[[float], Awaitable[None]]) -> None:
        """Wait until a gate lets in links; what it asks to be shown is taken before the next marks are read."""
        await pause((GATE_PAUSE if self.waits_at_gate else self._gate_backoff.next()).total_seconds())
        try:
            lets_in = await self._target.ask_gate()
        except TargetError as unavailable:
            self._poison.server_failed()
            self.down, lets_in = unavailable, True
        else:
            self.down = None if lets_in else error
        if not lets_in and not self.waits_at_gate:
            message = f"{error.message}: changes wait at the gate of the move {error.gate}"
            self._observer.tell(Noticed(Notice.WAITS_AT_GATE, "info", message))
            self._tried = time.monotonic()
        elif not lets_in and time.monotonic() > self._tried + TRY_PAUSE.total_seconds():
            self.down, self._tried = None, time.monotonic()
        self.waits_at_gate = "" if lets_in else error.gate

    def _search(self, error: TargetError) -> None:
        record = self._poison.bisect(error.message)
        if self._poison.shrink and self._poison.suspect is None:
            self._backoff.reset()  # the search for the record goes on at once
        if record is not None:
            entity, key = record
            message = f"{self._plans[entity].name}/{key}: {error.message}"
            self._observer.tell(Noticed(Notice.POISON_RECORD, "warning", message))
