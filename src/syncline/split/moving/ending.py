"""The ends of a move: given up before the new side serves, or finished after it has served for long enough."""

from __future__ import annotations

import asyncio

from syncline.errors import SwitchError
from syncline.split.moving import capture
from syncline.split.moving.charge import end, serves, went_on
from syncline.split.moving.dropping import drop_records, drop_tables
from syncline.split.moving.move import Moving, close_copy, opened_move, take_gate
from syncline.split.moving.noting import end_early, forget, see_unchanged
from syncline.split.moving.standing import gate_of, opened_at
from syncline.split.moving.state import Phase
from syncline.split.switching.move import State, TableMove

DAYS = 14
"""So long the new side has served before its way back is ended."""
_SECONDS = 86_400


async def abort(one: Moving, *, drop: bool) -> None:
    """Give a move up: its links, capture and gates go. The copy stays, read-only, or is dropped.

    Raises:
        SwitchError: the new side serves, a switch is under way, or the move is finished.

    """
    one.required(Phase.SCHEMA, Phase.COPYING, Phase.FOLLOWING, Phase.ABORTED)
    home, goal = one.ends.names
    await asyncio.to_thread(see_unchanged, one)
    if one.state.phase is Phase.FOLLOWING:
        await end(one, home, Phase.ABORTED, see=_home_serves)
    else:
        await _see_gates(one, home)
        if one.state.phase is not Phase.ABORTED:
            await close_copy(one)
            if not await asyncio.to_thread(end_early, one, Phase.ABORTED):
                raise went_on(one)
    await _take_down(one, home)
    if drop:
        await asyncio.to_thread(drop_tables, one, goal)
        await take_gate(one, goal)
        await asyncio.to_thread(forget, one.ends)


async def against_finishing(one: Moving) -> list[str]:
    """Say what speaks against ending the way back.

    Raises:
        SwitchError: the new side does not serve.

    """
    async with opened_move(one) as (move, _):
        return await _against(one, move, await move.look())


async def finish(one: Moving, *, drop: bool, forced: bool) -> None:
    """End the way back: links, capture and the new side's gate go. The old tables stay, read-only, or are dropped.

    Args:
        one: the move.
        drop: drop the old tables, too.
        forced: what speaks against it was seen, and does not count.

    Raises:
        SwitchError: the new side does not serve, or not for long enough.

    """
    one.required(Phase.FOLLOWING, Phase.FINISHED)
    home, goal = one.ends.names
    await asyncio.to_thread(see_unchanged, one)

    async def see(move: TableMove, state: State) -> None:
        if (found := await _against(one, move, state)) and not forced:
            raise SwitchError(f"the end of the move of {goal} is held back: {'; '.join(found)}")

    if one.state.phase is Phase.FOLLOWING:
        await end(one, goal, Phase.FINISHED, see=see)
    else:
        await _see_gates(one, goal)
    await _take_down(one, goal)
    if drop:
        await asyncio.to_thread(drop_tables, one, home)
        await take_gate(one, home)
        await asyncio.to_thread(forget, one.ends)


async def _take_down(one: Moving, serving: str) -> None:
    """Take links, capture and the gate of the side that serves away."""
    for way in (one.ways.there, one.ways.back):
        await capture.remove(way)
    await take_gate(one, serving)
    await asyncio.to_thread(drop_records, one)


async def _home_serves(move: TableMove, state: State) -> None:
    goal = move.name
    if state.journal.goal == goal or not state.settled(move.other(goal)):
        raise _not_home(move.other(goal), goal)


async def _against(one: Moving, move: TableMove, state: State) -> list[str]:
    home, goal = one.ends.names
    if state.journal.goal != goal or not state.settled(goal):
        raise SwitchError(f"{goal} does not serve its tables yet", hint=f"`syncline split switch {goal}` comes before")
    found = await opened_at(move.gates[goal])
    days = (found[1] if found else 0.0) / _SECONDS
    if days >= DAYS:
        return []
    return [f"{goal} has served for {days:.1f} days, and {DAYS} are asked; {home} is the way back"]


async def _see_gates(one: Moving, serving: str) -> None:
    """See that the gates which are there say of a move without a journal that a side serves."""
    home, goal = one.ends.names
    async with opened_move(one) as (move, _):
        gates = {side: await gate_of(gate) for side, gate in move.gates.items()}
    if not serves(gates, serving):
        if serving == home:
            raise _not_home(home, goal)
        raise SwitchError(f"{goal} does not serve its tables", hint=f"`syncline split status {goal}` says more")


def _not_home(home: str, goal: str) -> SwitchError:
    return SwitchError(
        f"{home} does not serve the tables of {goal}: they were switched, or a switch is under way",
        hint=f"`syncline split back {goal}` brings every write home first",
    )
