"""Which line of the application has sent a statement."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from types import FrameType

_NOT_THE_APPLICATION = frozenset(
    {
        *("syncline", "sqlalchemy", "psycopg", "psycopg_pool", "django", "greenlet", "alembic"),
        *("asyncio", "contextlib", "threading", "concurrent", "functools", "anyio", "starlette", "fastapi", "uvicorn"),
    }
)


def caller() -> str | None:
    """Give file and line of the nearest frame that belongs to no library, ``None`` if there is none.

    SQLAlchemy's asyncio runs in a greenlet, whose stack ends in the library: then the coroutines of the current task
    are looked through.
    """
    for frame in (*_stack(), *_coroutines()):
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _NOT_THE_APPLICATION:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return None


def _stack() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe()  # noqa: SLF001  what the standard library's logging does
    while frame is not None:
        yield frame
        frame = frame.f_back


def _coroutines() -> list[FrameType]:
    """Give the frames of the running task, the innermost first."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return []
    waiting: object = task.get_coro() if task is not None else None
    frames = []
    while waiting is not None:
        frame = getattr(waiting, "cr_frame", None)
        if frame is not None:
            frames.append(frame)
        waiting = getattr(waiting, "cr_await", None)
    return frames[::-1]
