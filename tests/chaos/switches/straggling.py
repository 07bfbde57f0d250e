"""A transaction that began before the sides changed and writes after it: it must be refused."""

from __future__ import annotations

from typing import Any, Self

import psycopg

from tests.chaos.switches.application import SEEN
from tests.chaos.switches.scene import Scene

WRITES = "INSERT INTO items (slot, n, seen) VALUES (%s, 0, 0)"


class Straggler:
    """One.

    Args:
        scene: the databases.
        side: where it has begun.
        kind: ``older`` reads on the side that does not serve, and writes when that was opened; ``snapshot`` reads under
            REPEATABLE READ on the side that serves, and writes when that was closed.
        slot: whose rows it writes: nobody else's.

    """

    def __init__(self, scene: Scene, side: str, kind: str, slot: int) -> None:
        self.came_to = "not tried"
        self._slot = slot
        self._connection: psycopg.Connection[Any] = psycopg.connect(scene.urls[side])
        if kind == "snapshot":
            self._connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

    def __enter__(self) -> Self:
        self._connection.execute(SEEN, [0])
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def write(self) -> None:
        """Write, and commit."""
        try:
            self._connection.execute(WRITES, [self._slot])
            self._connection.commit()
        except psycopg.errors.SerializationFailure:
            self.came_to = "refused"
        else:
            self.came_to = "accepted"
