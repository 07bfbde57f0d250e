"""What acts on new rows (triggers, rules, immediate foreign keys): on where applications write, off on the other side.

Rows that the link brings have met it on the side where they were written. So a side is opened with it, and handed to
the link without it; the statements for both are kept while a move lasts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any

from psycopg.errors import ObjectNotInPrerequisiteState, UndefinedObject, UndefinedTable
from psycopg.sql import SQL, Composed, Identifier, Literal

from syncline.errors import NotMovingError, SwitchError
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.schema.planning import Plan
from syncline.split.schema.things import Phase
from syncline.split.switching.gate import BUSY, Gate, GateBusyError, named, quoted, sql, superseded
from syncline.split.switching.refusals import SCHEMA

_BRIEF = timedelta(milliseconds=150)
"""How long a lock of a table is waited for: writers may be paused, and behind some of these locks readers wait, too."""
_BRIEFEST = timedelta(milliseconds=50)
"""How long a closing does where readers wait behind it: some are there yet that have not seen the change of sides."""
_LONG = timedelta(seconds=1.5)
"""How long a closing does for an autovacuum that holds a table: above ``deadlock_timeout``, when the server ends it."""
_NAMED = 3
_GONE = (UndefinedObject, UndefinedTable)
_MISSING = "`syncline split follow` makes over there what was made while tables move; look at its log, then try again"


@dataclass(frozen=True, slots=True)
class Opening:
    """A step of the opening, both ways."""

    do: tuple[str, ...]
    undo: tuple[str, ...]
    sequence: tuple[str, str] | None = None
    """One that goes on there, though no column of the tables owns it or draws from it; schema and name."""

    def as_dict(self) -> dict[str, Any]:
        """Write it for the journal."""
        return asdict(self)


def read_opening(one: Mapping[str, Any]) -> Opening:
    """Read a step from the journal."""
    named = one.get("sequence")
    return Opening(tuple(one["do"]), tuple(one["undo"]), (named[0], named[1]) if named else None)


def opening_of(plan: Plan) -> tuple[Opening, ...]:
    """Read it from a plan whose source is the side that serves: there is what acts, as applications have it now."""
    steps = (Opening(step.statements, step.undo) for step in plan.steps if step.phase is Phase.OPENING)
    return (*steps, *(Opening((), (), sequence) for sequence in plan.drawn))


async def prepare(gate: Gate) -> None:
    """Make the table that remembers it, on a side that has its gate."""
    async with gate.session.connected() as connection, connection.transaction():
        await connection.execute(sql("turn"))
        await connection.execute(blocks("moving.sql", PACKAGE)["acting"])


async def forget(gate: Gate) -> None:
    """Forget it, for another move of that name."""
    with suppress(NotMovingError):
        await gate.session.rows(blocks("moving.sql", PACKAGE)["forget_acts"], {"name": gate.move})


async def noted(gate: Gate) -> tuple[Opening, ...]:
    """Read what is turned on and off, from the book of the move; ``gate``: that of its home."""
    rows = await gate.session.rows(blocks("moving.sql", PACKAGE)["opening"], {"name": gate.move})
    return tuple(map(read_opening, rows[0][0])) if rows else ()


async def act(
    gate: Gate, number: int, opening: Sequence[Opening], tables: Sequence[TableName], *, on: bool, hurried: bool = True
) -> None:
    """Turn it on or off on a side, all in one transaction, which remembers it: what is so already costs nothing.

    The gate stays as it is to the end of that: a coordinator that was frozen changes nothing that a later one has.

    Raises:
        GateBusyError: a table's lock was not had in time; nothing was changed.
        SupersededError: a coordinator with a higher number was here; nothing was changed.
        SwitchError: what is to be turned on is not there, or a statement is refused; nothing was changed.

    """
    statements = [statement for one in opening for statement in (one.do if on else one.undo)]
    if not statements:
        return
    try:
        await _carry_out(gate, number, statements, tables, _BRIEF, on=on)
    except BUSY as error:
        rows = await gate.session.rows(blocks("moving.sql", PACKAGE)["holders"], {"tables": [*map(quoted, tables)]})
        if hurried or not any(vacuums for *_, vacuums in rows):
            raise GateBusyError(
                "; ".join(named(*row[:3]) for row in rows[:_NAMED]) or "they have gone by now"
            ) from error
        await _long(gate, number, statements, tables, on=on)


async def _long(gate: Gate, number: int, statements: Sequence[str], tables: Sequence[TableName], *, on: bool) -> None:
    """Wait for long enough to have the server end an autovacuum."""
    try:
        await _carry_out(gate, number, statements, tables, _LONG, on=on)
    except BUSY as error:
        raise GateBusyError("an autovacuum, and others") from error


async def _carry_out(
    gate: Gate, number: int, statements: Sequence[str], tables: Sequence[TableName], patience: timedelta, *, on: bool
) -> None:
    script = _script(gate.move, number, statements, tables, patience, on=on).as_string()
    async with gate.session.connected() as connection:
        try:
            await connection.execute(SQL(blocks("moving.sql", PACKAGE)["do"]).format(script=Literal(script)))
        except ObjectNotInPrerequisiteState as error:
            if error.diag.schema_name != SCHEMA:  # it is a statement's own
                raise
            raise superseded(gate.move, number) from error
        except _GONE as error:  # what acts where applications have written so far would not act here
            what = error.diag.message_primary or str(error)
            raise SwitchError(f"{gate.side}: {what}", hint=_MISSING) from error


def _script(
    move: str, number: int, statements: Sequence[str], tables: Sequence[TableName], patience: timedelta, *, on: bool
) -> Composed:
    """Write what is done. Keys, rules and row security ask for locks that readers wait behind: last, and briefly.

    The lock that is waited for longer, and is had for all tables before, keeps no reader away: a reader meets only
    others of its kind that are at work.
    """
    ours = blocks("moving.sql", PACKAGE, comment=False)
    names = SQL(", ").join(Identifier(one.schema, one.name) for one in tables)
    one = SQL(ours["act_on" if on else "act_off"])
    in_order = sorted(statements, key=lambda each: " TRIGGER " not in each)
    return SQL(ours["act"]).format(
        name=Literal(move),
        number=Literal(number),
        acts=Literal(on),
        patience=Literal(_milliseconds(patience)),
        lock=SQL(ours["act_lock"]).format(tables=names),
        brief=Literal(_milliseconds(_BRIEF if on else _BRIEFEST)),
        statements=SQL("\n").join(one.format(statement=Literal(each)) for each in in_order),
    )


def _milliseconds(patience: timedelta) -> str:
    return f"{patience.total_seconds() * 1000:.0f}ms"
