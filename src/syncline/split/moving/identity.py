"""Which database each side of a move is, whatever URL leads there: noted when it begins, compared by every command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg

from syncline.errors import SwitchError
from syncline.postgres.sql import blocks
from syncline.split.moving.ends import Ends
from syncline.split.moving.state import State
from syncline.split.moving.tables import PACKAGE


def place(connection: psycopg.Connection[Any]) -> dict[str, Any]:
    """Say which database this is: the cluster's identifier, if the role may read it, the database's oid and name."""
    try:
        with connection.transaction():
            row = connection.execute(blocks("examination.sql", "syncline.split")["system"], prepare=False).fetchone()
    except psycopg.errors.InsufficientPrivilege:
        row = None
    oid, name = connection.execute(blocks("moving.sql", PACKAGE)["place"], prepare=False).fetchall()[0]
    return {"system": row and row[0], "oid": oid, "name": name}


def both(ends: Ends, source: psycopg.Connection[Any], target: psycopg.Connection[Any]) -> dict[str, Mapping[str, Any]]:
    """Say it of both sides."""
    return {ends.home: place(source), ends.database: place(target)}


def see_same(
    ends: Ends,
    state: State,
    *,
    source: psycopg.Connection[Any] | None = None,
    target: psycopg.Connection[Any] | None = None,
) -> None:
    """See that connections lead to the databases with which the move began.

    Raises:
        SwitchError: one leads elsewhere.

    """
    for side, connection in ((ends.home, source), (ends.database, target)):
        if connection is not None and not is_same(known := state.sides[side], found := place(connection)):
            raise SwitchError(
                f"{ends.address(side).called} leads to another database ({found['name']}) than the one with which"
                f" the move of {ends.database} began ({known['name']}); nothing was changed",
                hint="give the URL of that one; for another one, end this move first",
            )


def is_same(known: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Tell whether it is the same database; by its name, too, where the cluster's identifier is not known."""
    if known["oid"] != found["oid"]:
        return False
    if known["system"] is not None and found["system"] is not None:
        return bool(known["system"] == found["system"])
    return bool(known["name"] == found["name"])
