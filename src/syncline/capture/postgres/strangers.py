"""Tables of others in our schema: a link's may bear the name of one that an application has."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection

from syncline.errors import SourceError
from syncline.journal.parts import Kind, parts
from syncline.model.link import current
from syncline.postgres.dialect import dialect_of
from syncline.postgres.sql import blocks

SHOWN = 5


async def refuse_to_drop(conn: AsyncConnection[Any]) -> None:
    """See that nothing of others goes with our schema.

    Raises:
        SourceError: something would.

    """
    if found := await _strangers(conn):
        raise SourceError(
            f"{_shown(found)} in the schema {current().schema} would be dropped too, and is not Syncline's",
            hint="move it (ALTER TABLE … SET SCHEMA …), or drop it yourself first",
        )


async def _strangers(conn: AsyncConnection[Any]) -> list[str]:
    known = [part.name for part in parts(dialect_of(conn)) if part.kind in (Kind.TABLE, Kind.VIEW)]
    query = blocks("strangers.sql", "syncline.capture.postgres")["strangers"]
    rows = await (await conn.execute(query, {"known": known})).fetchall()
    return [next(iter(row.values())) if isinstance(row, dict) else row[0] for row in rows]


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
