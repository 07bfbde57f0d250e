"""Connections whose questions end in time, also where a server or the way to it hangs without a word."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any

import psycopg

ANSWER_SECONDS = 5.0
"""So long an answer is waited for; it takes a millisecond, and a limit on the server would hang with it."""


class LimitedConnection(psycopg.Connection[Any]):
    """A connection on which no answer is waited for longer than ``ANSWER_SECONDS``; it is to be closed then."""

    def wait(self, gen: Any, *given: Any, **more: Any) -> Any:
        """Wait for an answer.

        Raises:
            ConnectionTimeout: there is none.

        """
        return super().wait(_limited(gen, time.monotonic() + ANSWER_SECONDS), *given, **more)


def _limited(waiting: Generator[Any, Any, Any], until: float) -> Generator[Any, Any, Any]:
    """Go on with what the driver waits for, up to a time; it is woken ten times a second where nothing comes."""
    try:
        wanted = next(waiting)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() >= until:
                raise psycopg.errors.ConnectionTimeout(f"no answer within {ANSWER_SECONDS:g} s")
            wanted = waiting.send(ready)
    except StopIteration as done:
        return done.value
