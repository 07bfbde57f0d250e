"""The coordinator: takes the writes of a move from one side to the other, and finishes what another one began.

Goal X, other side Y. Any process may run it when the lease is free and the goal is not reached; each has a number of
its own, which no gate takes after a higher one. From every state that a crash leaves, the next one reaches an end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any

from syncline.ending import end
from syncline.errors import SupersededError
from syncline.split.switching.gate import GateBusyError, GateRow, Mode, Verb
from syncline.split.switching.move import Move, State, Step
from syncline.split.switching.ports import SideGate

PAUSE = timedelta(milliseconds=800)
_PATIENCE = timedelta(milliseconds=200)
"""How long one request for a gate's lock waits: while it does, new writers are refused."""
_BREATH_SECONDS = 0.05
"""Between two requests, so that writers get through where one of them takes long."""
_LONGEST_BREATH_SECONDS = 1.0
"""After the decision nobody is refused: who holds what is asked for, is let through for longer and longer."""
_POLL_SECONDS = 0.004
_END_SECONDS = 2.0


class PauseOverError(Exception):
    """It takes longer than writers may be paused, or longer than it is waited for where they are not."""


class Coordinator:
    """One run with one number."""

    def __init__(
        self,
        move: Move,
        number: int,
        state: State,
        *,
        until: float,
        pause: timedelta = PAUSE,
        told: Callable[[Step], None] | None = None,
        waits: Callable[[str], None] | None = None,
    ) -> None:
        self.paused_seconds = 0.0
        self.closes = False
        """A side may be closed by now."""
        self.opens = False
        """The goal may serve: where there is no answer, nobody knows."""
        self.decided = False
        """The goal serves: there is no way back but another switch."""
        self._move = move
        self._number = number
        self._goal = state.journal.goal
        self._other = move.other(self._goal)
        self._other_has_it = state.gates[self._other].opened > state.gates[self._goal].opened
        self._until = until
        self._pause = pause.total_seconds()
        self._told = told or (lambda _: None)
        self._waits = waits or (lambda _: None)
        self._closed_at: float | None = None
        self._renewed_at = time.monotonic()

    @property
    def may_turn_back(self) -> bool:
        """Tell whether the other side can serve again as if nothing had been: it has the truth, nothing is decided."""
        return self._other_has_it and not self.decided

    async def run(self) -> None:
        """Go through the steps.

        Raises:
            PauseOverError: before the decision, the other side is to serve again, by a coordinator of another number;
                after it, the way back is still to be made.
            SupersededError: somebody else is in charge.
            SwitchError: the link is not ready, or what it brought is not what was written.
            NamedDatabaseUnavailableError: a side is away; what became of the last step is not known.

        """
        goal, other = self._move.gates[self._goal], self._move.gates[self._other]
        mine = await self._change(goal, Step.NUMBER, Verb.NUMBER)
        self.decided = mine.mode is Mode.APPLICATION
        if not self.decided:
            if (await other.read()).mode is Mode.APPLICATION:
                await self._meanwhile(self._move.link.ready(self._other, self._goal, self._number))
            await self._move.link.learn()
            await self._renew()  # the next coordinator, if there is one, has not noted its number on the other side yet
            self._closed_at, self.closes = time.monotonic(), True
            theirs = await self._change(other, Step.CLOSE, Verb.CLOSE)
            if theirs.opened > mine.opened:  # otherwise this side has the truth itself: an abort
                await self._had(partial(self._move.link.close_up, hurried=True), self._goal)
                if mine.mode is Mode.LINK:  # it stays so under this number, and nobody of the link is waited for
                    self._told(Step.LINK)
                else:
                    await self._change(goal, Step.LINK, Verb.LINK)
                await self._bring()
                await self._had(self._move.link.open_up, self._goal)
            await self._announce()
            self.opens = True
            await self._change(goal, Step.OPEN, Verb.OPEN)
            self.paused_seconds = time.monotonic() - self._closed_at
        self.decided = True
        await self._had(self._move.link.close_up, self._other)
        await self._change(other, Step.REVERSE, Verb.LINK)
        self._told(Step.PHASE)
        paused = None if self._closed_at is None else round(self.paused_seconds * 1000)
        await self._move.journal.reached(self._number, self._goal, paused)

    async def _bring(self) -> None:
        """Wait until everything that was written on the other side is here; look at the queue only now."""
        self._told(Step.DRAIN)
        link = self._move.link
        until = (self._closed_at or time.monotonic()) + self._pause
        try:
            async with asyncio.timeout(until - time.monotonic()):
                while not await link.drained(self._other):
                    if time.monotonic() >= until:  # a cancellation may be lost on its way
                        raise TimeoutError
                    await self._keep()
                    await asyncio.sleep(_POLL_SECONDS)
                await link.verify_tail(self._other, self._goal)
                await link.raise_sequences(self._other, self._goal, self._number)
        except TimeoutError:
            raise PauseOverError("the link was not through") from None
        await self._keep()

    async def _announce(self) -> None:
        """Have everybody read the goal: all is there by now, and nobody writes there yet."""
        if (readers := self._move.readers) is None:
            return
        self._told(Step.ANNOUNCE)
        await readers.announce(self._goal, self._number)
        began = self._closed_at or time.monotonic()
        while behind := await readers.behind():
            await self._tried(began, f"these may still read {self._other}: {', '.join(behind)}")
            await asyncio.sleep(_POLL_SECONDS)
        await self._keep()

    async def _had(self, act: Callable[[str, int], Awaitable[None]], side: str) -> None:
        """Have the link do something with a side's tables; ask again where others hold their locks."""
        breath, began = _BREATH_SECONDS, time.monotonic() if self._closed_at is None else self._closed_at
        while True:
            try:
                return await act(side, self._number)
            except GateBusyError as error:
                who = f"{side}: others hold locks of its tables: {error}"
            await self._tried(began, who)
            await asyncio.sleep(breath)
            if self.decided:
                breath = min(2 * breath, _LONGEST_BREATH_SECONDS)

    async def _change(self, gate: SideGate, step: Step, verb: Verb) -> GateRow:
        """Change a gate; ask again where writers are in the way, and let others through in between.

        The pause is a limit only where the other side can serve again: else nobody would.
        """
        self._told(step)
        began = time.monotonic() if self._closed_at is None else self._closed_at
        while True:
            left = self._pause - (time.monotonic() - began)
            try:
                return await gate.change(self._number, verb, min(_PATIENCE, timedelta(seconds=max(left, 0.02))))
            except GateBusyError:
                await self._tried(began, await self._in_the_way(gate))
            await gate.end_links()
            await asyncio.sleep(_BREATH_SECONDS)

    async def _tried(self, began: float, who: str) -> None:
        """Keep the lease after a try that others were in the way of; say who, where that may take long.

        Raises:
            PauseOverError: it has been tried for as long as it may be.

        """
        await self._keep()
        if self.may_turn_back:
            if time.monotonic() - began >= self._pause:
                raise PauseOverError(who)
            return
        self._waits(who)
        if time.monotonic() >= self._until:
            raise PauseOverError(who)

    async def _meanwhile(self, work: Coroutine[Any, Any, None]) -> None:
        """Keep the lease while something is done that may take longer than it."""
        running = asyncio.create_task(work)
        try:
            while not (await asyncio.wait({running}, timeout=self._move.journal.lease.total_seconds() / 4))[0]:
                await self._keep()
            await running
        finally:
            await end(running, seconds=_END_SECONDS)
            if running.done() and not running.cancelled():
                running.exception()  # where the lease is gone, nobody asks for it

    async def _in_the_way(self, gate: SideGate) -> str:
        writers = await gate.writers()
        return f"{gate.side}: writers had not ended: {'; '.join(writers) or 'they have by now'}"

    async def _keep(self) -> None:
        """Keep the lease.

        Raises:
            SupersededError: it is gone, or another side is wanted.

        """
        if time.monotonic() - self._renewed_at >= self._move.journal.lease.total_seconds() / 4:
            await self._renew()

    async def _renew(self) -> None:
        if not await self._move.journal.renew(self._number, self._goal):
            raise SupersededError(f"coordinator {self._number} has lost its lease, or another side is wanted")
        self._renewed_at = time.monotonic()
