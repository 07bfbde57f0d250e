"""Rules of the switch that are taken out: a run must notice each. `python -m tests.chaos --split --sabotage NAME`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from syncline.split.moving.link import MoveLink
from syncline.split.switching import takeover

Change = tuple[str, str, str]
"""A function of the gate's schema, a text in it, and what stands there instead."""


@dataclass(frozen=True)
class Saboteur:
    """A rule that is taken out in our processes, or in both databases."""

    in_process: Callable[[], None] = lambda: None
    changes: Sequence[Change] = ()

    def in_database(self, connection: psycopg.Connection[Any]) -> None:
        """Change the functions of the gate."""
        for name, old, new in self.changes:
            found = connection.execute("SELECT pg_get_functiondef(%s::regproc)", [f"syncline_gate.{name}"]).fetchone()
            assert found is not None
            assert old in found[0], f"{name} has no {old}"
            connection.execute(found[0].replace(old, new).encode())


def queue_unasked() -> None:
    """Open before everything that was written is there."""

    async def drained(self: MoveLink, source: str) -> bool:
        return True

    MoveLink.drained = drained  # type: ignore[method-assign]


def sequences_left() -> None:
    """Leave the sequences of the side that opens where they are."""

    async def left(self: MoveLink, source: str, target: str, number: int) -> None:
        """Do nothing."""

    MoveLink.raise_sequences = left  # type: ignore[method-assign]


def nobody_takes_over() -> None:
    """Leave a switch whose coordinator has died as it is."""

    async def sleep(*_: object, **__: object) -> None:
        await asyncio.sleep(10**6)

    takeover.watch = sleep


SABOTEURS = {
    "queue_unasked": Saboteur(queue_unasked),
    "sequences_left": Saboteur(sequences_left),
    "nobody_takes_over": Saboteur(nobody_takes_over),
    "numbers_uncompared": Saboteur(changes=[("change", " AND g.number <= coordinator", "")]),
    "writers_unlocked": Saboteur(
        changes=[("pass", "NOT pg_catalog.pg_try_advisory_xact_lock_shared(1398361671, pg_catalog.hashtext(TG_ARGV[0]))", "false")]
    ),
    "older_let_in": Saboteur(changes=[("pass", "pg_catalog.now() <= opened_at", "false")]),
    "snapshots_believed": Saboteur(changes=[("shared", " FOR SHARE", "")]),
    "closed_let_in": Saboteur(changes=[("pass", "mode IS DISTINCT FROM 'a'", "false")]),
}  # fmt: skip
