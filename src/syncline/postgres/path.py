"""The ``search_path`` under which ``where`` and computed fields are evaluated: that of the installation, for everybody.

It decides which operators and functions an expression means: without the schema of ``citext`` on it, ``=`` compares a
case-insensitive column as text, and says nothing.
"""

from __future__ import annotations

import psycopg

from syncline.postgres.connection import Connection, translated
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.lent import SourceConnection
from syncline.postgres.sql import ours

_RECORDED = "/* syncline */ SELECT search_path FROM syncline.meta"
_CLOSED = """/* syncline */
SELECT pg_catalog.quote_ident(nspname) FROM pg_catalog.pg_namespace
WHERE pg_catalog.quote_ident(nspname) = ANY(string_to_array(%s, ', '))
  AND NOT pg_catalog.has_schema_privilege(oid, 'USAGE')
"""


async def pin_path(connection: Connection) -> str | None:
    """Set the path that was recorded at the installation, for all work of this connection; return it.

    ``None``: there is no installation (any more), or it is one of before this was recorded; whoever needs it finds out.
    """
    with translated():
        try:
            row = await (await connection.execute(ours(_RECORDED))).fetchone()
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.InvalidSchemaName):
            return None
        if row is None or row[0] is None:
            return None
        if isinstance(connection, SourceConnection):
            await connection.pin("search_path", row[0])
        else:
            await connection.execute("SELECT set_config('search_path', %s, false)", (row[0],))
    return str(row[0])


async def closed_schemas(connection: Connection, path: str) -> list[str]:
    """List the schemas of the path that this role may not use: PostgreSQL passes them over, and says nothing."""
    if on_cockroach(connection):
        return []
    with translated():
        return [name for (name,) in await (await connection.execute(_CLOSED, (path,))).fetchall()]
