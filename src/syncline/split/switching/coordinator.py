"""The coordinator: takes the writes of a move from one side to the other, and finishes what another one began.

Goal X, other side Y. Any process may run it when the lease is free and the goal is not reached; each has a number of
its own, which no gate takes after a higher one. From every state that a crash leaves, the next one reaches an end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from syncline.errors import NamedDatabaseUnavailableError, SupersededError, SwitchAbortedError, SwitchError
from syncline.split.switching.gate import Gate, GateBusyError, GateRow, Mode, Verb
from syncline.split.switching.move import Move, State, Step

PAUSE = timedelta(milliseconds=800)
_PATIENCE = timedelta(milliseconds=200)
"""How long one request for a gate's lock waits: while it does, new writers are refused."""
_BREATH_SECONDS = 0.05
"""Between two requests, so that writers get through where one of them takes long."""
_POLL_SECONDS = 0.004


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a switch has come to."""

    serving: str
    number: int
    """The coordinator's; 0: nothing was left to do."""
    paused_seconds: float
    """From the first writer that may have been refused to the opening."""


class PauseOverError(Exception):
    """Writers have been paused for as long as they may be."""


class Coordinator:
    """One run with one number."""

    def __init__(
        self,
        move: Move,
        number: int,
        state: State,
        *,
        pause: timedelta = PAUSE,
        told: Callable[[Step], None] | None = None,
    ) -> None:
        self.paused_seconds = 0.0
        self._move = move
        self._number = number
        self._goal = state.journal.goal
        self._other = move.other(self._goal)
        self._may_turn_back = state.gates[self._other].opened > state.gates[self._goal].opened
        self._pause = pause.total_seconds()
        self._told = told or (lambda _: None)
        self._closed_at: float | None = None
        self._renewed_at = time.monotonic()

    async def run(self) -> None:
        """Go through the steps.

        Raises:
            PauseOverError: before the decision; the other side is to serve again, by a coordinator of another number.
            SupersededError: somebody else is in charge.
            SwitchError: the link is not ready, or what it brought is not what was written.
            NamedDatabaseUnavailableError: a side is away; what became of the last step is not known.

        """
        goal, other = self._move.gates[self._goal], self._move.gates[self._other]
        mine = await self._change(goal, Step.NUMBER, Verb.NUMBER)
        if mine.mode is not Mode.APPLICATION:
            if (await other.read()).mode is Mode.APPLICATION:
                await self._move.link.ready(self._other, self._goal)
            self._closed_at = time.monotonic()
            theirs = await self._change(other, Step.CLOSE, Verb.CLOSE)
            if theirs.opened > mine.opened:  # otherwise this side has the truth itself: an abort
                await self._had(self._move.link.close_up, self._goal)
                await self._change(goal, Step.LINK, Verb.LINK)
                await self._bring()
                await self._had(self._move.link.open_up, self._goal)
            await self._change(goal, Step.OPEN, Verb.OPEN)
            self.paused_seconds = time.monotonic() - self._closed_at
        self._may_turn_back = False
        await self._had(self._move.link.close_up, self._other)
        await self._change(other, Step.REVERSE, Verb.LINK)
        self._told(Step.PHASE)
        await self._move.journal.reached(self._number, self._goal)

    async def _bring(self) -> None:
        """Wait until everything that was written on the other side is here; look at the queue only now."""
        self._told(Step.DRAIN)
        link, began = self._move.link, self._closed_at or time.monotonic()
        try:
            async with asyncio.timeout(began + self._pause - time.monotonic()):
                while not await link.drained(self._other):
                    await self._keep()
                    await asyncio.sleep(_POLL_SECONDS)
                await link.verify_tail(self._other, self._goal)
                await link.raise_sequences(self._other, self._goal, self._number)
        except TimeoutError:
            raise PauseOverError("the link was not through") from None
        await self._keep()

    async def _had(self, act: Callable[[str], Awaitable[None]], side: str) -> None:
        """Have the link do something with a side's tables; ask again where others hold their locks."""
        while True:
            try:
                return await act(side)
            except GateBusyError:
                await self._keep()
            if self._closed_at is not None and time.monotonic() - self._closed_at > self._pause and self._may_turn_back:
                raise PauseOverError(f"{side}: others hold locks of its tables")
            await asyncio.sleep(_BREATH_SECONDS)

    async def _change(self, gate: Gate, step: Step, verb: Verb) -> GateRow:
        """Change a gate; ask again where writers are in the way, and let others through in between.

        There is a limit only where the other side can serve again: else nobody would.
        """
        self._told(step)
        began = time.monotonic() if self._closed_at is None else self._closed_at
        while True:
            left = self._pause - (time.monotonic() - began)
            try:
                return await gate.change(self._number, verb, min(_PATIENCE, timedelta(seconds=max(left, 0.02))))
            except GateBusyError:
                await self._keep()
            if left <= 0 and self._may_turn_back:
                raise PauseOverError(await self._in_the_way(gate))
            await gate.end_links()
            await asyncio.sleep(_BREATH_SECONDS)

    async def _in_the_way(self, gate: Gate) -> str:
        writers = await gate.writers()
        return f"{gate.side}: writers had not ended: {'; '.join(writers) or 'they have by now'}"

    async def _keep(self) -> None:
        """Keep the lease.

        Raises:
            SupersededError: it is gone, or another side is wanted.

        """
        if time.monotonic() - self._renewed_at < self._move.journal.lease.total_seconds() / 4:
            return
        if not await self._move.journal.renew(self._number, self._goal):
            raise SupersededError(f"coordinator {self._number} has lost its lease, or another side is wanted")
        self._renewed_at = time.monotonic()


