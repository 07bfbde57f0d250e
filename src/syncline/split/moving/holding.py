"""Holding back one table of a link: its marks wait, as they do while it is copied, and other tables go on."""

from __future__ import annotations

from typing import Any

import psycopg

from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE


def hold(source: psycopg.Connection[Any], link: Link, entity: str, *, held: bool) -> None:
    """Have a table's marks wait, or be read again; nothing is lost meanwhile.

    Args:
        source: to the link's source, in autocommit.
        link: which one.
        entity: the table's name there.
        held: whether they wait from now on.

    """
    with entered(link):
        ours, copying = blocks("link.sql", PACKAGE), blocks("source.sql", "syncline.engines.postgres.copying")
    with source.transaction():
        source.execute(ours["hold" if held else "let_go"], {"entity": entity}, prepare=False)
        # Lanes begin anew: a reader has passed over marks that are due now, or has read some that are not.
        source.execute(copying["take_lanes"], {"above": 0}, prepare=False)
        source.execute(copying["wake"], prepare=False)
