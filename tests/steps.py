"""Stop a worker between any two steps of the protocol, and let it go on when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from syncline.engines.postgres.lanes import SqlLanes
from syncline.engines.postgres.marks import PostgresMarks
from syncline.engines.postgres.records import PostgresRecords
from syncline.engines.postgres.waker import PostgresWaker

STEPS: dict[str, tuple[type, str]] = {
    "read_marks": (PostgresMarks, "read"),
    "read_states": (PostgresRecords, "read"),
    "acknowledge": (PostgresMarks, "acknowledge"),
    "renew": (SqlLanes, "renew"),
    "arm": (PostgresWaker, "arm"),
    "acquire": (SqlLanes, "acquire"),
    "confirm": (SqlLanes, "confirm"),
}


class Stop:
    """A worker that stands still at a step, once."""

    def __init__(self, worker: str, step: str, wanted: Callable[[Any], bool]) -> None:
        self.worker, self.step, self.wanted = worker, step, wanted
        self.reached = asyncio.Event()
        self._go = asyncio.Event()

    async def wait_reached(self, seconds: float = 10) -> None:
        async with asyncio.timeout(seconds):
            await self.reached.wait()

    def resume(self) -> None:
        self._go.set()

    async def hold(self) -> None:
        self.reached.set()
        await self._go.wait()


class Steps:
    """Hooks before and after each statement of a worker's session with the source."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.stops: list[Stop] = []
        self.hooks: dict[str, Callable[[Any], None]] = {}
        for step, (owner, name) in STEPS.items():
            monkeypatch.setattr(owner, name, self._wrapped(step, getattr(owner, name)))
        monkeypatch.setattr(PostgresMarks, "read_with_states", self._both(PostgresMarks.read_with_states))

    def stop(self, worker: Any, step: str, *, wanted: Callable[[Any], bool] = bool) -> Stop:
        """Stop a worker the next time it comes to ``before read_marks``, ``after read_states``, …

        ``wanted`` looks at the result (after a step) or is not asked (before one): by default an empty one passes.
        """
        stop = Stop(worker.id, step, wanted)
        self.stops.append(stop)
        return stop

    def _wrapped(self, step: str, original: Any) -> Any:
        async def call(part: Any, *args: Any, **options: Any) -> Any:
            await self._at(part, f"before {step}", True)
            result = await original(part, *args, **options)
            await self._at(part, f"after {step}", result)
            return result

        return call

    def _both(self, original: Any) -> Any:
        """Marks and states in one statement: the two steps with nothing between them."""

        async def call(part: Any, *args: Any, **options: Any) -> Any:
            await self._at(part, "before read_marks", True)
            found = await original(part, *args, **options)
            if found is not None:
                await self._at(part, "after read_marks", found[0])
                await self._at(part, "after read_states", found[1])
            return found

        return call

    async def _at(self, part: Any, step: str, result: Any) -> None:
        if hook := self.hooks.get(step):
            hook(part)
        for stop in self.stops:
            if stop.worker == part.worker and stop.step == step and stop.wanted(result):
                self.stops.remove(stop)
                await stop.hold()
                return
