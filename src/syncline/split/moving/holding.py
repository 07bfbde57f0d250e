"""Holding back one table of a link: its marks wait, as they do while it is copied, and other tables go on."""

from __future__ import annotations

from typing import Any

import psycopg

from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE


def hold(source: psycopg.Connection[Any], link: Link, entity: str, *, held: bool, copied: bool = False) -> None:
    """Have a table's marks wait, or be read again; nothing is lost meanwhile. A copy that goes on is let alone.

    Args:
        source: to the link's source, in autocommit.
        link: which one.
        entity: the table's name there.
        held: whether they wait from now on.
        copied: the table is over there, whether or not a copy of this link has brought it.

    """
    with entered(link):
        ours, copying = blocks("link.sql", PACKAGE), blocks("source.sql", "syncline.engines.postgres.copying")
    if not _tells(source, ours["has_copies"]):
        return  # nothing is captured yet
    if not _tells(source, ours["are_held"]):
        source.execute(ours["held"], prepare=False)
    with source.transaction():
        given = {"link": link.name, "entity": entity, "copied": copied}
        done = source.execute(ours["hold" if held else "let_go"], given, prepare=False)
        if done.rowcount > 0:
            # Lanes begin anew: a reader has passed over marks that are due now, or has read some that are not.
            source.execute(copying["take_lanes"], {"above": 0}, prepare=False)
            source.execute(copying["wake"], prepare=False)


def is_captured(source: psycopg.Connection[Any], link: Link) -> bool:
    """Tell whether what is written on a side is captured for a link."""
    with entered(link):
        return _tells(source, blocks("link.sql", PACKAGE)["has_copies"])


def _tells(source: psycopg.Connection[Any], statement: str) -> bool:
    row = source.execute(statement, prepare=False).fetchone()
    return bool(row and row[0])
