"""How a move stands: its phase in one word, which side serves, both links, what is proved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from syncline.errors import NotMovingError, SynclineError
from syncline.postgres.sql import blocks
from syncline.split.moving.evidence import against
from syncline.split.moving.guarded import Guarded, read_guarded
from syncline.split.moving.link import MoveLink, Proof, Standing
from syncline.split.moving.move import Moving, opened_move
from syncline.split.moving.noting import tested
from syncline.split.moving.probes import Probe
from syncline.split.moving.state import Phase
from syncline.split.moving.tables import PACKAGE
from syncline.split.rehearsing.records import Rehearsed
from syncline.split.switching.gate import Gate, GateRow, Mode
from syncline.split.switching.move import TableMove

SWITCHING, SWITCHED, BACK = "switching", "switched", "back"


@dataclass(frozen=True, slots=True)
class Stand:
    """What was seen."""

    word: str
    """The phase; of a move that is followed also ``switching``, ``switched`` and ``back``."""
    serving: str | None
    """The side that accepts writes; ``None``: neither does at the moment."""
    modes: Mapping[str, str]
    opened_at: datetime | None
    """When the new side was opened."""
    links: Mapping[str, Standing]
    """By the side whose writes they carry."""
    proofs: tuple[Proof, ...]
    """Of the link that runs."""
    against: tuple[str, ...]
    """What speaks against a change of sides now."""
    guarded: Guarded | None
    """What the boundary guards of the application have reported."""
    tests: tuple[Probe, ...]
    """Of the way back."""
    rehearsed: Rehearsed | None
    """The newest rehearsal."""
    changes: tuple[Mapping[str, Any], ...]
    """The last changes of sides, the newest first; ``paused_ms``: how long nobody could write, where that is known."""


async def stand(one: Moving) -> Stand:
    """Look at both sides.

    Raises:
        SynclineError: one cannot be reached.

    """
    async with opened_move(one) as (move, link):
        gates = {side: await gate_of(gate) for side, gate in move.gates.items()}
        serving = next((side for side, row in gates.items() if row and row.mode is Mode.APPLICATION), None)
        word = await _word(one, move, gates)
        links = {side: found for side in one.ends.names if (found := await _standing(link, side))}
        running = serving if serving in links else one.ends.home
        proofs = await link.proofs(running) if running in links else []
        tests, rehearsed = await asyncio.to_thread(tested, one.ends)
        guarded = await read_guarded(move.gates[one.ends.home])
        speaks = (
            await against(one, link, guarded)
            if word in (Phase.FOLLOWING, BACK)
            else await link.unfollowed(serving or one.ends.home)
        )
        opened = await opened_at(move.gates[one.ends.database])
        modes = {side: row.mode.name.lower() for side, row in gates.items() if row}
        seen = (word, serving, modes, opened and opened[0], links, tuple(proofs), tuple(speaks), guarded)
        return Stand(*seen, tuple(tests), rehearsed, tuple(await _changes(move)))


async def gate_of(gate: Gate) -> GateRow | None:
    """Read a gate; ``None``: there is none."""
    try:
        return await gate.read()
    except NotMovingError:
        return None


async def opened_at(gate: Gate) -> tuple[datetime, float] | None:
    """Say when a side was opened to applications, and how many seconds ago; ``None``: it never was."""
    try:
        rows: list[Any] = await gate.session.rows(blocks("moving.sql", PACKAGE)["opened"], {"name": gate.move})
    except NotMovingError:
        return None
    return (rows[0][0], float(rows[0][1])) if rows else None


async def _word(one: Moving, move: TableMove, gates: Mapping[str, GateRow | None]) -> str:
    if one.state.phase is not Phase.FOLLOWING or None in gates.values():
        return str(one.state.phase)
    state = await move.look()
    if not state.settled(state.journal.goal):
        return SWITCHING
    if state.journal.goal == one.ends.database:
        return SWITCHED
    return BACK if state.gates[one.ends.database].opened > 0 else str(Phase.FOLLOWING)


async def _changes(move: TableMove) -> list[dict[str, Any]]:
    try:
        return await move.journal.changes()
    except NotMovingError:
        return []


async def _standing(link: MoveLink, side: str) -> Standing | None:
    try:
        return await link.standing(side)
    except SynclineError:
        return None
