"""Several commands at once: with hundreds of collections their round trips would add up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

LIMIT = 8
"""Commands on their way at the same time."""


async def concurrently(act: Callable[[T], Awaitable[R]], items: Iterable[T], *, limit: int = LIMIT) -> list[R]:
    """Act on each item, a few at a time; the results come in the items' order.

    The first error ends it: what has not begun is not begun, what is under way is cancelled.
    """
    numbered = list(enumerate(items))
    waiting = iter(numbered)
    results: dict[int, R] = {}

    async def run() -> None:
        for place, item in waiting:
            results[place] = await act(item)

    tasks: list[asyncio.Future[Any]] = [asyncio.ensure_future(run()) for _ in range(min(limit, len(numbered)))]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
    return [results[place] for place, _ in numbered]
