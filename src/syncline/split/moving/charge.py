"""Ending a move as its last coordinator: nobody changes its sides any more, whoever wanted that before."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from syncline.errors import SupersededError, SwitchError
from syncline.postgres.sql import blocks
from syncline.split.moving.move import Moving, opened_move
from syncline.split.moving.state import Phase
from syncline.split.moving.tables import PACKAGE
from syncline.split.switching.gate import Gate, GateBusyError, GateRow, Mode, Verb
from syncline.split.switching.move import State, TableMove

_GIVE_UP_SECONDS = 30.0
"""So long another coordinator, or writers that do not end, are waited for."""
_PATIENCE = timedelta(milliseconds=200)
_BREATH_SECONDS = 0.2


async def end(one: Moving, serving: str, phase: Phase, *, see: Callable[[TableMove, State], Awaitable[None]]) -> None:
    """Note that a move is over, under the lease and with a number of its own on both gates; its journal goes with that.

    Args:
        one: the move, whose gates stand.
        serving: the side that serves, and is to keep the tables.
        phase: what it has come to.
        see: raises where it may not be ended; asked before, and under the lease.

    Raises:
        SwitchError: another coordinator is at work, writers do not end, or the move went on meanwhile.

    """
    async with opened_move(one) as (move, _):
        await see(move, await move.look())
        number = await _number(move, serving)
        try:
            for gate in move.gates.values():
                await _take(move, gate, number, serving)
            await see(move, await move.look())
            if not await _ended(one, move, number, serving, phase):
                raise went_on(one)
        finally:
            await move.journal.release(number)


def went_on(one: Moving) -> SwitchError:
    """Say that somebody else did something."""
    return SwitchError(
        f"the move of {one.ends.database} went on meanwhile; nothing was ended",
        hint=f"`syncline split status {one.ends.database}` says where it is now",
    )


def serves(gates: Mapping[str, GateRow | None], side: str) -> bool:
    """Tell whether nothing speaks against a side serving: gates may be gone, as of a move that is over."""
    wanted = {name: Mode.APPLICATION if name == side else Mode.LINK for name in gates}
    return all(gate is None or gate.mode is wanted[name] for name, gate in gates.items())


async def _number(move: TableMove, serving: str) -> int:
    until = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        state = await move.look()
        if state.journal.goal != serving:
            raise SwitchError(
                f"{serving} shall not serve any longer: a switch to {state.journal.goal} is under way",
                hint="wait for its end, or turn it back with `syncline split back` (or `switch`)",
            )
        if (number := await move.journal.acquire(serving, above=state.highest)) is not None:
            return number
        if time.monotonic() >= until:
            raise SwitchError(f"another coordinator is at work on the move {move.name!r}", hint="wait for its end")
        await asyncio.sleep(_BREATH_SECONDS)


async def _take(move: TableMove, gate: Gate, number: int, serving: str) -> None:
    """Have no coordinator of a lower number change a gate from now on; keep the lease while writers are waited for."""
    until = time.monotonic() + _GIVE_UP_SECONDS
    while True:
        if not await move.journal.renew(number, serving):
            raise SupersededError(
                f"another coordinator is at work on the move {move.name!r}; nothing was ended", hint="wait for its end"
            )
        try:
            await gate.change(number, Verb.NUMBER, _PATIENCE)
        except GateBusyError:
            if time.monotonic() >= until:
                writers = "; ".join(await gate.writers())
                raise SwitchError(f"{gate.side}: writers do not end: {writers}", hint="run it again later") from None
        else:
            return
        await asyncio.sleep(_BREATH_SECONDS)


async def _ended(one: Moving, move: TableMove, number: int, serving: str, phase: Phase) -> bool:
    given = {"name": move.name, "number": number, "goal": serving, "phase": phase}
    given |= {"was": one.state.phase, "begun_at": one.state.begun_at}
    statement = blocks("moving.sql", PACKAGE)["end_in_charge"]
    return bool(await move.gates[one.ends.home].session.rows(statement, given))
