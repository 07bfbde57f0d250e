"""What the users of the demo's application do: each transaction is one transaction."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from syncline.postgres.connection import Connection
from syncline.postgres.sql import blocks

Transaction = Callable[[Connection], Awaitable[None]]


class ChangedMindError(Exception):
    """Rolls a transaction back."""


def _run(connection: Connection, statement: str, **values: Any) -> Awaitable[psycopg.AsyncCursor[Any]]:
    return connection.execute(blocks("demo.sql", "syncline.demo")[statement].encode(), values or None)


def _single(statement: str) -> Transaction:
    async def transaction(connection: Connection) -> None:
        await _run(connection, statement)

    return transaction


async def _one(connection: Connection, statement: str) -> tuple[Any, ...] | None:
    return await (await _run(connection, statement)).fetchone()


def _on_todo(*statements: str) -> Transaction:
    async def transaction(connection: Connection) -> None:
        if found := await _one(connection, "some_todo"):
            for statement in statements:
                await _run(connection, statement, todo=found[0], user=found[1])

    return transaction


async def user_returns(connection: Connection) -> None:
    """Delete a user and create another one with the same e-mail."""
    if found := await _one(connection, "some_user"):
        await _run(connection, "delete_user", user=found[0])
        await _run(connection, "return_user", email=found[1])


async def changes_mind(connection: Connection) -> None:
    """Do a lot, then roll it back."""
    await _run(connection, "create_todo")
    await _run(connection, "bulk_update")
    await _run(connection, "delete_messages")
    raise ChangedMindError


async def half_changes_mind(connection: Connection) -> None:
    """Commit, with a part rolled back to a savepoint."""
    await _run(connection, "send_message")
    try:
        async with connection.transaction():
            await _run(connection, "bulk_delete")
            raise ChangedMindError
    except ChangedMindError:
        await _run(connection, "create_user")


TRANSACTIONS: tuple[tuple[Transaction, int], ...] = (
    (_single("create_user"), 6),
    (_single("create_todo"), 18),
    (_single("send_message"), 22),
    (_on_todo("add_point", "complete_todo"), 12),
    (_on_todo("rename_todo"), 12),
    (_on_todo("finish_step"), 8),
    (_on_todo("add_step"), 4),
    (_on_todo("move_step"), 2),
    (_on_todo("delete_todo"), 8),
    (_single("delete_messages"), 8),
    (user_returns, 2),
    (changes_mind, 3),
    (half_changes_mind, 2),
    (_single("take_email"), 2),
    (_single("bulk_update"), 1),
    (_single("bulk_delete"), 1),
)
"""With weights. ``take_email`` and ``changes_mind`` are always rolled back."""


async def run_one(connection: Connection, chance: random.Random) -> bool:
    """Do something; tell whether it was committed."""
    (transaction,) = chance.choices(
        [transaction for transaction, _ in TRANSACTIONS], [weight for _, weight in TRANSACTIONS]
    )
    try:
        async with connection.transaction():
            await transaction(connection)
    except (ChangedMindError, psycopg.errors.UniqueViolation, psycopg.errors.ForeignKeyViolation):
        return False
    except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure):
        return False
    return True
