"""Connections on which nobody waits for ever: a server that is frozen keeps the socket open and says nothing."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import Any, ClassVar, TypeVar

import psycopg
from psycopg.rows import TupleRow

T = TypeVar("T")
Waiting = Generator[Any, Any, T]


class LimitedConnection(psycopg.Connection[TupleRow]):
    """A connection that is closed when the answer to a statement takes longer than ``seconds``.

    A limit of the server's (``statement_timeout``) is one that a frozen server does not keep.
    """

    seconds: ClassVar[float] = 5.0

    @classmethod
    def of(cls, seconds: float) -> type[LimitedConnection]:
        """Give the class with another limit."""
        return type(cls.__name__, (cls,), {"seconds": seconds})

    def wait(self, gen: Waiting[T], *args: Any, **options: Any) -> T:
        """Wait for an answer.

        Raises:
            psycopg.OperationalError: it took too long; the connection is closed.

        """
        try:
            return super().wait(_limited(gen, time.monotonic() + self.seconds), *args, **options)
        except _TooLongError:
            self.pgconn.finish()
            raise psycopg.OperationalError(f"no answer within {self.seconds:g} s; the connection is closed") from None


class _TooLongError(Exception):
    """The answer has not come in time."""


def _limited(gen: Waiting[T], ends: float) -> Waiting[T]:
    """Pass on what psycopg waits for; it wakes ten times a second when nothing comes."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > ends:
                gen.close()
                raise _TooLongError
            wanted = gen.send(ready)
    except StopIteration as end:
        found: T = end.value
        return found
