"""Tables of versions of a tree whose tables move: they are carried along."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from syncline.postgres.sql import blocks

OLD_TABLE = "alembic_version"
"""Where the one tree of before has noted its revision: a new tree may yet have to go on from there."""


def carry_versions(source: psycopg.Connection[Any], target: psycopg.Connection[Any], table: str) -> None:
    """Note at the new place of tables at which revisions they are; where no tree has made them, nothing.

    Args:
        source: to the database where they are, in autocommit.
        target: to the other one, in autocommit.
        table: the tree's table of versions.

    """
    for name in dict.fromkeys((table, OLD_TABLE)):
        found = source.execute(_sql("has_table"), [name], prepare=False).fetchone()
        if found is None or not found[0]:
            continue
        place, key = sql.Identifier(name), sql.Identifier(f"{name}_pkc")
        rows = source.execute(sql.SQL("SELECT version_num FROM {}").format(place), prepare=False).fetchall()
        with target.transaction():
            target.execute(sql.SQL(_sql("make_table")).format(table=place, key=key))
            target.execute(sql.SQL("DELETE FROM {}").format(place))
            for row in rows:
                target.execute(sql.SQL("INSERT INTO {} VALUES (%s)").format(place), row)


def _sql(name: str) -> str:
    return blocks("migrations.sql", "syncline.split.migrations")[name]
