"""A running worker takes over from a coordinator that died: a switch begun is brought to an end by whoever is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from syncline.errors import SynclineError
from syncline.split.switching.coordinator import PAUSE, Outcome, finish
from syncline.split.switching.move import Move


async def watch(
    move: Move,
    *,
    pause: timedelta = PAUSE,
    told: Callable[[Outcome | SynclineError], None] | None = None,
) -> None:
    """Look again and again whether a switch was left half-way; finish it when the lease is free. Ends when cancelled.

    Args:
        move: the move.
        pause: how long writers may be refused from then on; then the side that served serves again.
        told: called with what a takeover came to.

    """
    tell = told or (lambda _: None)
    every = move.journal.lease.total_seconds() / 3
    while True:
        await asyncio.sleep(every)
        try:
            state = await move.look()
            if not state.settled(state.journal.goal) and not state.journal.leased:
                tell(await finish(move, pause=pause, give_up=move.journal.lease))
        except SynclineError as error:  # a database that is away, or another one is at it: looked at again
            tell(error)
