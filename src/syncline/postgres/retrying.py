"""Retrying what CockroachDB asks to be retried: any statement may fail with 40001, at any time, through nobody's fault.

Such a failure means that nothing was done, so that repeating is safe whatever the statement is. (40003, "may have been
done", is not repeated: it ends the session like a lost connection.)
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Self, TypeVar

import psycopg
from psycopg import sql
from psycopg.errors import SerializationFailure
from psycopg.pq import TransactionStatus

from syncline.errors import SourceUnavailableError
from syncline.postgres.dialect import on_cockroach

T = TypeVar("T")
Connection = psycopg.AsyncConnection[tuple[Any, ...]]

ATTEMPTS = 30
_FIRST_SECONDS = 0.002
_LONGEST_SECONDS = 0.25


async def pause(attempt: int) -> None:
    """Wait before the next attempt: exponential backoff with full jitter."""
    await asyncio.sleep(random.uniform(0, min(_LONGEST_SECONDS, _FIRST_SECONDS * 2 ** min(attempt, 20))))  # noqa: S311


class RetryingCursor(psycopg.AsyncCursor[Any]):
    """A cursor that repeats a statement which is a transaction of its own, and nothing inside of a transaction."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run a statement, again and again where it must be."""
        alone = self.connection.info.transaction_status is TransactionStatus.IDLE
        for attempt in range(ATTEMPTS if alone else 0):
            try:
                return await super().execute(query, params, **options)
            except SerializationFailure:
                await pause(attempt)
        return await super().execute(query, params, **options)


async def alone(connection: psycopg.AsyncConnection[Any], query: sql.SQL | sql.Composed) -> psycopg.AsyncCursor[Any]:
    """Run a statement that is a transaction of its own, on a connection that knows nothing of retries."""
    for attempt in range(ATTEMPTS):
        try:
            return await connection.execute(query)
        except SerializationFailure:
            await pause(attempt)
    return await connection.execute(query)


async def in_transaction(connection: Connection, act: Callable[[], Awaitable[T]]) -> T:
    """Do something in one transaction; on CockroachDB repeat it as a whole until it is through.

    ``act`` must not leave anything behind when it is repeated.
    """
    for attempt in range(ATTEMPTS if on_cockroach(connection) else 0):
        try:
            async with connection.transaction():
                return await act()
        except (SerializationFailure, SourceUnavailableError) as error:
            if not is_retry(error):
                raise
            await pause(attempt)
    async with connection.transaction():
        return await act()


def is_retry(error: BaseException) -> bool:
    """Tell whether an error, or what it was made of, asks for a retry."""
    return isinstance(error, SerializationFailure) or isinstance(error.__cause__, SerializationFailure)
