"""Questions to PostgreSQL that hold nobody up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from syncline.errors import TargetError

T = TypeVar("T")
_ASK_SECONDS = 2.0


async def answered(question: Coroutine[Any, Any, T]) -> T | None:
    """Wait for an answer, but not long. None: there is none in time."""
    asked = asyncio.ensure_future(question)
    done, _ = await asyncio.wait({asked}, timeout=_ASK_SECONDS)
    if not done:
        asked.add_done_callback(lambda one: one.cancelled() or one.exception())
        return None
    try:
        return asked.result()
    except TargetError:
        return None
