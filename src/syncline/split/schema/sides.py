"""The two databases of a move: where the tables are, and where they go."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from syncline.config.databases import NamedDatabases, split_place
from syncline.errors import ConfigError, NamedDatabaseError, SchemaMoveError
from syncline.split.address import Address, address_of
from syncline.split.connecting import clean, connect
from syncline.split.examination import look


@dataclass(frozen=True, slots=True)
class Sides:
    """How both are reached: past a pooler where there is a way past it."""

    database: str
    """The named database whose tables move."""
    source: Address
    target: Address

    def check(self) -> None:
        """See that they are two databases, each of which can be written to.

        Raises:
            NamedDatabaseError: they are one, or one cannot be reached.

        """
        seen = {side.called: look(side) for side in (self.source, self.target)}
        one, other = seen[self.source.called], seen[self.target.called]
        if one.identity.is_same(other.identity):
            raise NamedDatabaseError(
                f"{self.source.called} and {self.target.called} lead to the same database ({one.identity.name})",
                hint=f"{self.target.called} is where the tables of {self.database} go: give it another database's URL",
            )
        for address, side in ((self.source, one), (self.target, other)):
            if side.standby:
                raise NamedDatabaseError(f"{address.called}: this is a standby", hint="give the URL of its primary")

    @contextmanager
    def connected(self) -> Iterator[tuple[psycopg.Connection[Any], psycopg.Connection[Any]]]:
        """Connect to both for a block.

        Raises:
            NamedDatabaseError: one cannot be reached, or refuses a statement.

        """
        with opened(self.source) as source, opened(self.target) as target:
            yield source, target


@contextmanager
def opened(address: Address) -> Iterator[psycopg.Connection[Any]]:
    """Connect to one side for a block.

    Raises:
        NamedDatabaseError: it cannot be reached, or refuses a statement.

    """
    try:
        with connect(address, autocommit=True) as connection:
            yield connection
    except psycopg.Error as error:
        raise SchemaMoveError(
            f"{address.called}: {clean(address, error)}", hint="what was done stays done; run it again to go on"
        ) from None


def sides(
    configured: NamedDatabases,
    database: str,
    env: Mapping[str, str] = os.environ,
    *,
    dotenv: Path | None = Path(".env"),
) -> Sides:
    """Find both: the one database of single mode, and that which the moving one will have.

    Raises:
        ConfigError: split mode is on, or the other URL is not set.

    """
    if configured.split:
        raise ConfigError(
            "split mode is on: the tables are where they belong",
            hint="a move begins in single mode: SPLIT_DB_MODE=false, DATABASE_URL, and the URL of the database to come",
        )
    known = {one.name: one for one in configured.databases}
    if database not in known:
        raise ConfigError(f"there is no database {database!r}", hint=f"there are: {', '.join(known)}")
    source = address_of(known[database], direct=True, split=False)
    return Sides(database, source, address_of(split_place(known[database], env, dotenv=dotenv), direct=True))
