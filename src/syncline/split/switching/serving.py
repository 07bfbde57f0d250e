"""Which side serves the tables of a database, as its gates say."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.errors import GateClosedError, MovedError
from syncline.split.switching.gate import GateRow, Mode


def serving_side(database: str, sides: Mapping[str, GateRow]) -> str:
    """Say which side serves; where the database's own gate is gone and no other is open, the move is over: itself."""
    if database not in sides and all(row.mode is not Mode.APPLICATION for row in sides.values()):
        return database
    return max(sides, key=lambda side: (sides[side].mode is Mode.APPLICATION, sides[side].opened))


def see_that_it_serves(database: str, row: GateRow) -> None:
    """See that a process in single mode may work with the tables of a database.

    Raises:
        MovedError: they are in a database of their own.
        GateClosedError: they are changing sides.

    """
    if row.mode is Mode.LINK:
        raise MovedError(
            f"the tables of {database} are written in a database of their own, so single mode cannot be used until "
            f"`syncline split back {database}` has brought them home (or set SPLIT_DB_MODE=true and the URL of each "
            "database)"
        )
    if row.mode is Mode.NOBODY:
        raise GateClosedError(f"the tables of {database} are changing sides", hint="start again in a moment")


def given_up(database: str) -> MovedError:
    """Say to a process in split mode that a database's tables have stayed where they were."""
    return MovedError(
        f"the move of {database} was given up: what may be here of its tables is an old copy that nobody writes, and "
        "they are where they were (set SPLIT_DB_MODE=false and DATABASE_URL, or move them again)"
    )
