"""What a named database is seen to be; and whether two names lead to one database, or each to the other's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

import psycopg
from psycopg.rows import dict_row

from syncline.errors import NamedDatabaseError
from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.connecting import connect
from syncline.split.names import Name
from syncline.split.ownership import Ownership

_ROUND_TRIPS = 5


@dataclass(frozen=True, slots=True)
class Identity:
    """Which database it is, whatever URL leads there."""

    system: str | None
    """The cluster's identifier, which a standby shares. Managed services let not every role read it."""
    started: str
    oid: str
    name: str

    def is_same(self, other: Identity) -> bool:
        """Tell whether it is the other one; by the server's start, where an identifier is missing."""
        if (self.oid, self.name) != (other.oid, other.name):
            return False
        if self.system is not None and other.system is not None:
            return self.system == other.system
        return self.started == other.started


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen through one connection."""

    address: Address
    identity: Identity
    version: str
    product: str
    standby: bool
    role: str
    schema: str | None
    tls: bool
    socket: bool
    """The server was reached through a socket of this machine."""
    connect_seconds: float
    latency_seconds: float
    """The fastest of a few round trips."""
    free: int
    """Connections that this role could still open on the server."""
    tables: Mapping[Name, tuple[str, ...]] = field(repr=False)
    """By table: the privileges that the role lacks."""


def look(address: Address) -> Seen:
    """Look at a database.

    Raises:
        NamedDatabaseError: no connection can be opened.

    """
    began = time.perf_counter()
    with connect(address, autocommit=True, row_factory=dict_row) as connection:
        opened = time.perf_counter() - began
        server = _one(connection, "server")
        tables = connection.execute(_sql("tables")).fetchall()
        return Seen(
            address=address,
            identity=Identity(_system(connection), server["started"], server["oid"], server["name"]),
            version=str(server["version"]).split(" ")[0],
            product=server["product"],
            standby=server["standby"],
            role=server["role"],
            schema=server["schema"],
            tls=bool(connection.pgconn.ssl_in_use),
            socket=connection.info.host.startswith("/"),
            connect_seconds=opened,
            latency_seconds=min(_round_trip(connection) for _ in range(_ROUND_TRIPS)),
            free=_free(_one(connection, "connections")),
            tables={Name(row["schema"], row["name"]): tuple(row["missing"]) for row in tables},
        )


def compare(seen: Mapping[str, Seen], ownership: Ownership) -> None:
    """See that the names of split mode lead to different databases, each with its own tables.

    Raises:
        NamedDatabaseError: two lead to the same one, or they are swapped.

    """
    for one, another in combinations(seen.values(), 2):
        if one.identity.is_same(another.identity):
            called = f"{one.address.called} and {another.address.called}"
            raise NamedDatabaseError(
                f"{called} lead to the same database ({one.identity.name})",
                hint="one of them is wrong; for one database take single mode: SPLIT_DB_MODE=false and DATABASE_URL",
            )
    for name, other in permutations(seen, 2):
        _not_swapped(seen[name], set(ownership.owned(name)), seen[other], set(ownership.owned(other)))


def see_that_none_is_elsewhere(seen: Mapping[str, Seen], ownership: Ownership) -> None:
    """See that no database lacks all of its tables while another one has some: they were never moved, or stayed there.

    Raises:
        NamedDatabaseError: one does.

    """
    for name, other in permutations(seen, 2):
        own = set(ownership.owned(name))
        here, there = seen[name], seen[other]
        if own & there.tables.keys() and not own & here.tables.keys():
            raise NamedDatabaseError(
                f"{here.address.called} leads to a database without {_few(own)}, which {there.address.called} has",
                hint=f"`syncline split copy {name}` moves them; until then, and when a move was given up, take single"
                " mode: SPLIT_DB_MODE=false and DATABASE_URL",
            )


def _not_swapped(one: Seen, own: set[Name], other: Seen, foreign: set[Name]) -> None:
    here = one.tables.keys()
    if foreign & here and own & other.tables.keys() and not own & here:
        raise NamedDatabaseError(
            f"{one.address.called} leads to a database without {_few(own)} but with {_few(foreign & here)}",
            hint=f"are {one.address.called} and {other.address.called} swapped?",
        )


def _few(names: set[Name]) -> str:
    shown = sorted(map(str, names))
    return ", ".join(shown[:3]) + (", …" if len(shown) > 3 else "")


def _sql(name: str) -> str:
    return blocks("examination.sql", "syncline.split")[name]


def _one(connection: psycopg.Connection[dict[str, Any]], name: str) -> dict[str, Any]:
    row = connection.execute(_sql(name)).fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM has one row
    return row


def _system(connection: psycopg.Connection[dict[str, Any]]) -> str | None:
    try:
        return str(_one(connection, "system")["system"])
    except psycopg.errors.InsufficientPrivilege:
        return None


def _round_trip(connection: psycopg.Connection[Any]) -> float:
    began = time.perf_counter()
    connection.execute("SELECT 1")
    return time.perf_counter() - began


def _free(row: Mapping[str, int]) -> int:
    free = [row["of_server"]]
    for limit, used in (("database_limit", "in_database"), ("role_limit", "of_role")):
        if row[limit] >= 0:
            free.append(row[limit] - row[used])
    return max(0, min(free))
