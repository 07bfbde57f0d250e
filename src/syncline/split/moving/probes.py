"""What the tests of the way back have shown, table by table, kept at home."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def remember(home: psycopg.Connection[Any], move: str, problems: Mapping[str, str | None]) -> None:
    """Write down what was found now."""
    ours = blocks(FILE, PACKAGE)
    with home.transaction():
        home.execute(sql("turn"))
        home.execute(ours["table"])
        for entity, problem in problems.items():
            home.execute(ours["record"], {"move": move, "entity": entity, "problem": problem})


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


def against_probes(probes: Iterable[Probe], entities: Iterable[str]) -> list[str]:
    """Say what of them speaks against a switch."""
    known = {one.entity: one for one in probes}
    fresh = {name: one for name, one in known.items() if one.age_seconds <= VALID.total_seconds()}
    untested = [name for name in entities if name not in fresh]
    found = [f"the way back was not tested within {VALID.days} days: {', '.join(untested)}"] if untested else []
    return found + [f"the way back of {one.entity} fails: {one.problem}" for one in fresh.values() if one.problem]
