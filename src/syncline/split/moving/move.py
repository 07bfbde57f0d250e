"""A move as it is at the moment: both ends, its links, its gates, put together from what its home says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any, Self

import psycopg

from syncline.config.sections import SharedSections
from syncline.errors import NamedDatabaseUnavailableError, NotMovingError, SwitchError, TableLockedError
from syncline.model.entity import TableName
from syncline.split.moving import opening
from syncline.split.moving.ends import Ends
from syncline.split.moving.identity import see_same
from syncline.split.moving.link import MoveLink
from syncline.split.moving.state import Book, Phase, State, see_phase
from syncline.split.moving.ways import Ways, ways
from syncline.split.schema.planning import Plan
from syncline.split.schema.sides import opened
from syncline.split.switching.gate import Gate, Mode, quoted, superseded
from syncline.split.switching.install import install, uninstall
from syncline.split.switching.journal import LEASE, Journal
from syncline.split.switching.move import TableMove

Look = Callable[[psycopg.Connection[Any], psycopg.Connection[Any]], Plan]
"""Plans what the second side's schema needs, to be as the first one's."""
_LOCK_TRIES = 15
"""How often a gate is asked for where a transaction holds a table: half a minute."""


@dataclass(frozen=True, slots=True)
class Moving:
    """A move that was begun."""

    ends: Ends
    state: State
    ways: Ways

    @property
    def tables(self) -> tuple[TableName, ...]:
        """What moves."""
        return tuple(one.table for one in self.state.tables)

    def required(self, *phases: Phase) -> Self:
        """See that it is in one of these phases.

        Raises:
            NotMovingError: it is in another one.

        """
        see_phase(self.ends.database, self.state, *phases)
        return self


def moving(ends: Ends, state: State, sections: SharedSections) -> Moving:
    """Put together what is known of a move.

    Raises:
        SwitchError: the database is at home elsewhere than the configuration says now.

    """
    if state.home != ends.home:
        raise SwitchError(
            f"the move of {ends.database} began in {state.home}, and the configuration says {ends.home} now",
            hint=f"name {state.home} in the configuration as it was, until the move is finished",
        )
    return Moving(ends, state, ways(ends, state.tables, sections))


def read_moving(ends: Ends, sections: SharedSections) -> Moving | None:
    """Read it from its home; ``None``: none was begun.

    Raises:
        NamedDatabaseError: home cannot be reached.
        SwitchError: a URL leads to another database than the one with which the move began.

    """
    with opened(ends.sides.source) as connection:
        state = Book(ends.database, connection).read()
        if state is None:
            return None
        see_same(ends, state, source=connection)
    with suppress(NamedDatabaseUnavailableError), opened(ends.sides.target) as connection:
        see_same(ends, state, target=connection)
    return moving(ends, state, sections)


@asynccontextmanager
async def opened_move(
    one: Moving, look: Look | None = None, *, lease: timedelta = LEASE
) -> AsyncIterator[tuple[TableMove, MoveLink]]:
    """Open what a coordinator works with, for a block; who may switch gives how schemas are looked at."""
    ends = one.ends
    gates = {side: Gate(ends.database, side, ends.address(side)) for side in ends.names}
    ways_ = {ends.home: one.ways.there, ends.database: one.ways.back}
    link = MoveLink(gates, ways_, one.tables, ends.home, None if look is None else partial(_note_opening, ends, look))
    move = TableMove(ends.database, gates, Journal(ends.database, ends.sides.source, lease=lease), link)
    try:
        yield move, link
    finally:
        await move.aclose()


def _note_opening(ends: Ends, look: Look, serving: str, number: int) -> None:
    """Note what is turned on and off at a change of sides, as the side that serves has it now.

    Raises:
        SchemaMoveError: its schema cannot be read.
        SupersededError: another coordinator has begun.

    """
    with ends.sides.connected() as (home, goal):
        plan = look(home, goal) if serving == ends.home else look(goal, home)
        if not Book(ends.database, home).learn_opening(opening.opening_of(plan), number):
            raise superseded(ends.database, number)


async def put_gates(one: Moving) -> None:
    """Put both gates in place: home serves, the other side is the link's. What is there stays as it is.

    Raises:
        TableLockedError: a transaction holds a table, and does not end.

    """
    async with opened_move(one) as (move, _):
        home, goal = one.ends.names
        await _patiently(lambda: install(move.gates[goal], Mode.LINK, one.tables))
        await _patiently(lambda: install(move.gates[home], Mode.APPLICATION, one.tables, journal=home))
        for gate in move.gates.values():
            await opening.prepare(gate)


async def close_copy(one: Moving) -> None:
    """Put the new side's gate in place before the rest of the move is there: nobody writes what was made so far.

    Raises:
        TableLockedError: a transaction holds a table, and does not end.

    """
    async with opened_move(one) as (move, _):
        gate = move.gates[one.ends.database]
        if present := await present_tables(gate, one.tables):
            await _patiently(lambda: install(gate, Mode.LINK, present))


async def take_gate(one: Moving, side: str) -> None:
    """Take a side's gate away; nothing where there is none.

    Raises:
        TableLockedError: a transaction holds a table, and does not end.

    """
    async with opened_move(one) as (move, _):
        gate = move.gates[side]
        present = await present_tables(gate, one.tables)
        with suppress(NotMovingError):
            await _patiently(lambda: uninstall(gate, present))
            await opening.forget(gate)


async def present_tables(gate: Gate, tables: Iterable[TableName]) -> list[TableName]:
    """Name those that are there."""
    return [table for table in tables if await _is_there(gate, table)]


async def _is_there(gate: Gate, table: TableName) -> bool:
    rows = await gate.session.rows("SELECT pg_catalog.to_regclass(%(name)s) IS NOT NULL", {"name": quoted(table)})
    return bool(rows[0][0])


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Do something that waits for writers, again and again: each try has a short deadline of its own."""
    for last in range(_LOCK_TRIES - 1, -1, -1):
        try:
            await work()
        except TableLockedError:
            if not last:
                raise
        else:
            return
