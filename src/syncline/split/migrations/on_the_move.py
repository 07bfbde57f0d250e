"""Revisions of a tree whose tables move: run where they serve, what cannot be followed on the other side is refused."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from syncline.config.databases import variable
from syncline.errors import ConfigError, MigrationError, NamedDatabaseError, NamedDatabaseUnavailableError
from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.connecting import connect
from syncline.split.databases import Databases
from syncline.split.migrations.carried import carry_versions
from syncline.split.migrations.trees import Tree
from syncline.split.moving.ends import Ends, ends
from syncline.split.moving.gates import serving
from syncline.split.moving.newcomers import differing_tables
from syncline.split.moving.state import Book, Phase, State
from syncline.split.moving.watched import family
from syncline.split.schema.changes import changed
from syncline.split.schema.definitions import Definition, read_altered, read_definitions
from syncline.split.switching.gate import gate_in

_EVERY_SECONDS = 0.5


@dataclass(slots=True)
class OnTheMove:
    """A move that is followed: a revision is run on the side that serves, and does what can be followed."""

    databases: Databases
    ends: Ends
    state: State
    side: str
    """The one that serves."""
    version_table: str
    _known: dict[int, Definition] = field(default_factory=dict, init=False)

    @property
    def address(self) -> Address:
        """Of the side that serves."""
        return self.ends.address(self.side)

    def begin(self, connection: psycopg.Connection[Any]) -> None:
        """Keep the sides from changing to the end of this transaction.

        Raises:
            MigrationError: they are changing.

        """
        name = self.ends.database
        held = connection.execute(_sql("hold_gate"), [name], prepare=False).fetchone()
        row = connection.execute(_sql("gate_is_open"), [name], prepare=False).fetchone() if held and held[0] else None
        if not (row and row[0]):
            raise MigrationError(f"{name}: its tables are changing sides", hint="run it again in a moment")

    @contextlib.contextmanager
    def noted(self, connection: psycopg.Connection[Any]) -> Iterator[None]:
        """Note what the tables are, for a block in which revisions are run; then note their versions over there."""
        self._known = read_definitions(connection, family(connection, self._tables))
        try:
            yield
        finally:
            if not connection.closed:
                with contextlib.suppress(NamedDatabaseUnavailableError):  # no revision was kept then
                    self.carry(connection)

    def commit(self, connection: psycopg.Connection[Any]) -> None:
        """See that what a transaction has done can be done over there, and note the versions there before it is kept.

        Raises:
            MigrationError: it cannot.

        """
        oids = {*family(connection, self._tables), *self._known}
        now = read_altered(connection, oids)
        if said := [*self._stopping(now), *self._left_behind(connection)]:
            raise MigrationError(
                f"{'; '.join(said)}: this cannot be followed on the other side while the tables of {self.ends.database}"
                " move"
            )
        self._known = now
        self.carry(connection)

    @property
    def _tables(self) -> list[Any]:
        return [one.table for one in self.state.tables]

    def _stopping(self, now: dict[int, Definition]) -> Iterator[str]:
        moving, major = frozenset(self._known), self._major_over_there()
        for oid, old in self._known.items():
            yield from changed(old, now.get(oid), moving=moving, major=major).stop
        for oid in sorted(now.keys() - self._known.keys()):
            yield f"{now[oid].table.quoted} is a new partition"

    def _left_behind(self, connection: psycopg.Connection[Any]) -> list[str]:
        ownership = self.databases.routing.ownership
        return differing_tables(self.ends.database, self._tables, ownership, self.side, connection)

    def _major_over_there(self) -> int:
        with connect(self._other, autocommit=True) as there:
            return there.info.server_version // 10_000

    @property
    def _other(self) -> Address:
        return self.ends.address(next(side for side in self.ends.names if side != self.side))

    def carry(self, connection: psycopg.Connection[Any]) -> None:
        """Note on the other side what the tree's table of versions says on the one that serves."""
        with connect(self._other, autocommit=True, application_name="syncline db") as there:
            carry_versions(connection, there, self.version_table)


def move_of(tree: Tree, wait_seconds: float = 0.0, *, needed: bool = False) -> OnTheMove | None:
    """Find the move of a tree's tables, also where they seem to lack nothing.

    Versions are noted on the side that does not serve before the one that does keeps a revision: a runner that is
    killed in between leaves them ahead.

    Args:
        tree: the tree.
        wait_seconds: so long is waited for it.
        needed: something is to be run; else nobody is waited for, and nothing is refused.

    Raises:
        MigrationError, NamedDatabaseError: as ``on_the_move``.

    """
    try:
        return on_the_move(tree.databases, tree.name, tree.version_table, wait_seconds if needed else 0.0)
    except (MigrationError, NamedDatabaseError):
        if needed:
            raise
        return None


def on_the_move(
    databases: Databases,
    name: str,
    version_table: str,
    patience_seconds: float = 0.0,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> OnTheMove | None:
    """Find the move of a database's tables; while they are copied, or change sides, it is waited for.

    Raises:
        MigrationError: it takes longer than that.
        NamedDatabaseUnavailableError: a side is away.

    """
    until = clock() + patience_seconds
    while phase := _phase(databases, name):
        found = None
        if phase == Phase.FOLLOWING:
            found = _found(databases, name, version_table)
            if found is not None:
                return found
        if clock() >= until:
            what = "changing sides" if phase == Phase.FOLLOWING else f"being copied ({phase})"
            raise MigrationError(
                f"{name}: its tables are {what}, and a revision would change one side alone",
                hint=f"run it again when they are not (`syncline split status {name}`); --wait SECONDS waits longer",
            )
        sleep(_EVERY_SECONDS)
    return None


def _found(databases: Databases, name: str, version_table: str) -> OnTheMove | None:
    try:
        both = ends(databases.configured, name)
    except ConfigError:
        raise MigrationError(
            f"{name}: its tables are on the move, and a revision is noted on both sides",
            hint=f"set {variable(name)}, as for `syncline split copy {name}`",
        ) from None
    with both.sides.connected() as (home, goal):
        state, side = Book(name, home).read(), serving(both, home, goal)
    if state is None or side is None:
        return None
    return OnTheMove(databases, both, state, side, version_table)


def _phase(databases: Databases, name: str) -> str | None:
    """Read the phase of a move that is not over, wherever it is noted.

    Raises:
        NamedDatabaseUnavailableError: there are gates of it, and what may have its phase is away.

    """
    places = {each.address.conninfo: each.address for each in databases}
    away, gated = None, False
    for address in places.values():
        try:
            with connect(address, autocommit=True, application_name="syncline db") as connection:
                found = connection.execute(_sql("has_moves"), prepare=False).fetchone()
                row = connection.execute(_sql("move"), [name], prepare=False).fetchone() if found and found[0] else None
                if row:
                    return str(row[0])
                gated = gated or gate_in(connection, name) is not None
        except NamedDatabaseUnavailableError as error:
            away = error
    if away is not None and gated:
        raise away
    return None


def _sql(name: str) -> str:
    return blocks("migrations.sql", "syncline.split.migrations")[name]
