"""What a move has come to, as a table in its home says: every command reads it, and goes on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.errors import NotMovingError
from syncline.postgres.sql import blocks
from syncline.split.moving.opening import Opening, read_opening
from syncline.split.moving.tables import PACKAGE, MovingTable
from syncline.split.reports import PACKAGE as REPORTS


class Phase(StrEnum):
    """How far it is. Which side serves is what the gates say, not this."""

    SCHEMA = "schema"
    """The tables are being made in their new place."""
    COPYING = "copying"
    """Changes are captured, and rows are copied."""
    FOLLOWING = "following"
    """Everything is there, both gates stand, and changes are carried over."""
    FINISHED = "finished"
    """The way back was ended; what stays at home can be read and is not written."""
    ABORTED = "aborted"
    """Given up before the new side served; the copy there can be read and is not written."""


@dataclass(frozen=True, slots=True)
class State:
    """The row."""

    phase: Phase
    home: str
    tables: tuple[MovingTable, ...]
    opening: tuple[Opening, ...]
    notes: tuple[Mapping[str, Any], ...]
    sides: Mapping[str, Mapping[str, Any]]
    """Which database each side is."""
    begun_at: datetime
    changed_at: datetime


class Book:
    """Reads and writes the row of one move.

    Args:
        database: the move's name.
        connection: to its home, in autocommit.

    """

    def __init__(self, database: str, connection: psycopg.Connection[Any]) -> None:
        self._name = database
        self._connection = connection

    def read(self) -> State | None:
        """Read it; ``None``: no move was begun."""
        row = self._run("exists").fetchone()
        if not (row and row[0]):
            return None
        found = self._run("read").fetchone()
        if found is None:
            return None
        phase, home, tables, opening, notes, sides, *times = found
        return State(
            Phase(phase),
            home,
            tuple(MovingTable(**one) for one in tables),
            tuple(map(read_opening, opening)),
            tuple(notes),
            sides,
            *times,
        )

    def required(self, *phases: Phase) -> State:
        """Read it.

        Raises:
            NotMovingError: there is none, or it is in another phase.

        """
        state = self.read()
        if state is None:
            raise NotMovingError(
                f"the tables of {self._name} are not moving", hint=f"`syncline split copy {self._name}` begins"
            )
        see_phase(self._name, state, *phases)
        return state

    def prepare(self) -> None:
        """Make the schema, and in it what applications report to."""
        with self._connection.transaction():
            for block in ("turn", "schema", "open_schema"):
                self._run(block)
            for block in ("table", "function", "open_function"):
                self._connection.execute(blocks("guard.sql", REPORTS)[block], prepare=False)

    def begin(self, home: str, tables: Sequence[MovingTable], sides: Mapping[str, Mapping[str, Any]]) -> None:
        """Note a move that begins; one that is there stays as it is."""
        told = Jsonb([one.as_dict() for one in tables])
        with self._connection.transaction():
            for block in ("turn", "schema", "open_schema", "table"):
                self._run(block)
            self._run("begin", home=home, phase=Phase.SCHEMA, tables=told, sides=Jsonb(dict(sides)))

    def end(self, state: State, phase: Phase) -> bool:
        """Note that a move is over that has no journal yet; false: it went on meanwhile."""
        return self._run("end", phase=phase, was=state.phase, begun_at=state.begun_at).fetchone() is not None

    def reach(self, phase: Phase) -> None:
        """Note how far it is."""
        self._run("reach", phase=phase)

    def keep_opening(self, opening: Sequence[Opening]) -> None:
        """Remember what is done on a side that opens, at the end of the copy."""
        self._run("keep_opening", opening=_written(opening))

    def learn_opening(self, opening: Sequence[Opening], number: int) -> bool:
        """Remember it anew, as a coordinator has read it; false: another one has begun, and nothing was changed."""
        return self._run("learn_opening", opening=_written(opening), number=number).fetchone() is not None

    def note(self, what: str, reason: str, details: Sequence[str] = ()) -> None:
        """Write down what was done by force, and why."""
        told = {"at": datetime.now(UTC).isoformat(), "what": what, "reason": reason, "against": list(details)}
        self._run("note", note=Jsonb([told]))

    def forget(self) -> None:
        """Forget the move."""
        self._run("forget")

    def _run(self, block: str, **values: Any) -> psycopg.Cursor[Any]:
        statement = blocks("moving.sql", PACKAGE)[block]
        given = {"name": self._name, **values} if "%(" in statement else None
        return self._connection.execute(statement, given, prepare=False)


def _written(opening: Sequence[Opening]) -> Jsonb:
    return Jsonb([one.as_dict() for one in opening])


def see_phase(database: str, state: State, *phases: Phase) -> None:
    """See that a move is in one of these phases; without any, all will do.

    Raises:
        NotMovingError: it is in another one; the hint says what comes next.

    """
    if phases and state.phase not in phases:
        hint = _NEXT[state.phase].format(database)
        raise NotMovingError(f"the move of {database} is {_TOLD[state.phase]}", hint=hint)


_TOLD = {
    Phase.SCHEMA: "at its schema: no row was copied yet",
    Phase.COPYING: "still copying",
    Phase.FOLLOWING: "copied already, and its changes are followed",
    Phase.FINISHED: "finished",
    Phase.ABORTED: "given up",
}
_NEXT = {
    Phase.SCHEMA: "`syncline split copy {}` goes on with it",
    Phase.COPYING: "`syncline split copy {}` goes on with it",
    Phase.FOLLOWING: "`syncline split switch {0}` is next, or `syncline split abort {0}`",
    Phase.FINISHED: "`syncline split finish {} --drop` removes the old tables, too",
    Phase.ABORTED: "`syncline split abort {} --drop` removes the copy; then it can begin anew",
}
