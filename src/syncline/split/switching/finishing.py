"""A switch from its beginning to its end: coordinators one after the other, until a side serves or the time is over."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta

from syncline.errors import (
    NamedDatabaseUnavailableError,
    SupersededError,
    SwitchAbortedError,
    SwitchError,
    SwitchStuckError,
    SynclineError,
)
from syncline.split.switching.coordinator import PAUSE, Coordinator, PauseOverError
from syncline.split.switching.move import Move, State, Step

GIVE_UP = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a switch has come to."""

    serving: str
    number: int
    """The coordinator's; 0: nothing was left to do."""
    paused_seconds: float
    """From the first writer that may have been refused to the opening."""
    pending: str | None = None
    """Why the other side is not the link's yet: until it is, what is written waits for its way back."""


_AGAIN = (SupersededError, NamedDatabaseUnavailableError, SwitchStuckError)


async def switch(
    move: Move,
    goal: str,
    *,
    pause: timedelta = PAUSE,
    give_up: timedelta = GIVE_UP,
    told: Callable[[Step], None] | None = None,
    waits: Callable[[str], None] | None = None,
) -> Outcome:
    """Have a side accept the writes; the way back is the same with the other side's name.

    Args:
        move: the move.
        goal: the side that shall accept writes.
        pause: how long writers may be refused; then the side that served serves again.
        give_up: how long to try where another coordinator, a database that is away, or after the decision a lock of a
            table is in the way.
        told: called before each step.
        waits: told who is in the way of what nobody is paused for.

    Raises:
        SwitchAbortedError: the pause was over, and the other side serves as before.
        SwitchError: the link is not ready, or another coordinator is in charge; it is not done later, unless the hint
            says so.
        NamedDatabaseUnavailableError: a side is away; likewise.

    """
    if goal not in move.gates:
        raise SwitchError(f"{goal} is no side of the move {move.name!r}", hint=f"its sides: {', '.join(move.gates)}")
    before = await move.look()
    before.see_that_none_was_set_back(goal)
    finishing = Finishing(move, pause=pause, give_up=give_up, told=told, waits=waits)
    finishing.unclosed = await move.journal.want(goal)
    try:
        outcome = await finishing.run()
    except SynclineError as error:
        if finishing.given_up and not await _withdrawn(move, goal, before, finishing):
            error.hint = _wanted(finishing.wanted or goal, move)
        raise
    if outcome.serving != goal:
        raise SwitchAbortedError(f"another coordinator has turned back, and {outcome.serving} serves")
    return outcome


async def finish(
    move: Move,
    *,
    pause: timedelta = PAUSE,
    give_up: timedelta = GIVE_UP,
    told: Callable[[Step], None] | None = None,
) -> Outcome:
    """Bring the move to the side that its journal names; see ``switch``."""
    return await Finishing(move, pause=pause, give_up=give_up, told=told).run()


