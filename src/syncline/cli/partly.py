"""What ``install`` and ``uninstall`` say when others hold the locks of some tables."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from syncline.cli.common import say

if TYPE_CHECKING:
    from syncline.capture.postgres.carry_out import Waiting

PARTLY = 4
"""Exit status: some tables wait for locks that others hold; the next call goes on from here."""


async def partly(work: Coroutine[Any, Any, object]) -> Sequence[Waiting]:
    """Do it; give the tables that still wait."""
    from syncline.errors import PartlyDoneError

    try:
        await work
    except PartlyDoneError as error:
        return error.waiting
    return ()


def say_partly(done: str, waiting: Sequence[Waiting], command: str) -> None:
    """Say which tables wait for whom, and how to go on."""
    say(f"partly {done}; others hold the locks of:", "yellow")
    for one in waiting:
        for_ = f" (not armed: {', '.join(one.entities)})" if one.entities else ""
        say(f"  {one}{for_}", "yellow")
    say(f"what was done stays; when they have finished, `{command}` goes on from here", "yellow")
