"""What became of a transaction that failed: refused by a gate, not serializable, or not known."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

import psycopg

SCHEMA = "syncline_gate"


class Refusal(StrEnum):
    """Why a transaction is to be run again; it wrote nothing."""

    CLOSING = "closing"
    CLOSED = "closed"
    MOVED = "moved"
    EARLY = "early"
    """It began before the side was opened."""
    LINK = "link"
    SERIALIZATION = "serialization"
    """Not the gate's: the database could not serialize it."""


def refusal_of(error: BaseException) -> Refusal | None:
    """Say why a transaction may be run again; ``None``: it may not."""
    for each in _chain(error):
        if isinstance(each, psycopg.Error) and each.sqlstate == "40001":
            ours = each.diag.schema_name == SCHEMA and each.diag.constraint_name
            return Refusal(ours) if ours else Refusal.SERIALIZATION
    return None


def is_unknown(error: BaseException) -> bool:
    """Tell whether a COMMIT that failed so may have been done: the connection was lost, or the server went away."""
    for each in _chain(error):
        if isinstance(each, psycopg.OperationalError | psycopg.InterfaceError):
            state = each.sqlstate or ""
            return state[:2] not in {"40", "23", "53", "25"}
    return False


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Go from an ORM's error to the driver's."""
    at: BaseException | None = error
    seen: set[int] = set()
    while at is not None and id(at) not in seen:  # two may be each other's cause
        seen.add(id(at))
        yield at
        at = getattr(at, "orig", None) or at.__cause__
