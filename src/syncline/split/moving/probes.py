"""What the tests of the way back have shown, table by table, kept at home."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.switching.gate import sql

FILE = "probe.sql"
VALID = timedelta(days=7)
"""So long a test counts."""


@dataclass(frozen=True, slots=True)
class Probe:
    """The newest test of a table."""

    entity: str
    at: datetime
    age_seconds: float
    problem: str | None
    in_the_way: bool
    """Others held what was asked for: it says nothing of the way back."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What a test has shown; see ``Probe``."""

    problem: str | None
    in_the_way: bool = False


def remember(home: psycopg.Connection[Any], move: str, found: Mapping[str, Tested]) -> None:
    """Write down what was found now."""
    ours = blocks(FILE, PACKAGE)
    with home.transaction():
        home.execute(sql("turn"))
        home.execute(ours["table"])
        for entity, tested in found.items():
            home.execute(ours["record"], {"move": move, "entity": entity, **asdict(tested)})


def recorded(home: psycopg.Connection[Any], move: str) -> list[Probe]:
    """Read what was written down."""
    ours = blocks(FILE, PACKAGE)
    row = home.execute(ours["is_there"]).fetchone()
    if not (row and row[0]):
        return []
    return [Probe(*found) for found in home.execute(ours["recorded"], {"move": move})]


def forget(home: psycopg.Connection[Any], move: str) -> None:
    """Forget the tests of a move."""
    if recorded(home, move):
        home.execute(blocks(FILE, PACKAGE)["forget"], {"move": move})


def against_probes(probes: Iterable[Probe], entities: Iterable[str], rehearsed: Collection[str] = ()) -> list[str]:
    """Say what of them speaks against a switch.

    Args:
        probes: what the tests have shown.
        entities: the tables that move, as the link calls them.
        rehearsed: those of a rehearsal that counts: they need no test, but one that fails counts all the same.

    """
    fresh = {one.entity: one for one in probes if one.age_seconds <= VALID.total_seconds()}
    untested = [name for name in entities if name not in fresh and name not in rehearsed]
    found = [f"the way back was not tested within {VALID.days} days: {', '.join(untested)}"] if untested else []
    failed = [one for one in fresh.values() if one.problem and not (one.in_the_way and one.entity in rehearsed)]
    return found + [f"the way back of {one.entity} fails: {one.problem}" for one in failed]
