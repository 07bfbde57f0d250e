"""Tables that the rules give to a database and its move does not carry: they would stay behind at a change of sides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from syncline.errors import SwitchError
from syncline.model.entity import TableName
from syncline.model.words import listed
from syncline.postgres.sql import blocks
from syncline.split.catalogue import read_catalogue
from syncline.split.moving.gates import serving
from syncline.split.moving.move import Moving
from syncline.split.moving.tables import PACKAGE
from syncline.split.ownership import Ownership
from syncline.split.schema.planning import movers


def see_that_all_move(one: Moving, ownership: Ownership, goal: str) -> None:
    """See that the side which serves has the tables of the move, and no other one of its database.

    Raises:
        SwitchError: it has not; nothing overrules this.

    """
    if found := left_behind(one, ownership, goal):
        database = one.ends.database
        stays = next(name for name in one.ends.names if name != database)
        raise SwitchError(
            "; ".join(found),
            hint=f"until the move is over, drop it or give it to {stays} in the configuration;"
            f" or bring the tables home, `syncline split abort {database} --drop`, and copy anew",
        )


def left_behind(one: Moving, ownership: Ownership, goal: str | None = None) -> list[str]:
    """Say how the tables of the side that serves, unless it is the goal, differ from those of the move."""
    with one.ends.sides.connected() as (home, other):
        side = serving(one.ends, home, other)
        if side is None or side == goal:  # half-way, or done: it is to be brought to its end
            return []
        serves = home if side == one.ends.home else other
        return differing_tables(one.ends.database, one.tables, ownership, side, serves)


def differing_tables(
    database: str, tables: Iterable[TableName], ownership: Ownership, side: str, connection: psycopg.Connection[Any]
) -> list[str]:
    """Say how the tables of a side differ from those of the move."""
    catalogue = read_catalogue(connection)
    names = sorted(catalogue.names[oid] for oid in movers(catalogue, ownership, database))
    given = {"schemas": [name.schema for name in names], "names": [name.name for name in names]}
    rows = connection.execute(blocks("moving.sql", PACKAGE)["roots"], given, prepare=False).fetchall()
    now, carried = {f"{row[0]}.{row[1]}" for row in rows}, {f"{each.schema}.{each.name}" for each in tables}
    found = []
    if came := sorted(now - carried):
        found.append(f"{side} has tables of {database} that came after its copy and do not move: {listed(came)}")
    if gone := sorted(carried - now):
        found.append(f"{side} has no such tables of {database} any more, and they move: {listed(gone)}")
    return found
