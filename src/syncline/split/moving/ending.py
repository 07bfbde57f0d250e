"""The ends of a move: given up before the new side serves, or finished after it has served for long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from syncline.errors import SchemaMoveError, SwitchError
from syncline.split.catalogue import read_catalogue
from syncline.split.moving import capture
from syncline.split.moving.move import Moving, opened_move, take_gate
from syncline.split.moving.noting import forget, note
from syncline.split.moving.standing import gate_of, opened_at
from syncline.split.moving.state import Phase
from syncline.split.schema.selection import views_of
from syncline.split.schema.sides import opened
from syncline.split.switching.gate import Mode

DAYS = 14
"""So long the new side has served before its way back is ended."""
_SECONDS = 86_400


async def see_that_home_serves(one: Moving) -> None:
    """See that nothing was switched, or that it was brought back.

    Raises:
        SwitchError: the new side serves, or a switch is under way.

    """
    home, goal = one.ends.names
    async with opened_move(one) as (move, _):
        gates = {side: await gate_of(gate) for side, gate in move.gates.items()}
    theirs, ours = gates[goal], gates[home]
    if (theirs is not None and theirs.mode is not Mode.LINK) or (
        ours is not None and ours.mode is not Mode.APPLICATION
    ):
        raise SwitchError(
            f"{home} does not serve the tables of {goal}: they were switched, or a switch is under way",
            hint=f"`syncline split back {goal}` brings every write home first",
        )


async def abort(one: Moving, *, drop: bool) -> None:
    """Give a move up: its links, capture and gates go. The copy stays, read-only, or is dropped.

    Raises:
        SwitchError: the new side serves.

    """
    if one.state.phase is not Phase.ABORTED:
        await see_that_home_serves(one)
    home, goal = one.ends.names
    for way in (one.ways.there, one.ways.back):
        await capture.remove(way)
    await take_gate(one, home)
    await asyncio.to_thread(note, one.ends, Phase.ABORTED)
    await asyncio.to_thread(_drop_records, one)
    if drop:
        await asyncio.to_thread(_drop_tables, one, goal)
        await take_gate(one, goal)
        await asyncio.to_thread(forget, one.ends)


async def against_finishing(one: Moving) -> list[str]:
    """Say what speaks against ending the way back.

    Raises:
        SwitchError: the new side does not serve.

    """
    home, goal = one.ends.names
    async with opened_move(one) as (move, _):
        state = await move.look()
        if not state.settled(goal):
            raise SwitchError(
                f"{goal} does not serve its tables yet", hint=f"`syncline split switch {goal}` comes before"
            )
        found = await opened_at(move.gates[goal])
    days = (found[1] if found else 0.0) / _SECONDS
    return (
        [] if days >= DAYS else [f"{goal} has served for {days:.1f} days, and {DAYS} are asked; {home} is the way back"]
    )


async def finish(one: Moving, *, drop: bool) -> None:
    """End the way back: links, capture and the new side's gate go. The old tables stay, read-only, or are dropped."""
    home, goal = one.ends.names
    await asyncio.to_thread(note, one.ends, Phase.FINISHED)
    for way in (one.ways.there, one.ways.back):
        await capture.remove(way)
    await take_gate(one, goal)
    await asyncio.to_thread(_drop_records, one)
    if drop:
        await asyncio.to_thread(_drop_tables, one, home)
        await take_gate(one, home)
        await asyncio.to_thread(forget, one.ends)


def _drop_records(one: Moving) -> None:
    """Drop what the links remember in their targets."""
    for way, side in ((one.ways.there, one.ends.database), (one.ways.back, one.ends.home)):
        with opened(one.ends.address(side)) as connection:
            connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(way.target.control_schema)))


def _drop_tables(one: Moving, side: str) -> None:
    """Drop the tables of a side, with the views over nothing else: all at once, or none.

    Raises:
        SchemaMoveError: something else there depends on one.

    """
    with opened(one.ends.address(side)) as connection:
        views = list(_views(connection, one))
        try:
            with connection.transaction():
                for view, kind in views:
                    connection.execute(SQL("DROP {} IF EXISTS {}").format(SQL(kind), view))
                tables = [Identifier(each.schema, each.name) for each in one.tables]
                connection.execute(SQL("DROP TABLE IF EXISTS {}").format(SQL(", ").join(tables)))
        except psycopg.errors.DependentObjectsStillExist as error:
            detail = (error.diag.message_detail or "").splitlines()
            raise SchemaMoveError(
                f"{side}: something depends on these tables: {'; '.join(detail[:3])}",
                hint="drop it first, then run this again; everything else is done",
            ) from None


def _views(connection: psycopg.Connection[Any], one: Moving) -> Iterator[tuple[Identifier, str]]:
    """Find the views that read these tables only, the outermost first."""
    catalogue = read_catalogue(connection)
    wanted = {(each.schema, each.name) for each in one.tables}
    moving = frozenset(oid for oid, name in catalogue.names.items() if (name.schema, name.name) in wanted)
    for oid in sorted(views_of(catalogue, moving), reverse=True):
        name = catalogue.names[oid]
        kind = "MATERIALIZED VIEW" if catalogue.kinds[oid] == "m" else "VIEW"
        yield Identifier(name.schema or "public", name.name), kind
