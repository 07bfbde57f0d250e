"""A running worker takes over from a coordinator that died: a switch begun is brought to an end by whoever is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

from syncline.errors import NotMovingError
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import Outcome, finish
from syncline.split.switching.move import Move


async def watch(
    move: Move,
    *,
    pause: timedelta = PAUSE,
    told: Callable[[Outcome | Exception], None] | None = None,
) -> None:
    """Look again and again whether a switch was left half-way; finish it when the lease is free.

    It ends when it is cancelled, and when there is no such move any more.

    Args:
        move: the move.
        pause: how long writers may be refused from then on; then the side that served serves again.
        told: called with what a takeover came to; what is the same as the last time is not told again.

    """
    tell = told or (lambda _: None)
    every, last = move.journal.lease.total_seconds() / 3, ""
    while True:
        await asyncio.sleep(every)
        try:
            state = await move.look()
            if state.settled(state.journal.goal):
                last = ""
                continue
            if state.journal.leased:
                continue
            found: Outcome | Exception = await finish(move, pause=pause, give_up=move.journal.lease)
        except NotMovingError:
            return
        except Exception as error:  # noqa: BLE001  told; whatever it was, the next look may find it gone
            found = error
        said = (found.pending or "") if isinstance(found, Outcome) else str(found)
        if not said or said != last:
            tell(found)
        last = said
