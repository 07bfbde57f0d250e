"""Rows as the source has them now; where some cannot be read, those are named, and the others are read all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from syncline.errors import SourceError, SynclineError, TableLockedError
from syncline.ports import Document, Plan, Source

CHUNK = 1000
"""Rows that are read at a time."""


@dataclass(slots=True)
class Rows:
    """Records as the source has them."""

    bodies: dict[str, Document] = field(default_factory=dict)
    """By key, with their key as ``_originalId``; those that are not there are in none of the three."""
    unreadable: set[str] = field(default_factory=set)
    impossible: set[str] = field(default_factory=set)
    """Keys that the source's encoding has no bytes for."""


async def read_rows(source: Source, plan: Plan, keys: Sequence[str]) -> Rows:
    """Read records; if that fails, one by one, to see which of them cannot be read.

    Raises:
        SourceError: the source cannot be read at the moment, or the table is locked.

    """
    rows = Rows()
    for start in range(0, len(keys), CHUNK):
        chunk = keys[start : start + CHUNK]
        try:
            await _read(source, plan, chunk, rows)
        except Exception as error:
            if _passes(error):
                raise
            for key in chunk:
                await _read_one(source, plan, key, rows)
    return rows


async def _read_one(source: Source, plan: Plan, key: str, rows: Rows) -> None:
    try:
        await _read(source, plan, [key], rows, apart=True)
    except Exception as error:
        if _passes(error):
            raise
        impossible = isinstance(error, SourceError) and error.unsayable
        (rows.impossible if impossible else rows.unreadable).add(key)  # or the mapping stumbles over the row


async def _read(source: Source, plan: Plan, keys: Sequence[str], rows: Rows, *, apart: bool = False) -> None:
    states = await source.records.read(plan, keys, apart=apart)
    rows.bodies |= {state.key: {"_originalId": state.key, **state.body} for state in states.present(0)}


def _passes(error: Exception) -> bool:
    return isinstance(error, SynclineError) and (error.retryable or isinstance(error, TableLockedError))
