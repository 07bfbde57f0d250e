"""A command of an operator that dawdles: `python -m tests.chaos.operate verify -c …`.

Between what it asks of the target it sleeps now and then, so that the world has time to change between its looks.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.target.inspection import SqlInspection
from tests.chaos.sabotage import SABOTEURS

STEPS = ("lane_epochs", "read_encoded", "confirmed", "release")
SELDOM = 0.15
LONGEST = 0.6


def dawdle() -> None:
    """Put a pause before and after each step, by the dice."""
    dice = random.Random()
    for inspection in (MongoInspection, SqlInspection):
        for step in STEPS:
            if method := getattr(inspection, step, None):
                setattr(inspection, step, slowed(method, dice))


def slowed(
    method: Callable[..., Awaitable[Any]], dice: random.Random, *, seldom: float = SELDOM, longest: float = LONGEST
) -> Callable[..., Awaitable[Any]]:
    """Have a method wait now and then, before and after what it does."""

    async def pause() -> None:
        if dice.random() < seldom:
            await asyncio.sleep(dice.uniform(0, longest))

    @functools.wraps(method)
    async def slow(*args: Any, **options: Any) -> Any:
        await pause()
        result = await method(*args, **options)
        await pause()
        return result

    return slow


def main() -> None:
    """Be the command."""
    from syncline.cli.main import main as command

    if saboteur := os.environ.get("SYNCLINE_CHAOS_SABOTAGE"):
        SABOTEURS[saboteur]()
    dawdle()
    command()


if __name__ == "__main__":
    main()