async def switch(
    move: Move,
    goal: str,
    *,
    pause: timedelta = PAUSE,
    give_up: timedelta = timedelta(seconds=60),
    told: Callable[[Step], None] | None = None,
) -> Outcome:
    """Have a side accept the writes; the way back is the same with the other side's name.

    Args:
        move: the move.
        goal: the side that shall accept writes.
        pause: how long writers may be refused; then the side that served serves again.
        give_up: how long to try where another coordinator or a database that is away is in the way.
        told: called before each step.

    Raises:
        SwitchAbortedError: the pause was over, and the other side serves as before.
        SwitchError: the link is not ready, or another coordinator is in charge.
        NamedDatabaseUnavailableError: a side is away; running workers, or the next switch, finish it.

    """
    if goal not in move.gates:
        raise SwitchError(f"{goal} is no side of the move {move.name!r}", hint=f"its sides: {', '.join(move.gates)}")
    (await move.look()).see_that_none_was_set_back(goal)
    await move.journal.want(goal)
    outcome = await finish(move, pause=pause, give_up=give_up, told=told)
    if outcome.serving != goal:
        raise SwitchAbortedError(f"another coordinator has turned back, and {outcome.serving} serves")
    return outcome


async def finish(
    move: Move,
    *,
    pause: timedelta = PAUSE,
    give_up: timedelta = timedelta(seconds=60),
    told: Callable[[Step], None] | None = None,
) -> Outcome:
    """Bring the move to the side that its journal names; see ``switch``."""
    until = time.monotonic() + give_up.total_seconds()
    failure: Exception | None = None
    outcome = Outcome("", 0, 0.0)
    while True:
        try:
            state = await move.look()
            goal = state.journal.goal
            state.see_that_none_was_set_back(goal)
            if state.settled(goal):
                if failure is not None:
                    raise _aborted(goal, failure) from failure
                return Outcome(goal, outcome.number, outcome.paused_seconds)
            number = await move.journal.acquire(goal, above=state.highest)
            if number is not None:
                coordinator = Coordinator(move, number, state, pause=pause, told=told)
                failure = await _attempt(move, coordinator, number, goal) or failure
                outcome = Outcome(goal, number, coordinator.paused_seconds)
                continue
        except (SupersededError, NamedDatabaseUnavailableError) as error:
            if time.monotonic() >= until:
                raise
            last: Exception = error
        else:
            last = SwitchError(f"another coordinator is at work on the move {move.name!r}", hint="wait, or look again")
            if time.monotonic() >= until:
                raise last
        await asyncio.sleep(move.journal.lease.total_seconds() / 10)


async def _attempt(move: Move, coordinator: Coordinator, number: int, goal: str) -> Exception | None:
    """Run once; return why the other side is wanted again, if it is."""
    turned = False
    try:
        await coordinator.run()
    except (PauseOverError, SwitchError) as error:
        if isinstance(error, SupersededError):
            raise
        turned = await move.journal.turn_back(number, move.other(goal))
        return error if turned else None
    finally:
        if not turned:
            await move.journal.release(number)
    return None


def _aborted(serving: str, failure: Exception) -> SwitchError:
    if isinstance(failure, SwitchError):
        return failure
    return SwitchAbortedError(
        f"the switch took longer than writers may be paused, and {serving} serves as before: {failure}",
        hint="try again when fewer or shorter transactions write these tables, or allow a longer --pause",
    )
