"""Stop a worker between any two steps of the protocol, and let it go on when the test says so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from syncline.outbox.source import PostgresSource

STEPS = ("read_marks", "read_states", "acknowledge", "renew", "announce_idle", "acquire", "confirm")


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
        self.hooks: dict[str, Callable[[PostgresSource], None]] = {}
        for step in STEPS:
            monkeypatch.setattr(PostgresSource, step, self._wrapped(step, getattr(PostgresSource, step)))
        monkeypatch.setattr(PostgresSource, "read_together", self._both(PostgresSource.read_together))

    def stop(self, worker: Any, step: str, *, wanted: Callable[[Any], bool] = bool) -> Stop:
        """Stop a worker the next time it comes to ``before read_marks``, ``after read_states``, …

        ``wanted`` looks at the result (after a step) or is not asked (before one): by default an empty one passes.
        """
        stop = Stop(worker.id, step, wanted)
        self.stops.append(stop)
        return stop

    def _wrapped(self, step: str, original: Any) -> Any:
        async def call(source: PostgresSource, *args: Any, **options: Any) -> Any:
            await self._at(source, f"before {step}", True)
            result = await original(source, *args, **options)
            await self._at(source, f"after {step}", result)
            return result

        return call

    def _both(self, original: Any) -> Any:
        """Marks and states in one statement: the two steps with nothing between them."""

        async def call(source: PostgresSource, *args: Any, **options: Any) -> Any:
            await self._at(source, "before read_marks", True)
            marks, states = await original(source, *args, **options)
            await self._at(source, "after read_marks", marks)
            await self._at(source, "after read_states", states)
            return marks, states

        return call

    async def _at(self, source: PostgresSource, step: str, result: Any) -> None:
        if hook := self.hooks.get(step):
            hook(source)
        for stop in self.stops:
            if stop.worker == source.worker and stop.step == step and stop.wanted(result):
                self.stops.remove(stop)
                await stop.hold()
                return
