"""What acts on new rows (triggers, rules, immediate foreign keys): on where applications write, off on the other side.

Rows that the link brings have met it on the side where they were written. So a side is opened with it, and handed to
the link without it; the statements for both are kept while a move lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from psycopg.errors import LockNotAvailable

from syncline.errors import NotMovingError
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.schema.planning import Plan
from syncline.split.schema.things import Phase
from syncline.split.switching.gate import Gate, GateBusyError, sql

_BRIEF = timedelta(milliseconds=150)
"""How long an opening waits for a lock: writers are paused."""
_LONG = timedelta(seconds=1.5)
"""How long a closing does: above ``deadlock_timeout``, when an autovacuum that holds a table is ended by the server."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A step of the opening, both ways."""

    do: tuple[str, ...]
    undo: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Write it for the journal."""
        return asdict(self)


def opening_of(plan: Plan) -> tuple[Opening, ...]:
    """Read it from a plan that was made while the tables are at home, and open there."""
    return tuple(Opening(step.statements, step.undo) for step in plan.steps if step.phase is Phase.OPENING)


async def prepare(gate: Gate) -> None:
    """Make the table that remembers it, on a side that has its gate."""
    async with gate.session.connected() as connection, connection.transaction():
        await connection.execute(sql("turn"))
        await connection.execute(blocks("moving.sql", PACKAGE)["acting"])


async def forget(gate: Gate) -> None:
    """Forget it, for another move of that name."""
    with suppress(NotMovingError):
        await gate.session.rows(blocks("moving.sql", PACKAGE)["forget_acts"], {"name": gate.move})


async def act(gate: Gate, opening: Sequence[Opening], *, on: bool) -> None:
    """Turn it on or off on a side, all in one transaction, which remembers it: what is so already costs nothing.

    Raises:
        GateBusyError: a table's lock was not had in time; nothing was changed.

    """
    statements = [statement for one in opening for statement in (one.do if on else one.undo)]
    if not statements:
        return
    try:
        async with gate.session.connected() as connection, connection.transaction():
            ours, values = blocks("moving.sql", PACKAGE), {"name": gate.move, "acts": on}
            if await (await connection.execute(ours["acts"], values)).fetchone():
                return
            await connection.execute(sql("patience"), [f"{(_BRIEF if on else _LONG).total_seconds() * 1000:.0f}ms"])
            for statement in statements:
                await connection.execute(statement.encode())
            await connection.execute(ours["note_acts"], values)
    except LockNotAvailable as error:
        raise GateBusyError from error
