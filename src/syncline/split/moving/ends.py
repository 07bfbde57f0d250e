"""The two ends of a move: the database in which the tables are at first, and the one that is to be theirs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncline.config.databases import SINGLE, NamedDatabase, NamedDatabases, split_place, variable
from syncline.config.urls import place_of
from syncline.errors import ConfigError, NamedDatabaseError
from syncline.split.address import Address, address_of
from syncline.split.schema.sides import Sides
from syncline.split.schema.sides import sides as single_sides


@dataclass(frozen=True, slots=True)
class Ends:
    """Both, each with the name that the move's sides have."""

    database: str
    """The named database whose tables move; also the name of the move, of its gates, and of the new side."""
    home: str
    """The named database in which they are at first, and the name of that side."""
    sides: Sides

    def address(self, side: str) -> Address:
        """Say how a side is reached, past a pooler."""
        return self.sides.source if side == self.home else self.sides.target

    @property
    def names(self) -> tuple[str, str]:
        """Both sides, the one at home first."""
        return self.home, self.database


def ends(
    configured: NamedDatabases,
    database: str,
    env: Mapping[str, str] = os.environ,
    *,
    dotenv: Path | None = Path(".env"),
) -> Ends:
    """Find both, in single and in split mode: a move begins in the one and is switched in the other.

    Raises:
        ConfigError: there is no such database, no other one, or a URL is not set.
        NamedDatabaseError: a URL leads through a pooler, and none leads past it.

    """
    known = {one.name: one for one in configured.databases}
    if database not in known:
        raise ConfigError(f"there is no database {database!r}", hint=f"there are: {', '.join(known)}")
    home = _home(configured, known[database], env, dotenv)
    if configured.split:
        found = Sides(database, address_of(known[home], direct=True), address_of(known[database], direct=True))
    else:
        found = single_sides(configured, database, env, dotenv=dotenv)
    for address in (found.source, found.target):
        _see_that_it_is_direct(address)
    return Ends(database, home, found)


def _home(configured: NamedDatabases, moving: NamedDatabase, env: Mapping[str, str], dotenv: Path | None) -> str:
    """Name the other side: of several the one that keeps the place of now, else that of the rest, else the first."""
    others = [one for one in configured.databases if one.name != moving.name]
    if not others:
        raise ConfigError(
            f"{moving.name} is the only named database: its tables have nowhere to move from",
            hint="declare the database that stays, too: [databases.primary]",
        )
    if not configured.split:
        here = place_of(moving.place.url)
        for one in others:
            known = env.get(variable(one.name)) or one.settings.url
            if known and place_of(split_place(one, env, dotenv=dotenv).place.url) == here:
                return one.name
    return next((one.name for one in others if one.settings.rest), others[0].name)


def _see_that_it_is_direct(address: Address) -> None:
    if address.pooled:
        direct = address.called.replace(SINGLE, "DIRECT_URL")
        raise NamedDatabaseError(
            f"{address.called} leads through a pooler, and a move needs sessions of its own",
            hint=f"set {direct} to a URL that leads past the pooler",
        )