class Finishing:
    """Draws numbers until a side serves."""

    def __init__(
        self,
        move: Move,
        *,
        pause: timedelta,
        give_up: timedelta,
        told: Callable[[Step], None] | None = None,
        waits: Callable[[str], None] | None = None,
    ) -> None:
        self.given_up = False
        """The time was over."""
        self.unclosed: int | None = None
        """The last coordinator that is known: up to it nobody has closed a side for this goal."""
        self.wanted = ""
        """The side that was wanted last."""
        self._move = move
        self._pause = pause
        self._give_up = give_up.total_seconds()
        self._told = told
        self._waits = waits
        self._until = time.monotonic() + self._give_up
        self._failure: Exception | None = None
        self._decided: Outcome | None = None

    async def run(self) -> Outcome:
        """Try until a side serves, or the time is over; see ``switch``."""
        while True:
            try:
                state = await self._move.look()
                goal = state.journal.goal
                state.see_that_none_was_set_back(goal)
                if state.settled(goal):
                    return self._ended(replace(self._decided or Outcome(goal, 0, 0.0), pending=None))
                number = await self._move.journal.acquire(goal, above=state.highest)
                if number is not None:
                    outcome = await self._attempt(number, state)
                    if outcome is not None:
                        return self._ended(outcome)
                    continue  # turned back: that has its own time, and cannot turn again
                raise SupersededError(
                    f"another coordinator is at work on the move {self._move.name!r}", hint="wait, or look again"
                )
            except _AGAIN:
                if time.monotonic() >= self._until:
                    self.given_up = True
                    if self._decided is not None:
                        return self._ended(self._decided)
                    raise
            await asyncio.sleep(self._move.journal.lease.total_seconds() / 10)

    async def _attempt(self, number: int, state: State) -> Outcome | None:
        """Run a coordinator; ``None``: the other side is wanted again, because of what is noted."""
        goal, turned = state.journal.goal, False
        coordinator = Coordinator(
            self._move, number, state, until=self._until, pause=self._pause, told=self._told, waits=self._waits
        )
        try:
            await coordinator.run()
            return Outcome(goal, number, coordinator.paused_seconds)
        except SupersededError:
            raise
        except Exception as error:  # whatever it was: before the decision the side that served serves again
            if isinstance(error, NamedDatabaseUnavailableError) and (coordinator.opens or not coordinator.closes):
                raise  # nothing is closed yet, or it is not known whether the goal serves
            if coordinator.decided:
                return Outcome(goal, number, coordinator.paused_seconds, _text(error))
            if not coordinator.may_turn_back:
                raise SwitchStuckError(
                    f"the switch to {goal} is not at its end: {_text(error)}", hint=_STUCK.format(self._move.follower)
                ) from error
            turned = await self._move.journal.turn_back(number, self._move.other(goal))
            if not turned:
                raise SupersededError(f"coordinator {number} has lost its lease: {_text(error)}") from error
            self.wanted = self._move.other(goal)
            self._failure, self._until = self._failure or error, time.monotonic() + self._give_up
            return None
        finally:
            self._note(number, coordinator, goal)
            if not turned:
                await self._move.journal.release(number)

    def _note(self, number: int, coordinator: Coordinator, goal: str) -> None:
        if coordinator.closes:
            self.unclosed = None
        elif self.unclosed is not None:
            self.unclosed = number
        if coordinator.decided:
            self._decided = Outcome(goal, number, coordinator.paused_seconds, _AWAY)

    def _ended(self, outcome: Outcome) -> Outcome:
        if self._failure is not None:
            raise _aborted(outcome.serving, self._failure) from self._failure
        return outcome


_STUCK = "running workers (`{}`), and the next switch, try again"
_AWAY = "another coordinator is at work, or the other side is away"


def _wanted(goal: str, move: Move) -> str:
    return (
        f"{goal} is wanted on: a running worker (`{move.follower}`) will do it as soon as it can;"
        f" a switch to {move.other(goal)} takes that back"
    )


async def _withdrawn(move: Move, goal: str, before: State, finishing: Finishing) -> bool:
    """Take back that a side is wanted, where nobody has closed one for it; tell whether it was."""
    if finishing.unclosed is None or before.journal.goal == goal:
        return False
    try:
        return await move.journal.withdraw(goal, before.journal.goal, finishing.unclosed)
    except SynclineError:
        return False


def _aborted(serving: str, failure: Exception) -> SwitchError:
    if isinstance(failure, SwitchError):
        return failure
    if isinstance(failure, PauseOverError):
        return SwitchAbortedError(
            f"the switch took longer than writers may be paused, and {serving} serves as before: {failure}",
            hint="try again when fewer or shorter transactions write these tables, or allow a longer --pause",
        )
    hint = failure.hint if isinstance(failure, SynclineError) else None
    return SwitchError(f"the switch has failed, and {serving} serves as before: {_text(failure)}", hint=hint)


def _text(error: Exception) -> str:
    if isinstance(error, SynclineError):
        return error.message
    lines = str(error).strip().splitlines() or [""]
    return lines[0] if isinstance(error, PauseOverError) else f"{type(error).__name__}: {lines[0]}"
