"""Dropping one side's tables when a move is over: only what carries its gate, in the database with which it began."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from syncline.errors import SchemaMoveError
from syncline.postgres.sql import blocks
from syncline.split.catalogue import read_catalogue
from syncline.split.moving.identity import see_same
from syncline.split.moving.move import Moving
from syncline.split.moving.tables import PACKAGE
from syncline.split.schema.selection import views_of
from syncline.split.schema.sides import opened
from syncline.split.switching.gate import PACKAGE as GATES
from syncline.split.switching.gate import Mode, quoted


def drop_records(one: Moving) -> None:
    """Drop what the links remember in their targets."""
    for way, side in ((one.ways.there, one.ends.database), (one.ways.back, one.ends.home)):
        with _side(one, side) as connection:
            connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(way.target.control_schema)))


def drop_tables(one: Moving, side: str) -> None:
    """Drop the tables of a side, and views over nothing else that are on the other side, too: all at once, or none.

    Raises:
        SchemaMoveError: something else there depends on one, or one is not the move's.

    """
    other = next(each for each in one.ends.names if each != side)
    with _side(one, side) as connection, _side(one, other) as kept:
        views = list(_views(connection, one, kept))
        try:
            with connection.transaction():
                tables = [Identifier(*names) for names in _ours(connection, one, side)]
                for view, kind in views if tables else ():
                    connection.execute(SQL("DROP {} IF EXISTS {}").format(SQL(kind), view))
                if tables:
                    connection.execute(SQL("DROP TABLE IF EXISTS {}").format(SQL(", ").join(tables)))
        except psycopg.errors.DependentObjectsStillExist as error:
            detail = (error.diag.message_detail or "").splitlines()
            raise SchemaMoveError(
                f"{side}: something depends on these tables: {'; '.join(detail[:3])}",
                hint="drop it first, then run this again; everything else is done",
            ) from None


@contextmanager
def _side(one: Moving, side: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect to a side, and see that this connection leads to the database with which the move began."""
    with opened(one.ends.address(side)) as connection:
        name = "source" if side == one.ends.home else "target"
        see_same(one.ends, one.state, **{name: connection})
        yield connection


def _ours(connection: psycopg.Connection[Any], one: Moving, side: str) -> list[tuple[str, str]]:
    """Name the tables that are there; each, and everything below it, must have the gate that lets in the link alone.

    Raises:
        SchemaMoveError: one has not: it is not the move's.

    """
    gates, name = blocks("gate.sql", GATES), {"name": one.ends.database}
    found, doubtful = [], []
    for table in one.tables:
        rows = connection.execute(gates["family"], {**name, "table": quoted(table)}, prepare=False).fetchall()
        found += [(table.schema, table.name)] if rows else []
        doubtful += [f"{row[0]}.{row[1]}" for row in rows if not (row[3] and (row[4] or not row[2]))]
    if not found:
        return []
    there = connection.execute(gates["exists"], prepare=False).fetchone()
    row = connection.execute(gates["row"], name, prepare=False).fetchone() if there and there[0] else None
    if doubtful or row is None or row[0] != Mode.LINK:
        names = doubtful or [f"{schema}.{table}" for schema, table in found]
        raise SchemaMoveError(
            f"{side}: not closed by the gate of this move: {', '.join(names[:5])}; nothing was dropped",
            hint="if nobody wants them, drop them there yourself, and run this again; everything else is done",
        )
    return found


def _views(
    connection: psycopg.Connection[Any], one: Moving, kept: psycopg.Connection[Any]
) -> Iterator[tuple[Identifier, str]]:
    """Find the views that read these tables only and stay on the other side, the outermost first."""
    catalogue = read_catalogue(connection)
    others = set(kept.execute(blocks("moving.sql", PACKAGE)["views"], prepare=False).fetchall())
    wanted = {(each.schema, each.name) for each in one.tables}
    moving = frozenset(oid for oid, name in catalogue.names.items() if (name.schema, name.name) in wanted)
    for oid in sorted(views_of(catalogue, moving), reverse=True):
        name = catalogue.names[oid]
        schema = name.schema or "public"
        kind = "MATERIALIZED VIEW" if catalogue.kinds[oid] == "m" else "VIEW"
        if (schema, name.name) in others:
            yield Identifier(schema, name.name), kind
