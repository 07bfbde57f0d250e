"""Tables of versions of a tree whose tables move: they are carried along, and meanwhile no revision is run."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg
from psycopg import sql

from syncline.errors import MigrationError, NamedDatabaseUnavailableError
from syncline.postgres.sql import blocks
from syncline.split.connecting import connect
from syncline.split.databases import Databases

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


def see_that_nothing_moves(databases: Databases, name: str) -> None:
    """See that the tables of a database are not on the move: a revision would change one side alone.

    Raises:
        MigrationError: they are.

    """
    places = {each.address.conninfo: each.address for each in databases}
    for address in places.values():
        with (
            contextlib.suppress(NamedDatabaseUnavailableError),
            connect(address, autocommit=True, application_name="syncline db") as connection,
        ):
            if phase := _phase(connection, name):
                raise MigrationError(
                    f"{name}: its tables are on the move ({phase}), and a revision would change one side alone",
                    hint=f"end it first: `syncline split finish {name}` where {name} serves, else `split abort`",
                )


def _phase(connection: psycopg.Connection[Any], name: str) -> str | None:
    found = connection.execute(_sql("has_moves"), prepare=False).fetchone()
    row = connection.execute(_sql("move"), [name], prepare=False).fetchone() if found and found[0] else None
    return row and str(row[0])


def _sql(name: str) -> str:
    return blocks("migrations.sql", "syncline.split.migrations")[name]
