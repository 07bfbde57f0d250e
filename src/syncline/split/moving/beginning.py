"""The beginning of a move: the schema over there before rows come, and the rest of it when they are there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psycopg

from syncline.errors import SchemaMoveError
from syncline.split.moving.ends import Ends
from syncline.split.moving.identity import both, see_same
from syncline.split.moving.link import MoveLink
from syncline.split.moving.move import Look, Moving, opened_move
from syncline.split.moving.opening import opening_of
from syncline.split.moving.state import Book, Phase, State
from syncline.split.moving.tables import moving_tables
from syncline.split.moving.watched import Watched, across_releases, family
from syncline.split.schema.carrying import carry_out, see_that_it_may
from syncline.split.schema.definitions import read_definitions
from syncline.split.schema.things import Phase as Part
from syncline.split.schema.things import Step

Tell = Callable[[Step], None]
See = Callable[[], Awaitable[None]]
TRIES = 5
"""How often a rule over all rows is asked for: rows of different times may break it until later changes are there."""
_POLL_SECONDS = 0.05
_SEE_SECONDS = 1.0


def begin(ends: Ends, look: Look, tell: Tell) -> State:
    """Make what rows need on the other side, and note the move; one that is under way goes on.

    Raises:
        SchemaMoveError: something is in the way; nothing is noted yet.
        NotMovingError: the move is finished.

    """
    with ends.sides.connected() as (source, target):
        book = Book(ends.database, source)
        state = book.read()
        if state is None:
            plan = look(source, target)
            see_that_it_may(plan, target, Part.BEFORE, rows=False)
            book.begin(ends.home, moving_tables(source, plan.tables), both(ends, source, target))
            state = book.required()
        see_same(ends, state, source=source, target=target)
        book.required(Phase.SCHEMA, Phase.COPYING, Phase.FOLLOWING)
        book.prepare()
        if state.phase is not Phase.FOLLOWING:
            begun = _watched(ends, state, source, target)  # first: what is altered from here on is followed
            carry_out(look(source, target), target, Part.BEFORE, rows=True, altered=begun, tell=tell)
        return book.required()


def _watched(
    ends: Ends, state: State, source: psycopg.Connection[Any], target: psycopg.Connection[Any]
) -> frozenset[str]:
    """Note what the tables are, unless it is noted; name those that were made over there before."""
    watched = Watched(ends.database, ends.home, source)
    if known := watched.all():
        return frozenset(one.definition.table.quoted for one in known.values())
    watched.prepare()
    oids = family(source, [one.table for one in state.tables])
    watched.begin(read_definitions(source, oids, quoting=across_releases(source, target)))
    return frozenset()


async def complete(one: Moving, look: Look, tell: Tell, *, see: See) -> None:
    """Make what comes after the rows, while a worker of the link runs.

    Indexes and foreign keys look at all rows, and those are of different times: first every change of the time of the
    copy must be there. Where one is refused all the same, the changes since are waited for.

    Args:
        one: the move.
        look: plans what the other side needs.
        tell: told of each step that was made.
        see: asked once a second while changes are waited for; raises if they will not come.

    Raises:
        SchemaMoveError: a rule is refused again and again, or something is in the way.
        SwitchError: the other side refuses a record.

    """
    async with opened_move(one) as (_, link):
        for last in range(TRIES - 1, -1, -1):
            await _catch_up(link, one.ends.home, see)
            try:
                await asyncio.to_thread(_after, one.ends, look, tell)
            except SchemaMoveError as error:
                if not last or not error.retryable:
                    raise
            else:
                return


async def _catch_up(link: MoveLink, side: str, see: See) -> None:
    """Wait until every change is applied that was captured on a side up to now."""
    mark, seen = await link.highest(side), time.monotonic()
    while not await link.is_through(side, mark):
        await link.see_that_none_is_refused(side)
        if time.monotonic() - seen > _SEE_SECONDS:
            await see()
            seen = time.monotonic()
        await asyncio.sleep(_POLL_SECONDS)


def _after(ends: Ends, look: Look, tell: Tell) -> None:
    with ends.sides.connected() as (source, target):
        known = Watched(ends.database, ends.home, source).all().values()
        altered = frozenset(one.definition.table.quoted for one in known)
        plan = look(source, target)
        carry_out(plan, target, Part.AFTER, rows=True, altered=altered, tell=tell)
        Book(ends.database, source).keep_opening(opening_of(plan))
