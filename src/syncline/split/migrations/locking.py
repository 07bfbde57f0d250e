"""One runner at a time in a database: an advisory lock of the session that migrates, so it ends when that one does."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg

from syncline.errors import MigrationError
from syncline.postgres.sql import blocks

EVERY_SECONDS = 0.2


def take(
    connection: psycopg.Connection[Any],
    name: str,
    wait_seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Take the lock of this database, for as long as the session lives.

    It is asked for again and again, never waited for: a statement that waits has a snapshot, and the holder's CREATE
    INDEX CONCURRENTLY would wait for that one.

    Args:
        connection: past any pooler, in autocommit.
        name: of the database, for messages.
        wait_seconds: how long to ask.
        sleep: lets time pass.
        clock: tells it.

    Raises:
        MigrationError: another runner holds it; it is named.

    """
    until = clock() + wait_seconds
    while not _one(connection, "take"):
        if clock() >= until:
            who = _one(connection, "holder") or "a session that has just ended"
            raise MigrationError(
                f"{name}: another runner is migrating this database: {who}",
                hint="run it again when that one is through; --wait SECONDS waits longer",
            )
        sleep(EVERY_SECONDS)


def _one(connection: psycopg.Connection[Any], name: str) -> Any:
    row = connection.execute(blocks("migrations.sql", "syncline.split.migrations")[name], prepare=False).fetchone()
    return row and row[0]
