"""What acts on new rows (triggers, rules, immediate foreign keys): on where applications write, off on the other side.

Rows that the link brings have met it on the side where they were written. So a side is opened with it, and handed to
the link without it; the statements for both are kept while a move lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from psycopg.errors import LockNotAvailable

from syncline.split.schema.planning import Plan
from syncline.split.schema.things import Phase
from syncline.split.switching.gate import Gate, GateBusyError, sql

_LOCK_PATIENCE = timedelta(milliseconds=150)


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


async def act(gate: Gate, opening: Sequence[Opening], *, on: bool) -> None:
    """Turn it on or off on a side, all in one transaction; what is so already stays.

    Raises:
        GateBusyError: a table's lock was not had in time; nothing was changed.

    """
    statements = [statement for one in opening for statement in (one.do if on else one.undo)]
    if not statements:
        return
    try:
        async with gate.session.connected() as connection, connection.transaction():
            await connection.execute(sql("patience"), [f"{_LOCK_PATIENCE.total_seconds() * 1000:.0f}ms"])
            for statement in statements:
                await connection.execute(statement.encode())
    except LockNotAvailable as error:
        raise GateBusyError from error
