"""The way back of a switch, for the health route of an application: does anybody bring home what is written?"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass

from syncline.errors import NotMovingError, PrivilegeError
from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.databases import Databases
from syncline.split.moving.naming import back_of
from syncline.split.moving.tables import PACKAGE
from syncline.split.switching.gate import Session


@dataclass(frozen=True, slots=True)
class WayBack:
    """How it is doing."""

    workers: int
    """That carry it; 0: what is written stays where it is, and there is no way back but without it."""
    lag_seconds: float
    """Age of the oldest change that is not at home yet."""
    parked: int
    """Records that home refuses."""


async def way_back(databases: Databases, name: str) -> WayBack | None:
    """Ask the side that serves; ``None``: home serves, nothing moves, or this role may not know.

    Raises:
        NamedDatabaseUnavailableError: it is away.

    """
    seen = databases.moves().get(name)
    if seen is None or not seen.has_way_back:
        return None
    with entered(Link(back_of(name))):
        statement = blocks("link.sql", PACKAGE)["standing"]
    async with aclosing(Session(databases[name].address)) as session:
        try:
            ((_, lag, workers, parked, *_),) = await session.rows(statement, {})
        except NotMovingError:  # its capture is gone
            return WayBack(0, 0.0, 0)
        except PrivilegeError:
            return None
    return WayBack(workers, lag, parked)
