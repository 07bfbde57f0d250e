"""A copy of the tables that move, as they are at home at one moment: read as a dump reads, into a scratch database."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from syncline.model.entity import TableName
from syncline.postgres.sql import blocks
from syncline.split.backup.contents import settle
from syncline.split.moving.ends import Ends
from syncline.split.moving.move import Look
from syncline.split.moving.tables import moving_tables
from syncline.split.names import Name
from syncline.split.rehearsing.scratch import sql
from syncline.split.schema.carrying import carry_out
from syncline.split.schema.sides import opened
from syncline.split.schema.things import Phase, Step
from syncline.split.switching.gate import quoted

Shown = Callable[[str], None]


def fill(serving: Ends, scratch: Ends, look: Look, *, tell: Callable[[Step], None], shown: Shown) -> Mapping[str, int]:
    """Make the tables of home anew in its scratch database, with their rows; give how many each has.

    Home is read in one transaction that sees one moment and writes nothing.

    Args:
        serving: the databases that serve.
        scratch: those of the rehearsal.
        look: plans what a schema needs elsewhere.
        tell: told of each step of the schema.
        shown: told which table is read.

    Raises:
        SchemaMoveError: what moves cannot be made elsewhere.

    """
    with opened(serving.sides.source) as home, opened(scratch.sides.source) as copy:
        with home.transaction():
            home.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY", prepare=False)
            plan = look(home, copy)
            tables = [one.table for one in moving_tables(home, plan.tables)]
            carry_out(plan, copy, Phase.BEFORE, tell=tell)
            settle(home)
            rows = {str(table): _rows(home, copy, table, shown) for table in tables}
            _sequences(
                home, copy, [*(Name.read(one.name) for one in plan.sequences), *(Name(*one) for one in plan.drawn)]
            )
        for phase in (Phase.AFTER, Phase.OPENING):
            carry_out(look(home, copy), copy, phase, rows=True, tell=tell)
        return rows


def _rows(home: psycopg.Connection[Any], copy: psycopg.Connection[Any], table: TableName, shown: Shown) -> int:
    shown(str(table))
    (names,) = home.execute(sql("columns"), {"table": quoted(table)}, prepare=False).fetchall()[0]
    place = Identifier(table.schema, table.name)
    columns = SQL(", ").join(map(Identifier, names))
    texts = blocks("rehearsing.sql", "syncline.split.rehearsing", comment=False)
    read, write = (SQL(texts[name]).format(table=place, columns=columns) for name in ("read", "write"))
    with copy.transaction():
        settle(copy)
        cursor = copy.cursor()
        with home.cursor().copy(read) as out, cursor.copy(write) as into:
            for block in out:
                into.write(block)
        return cursor.rowcount


def _sequences(home: psycopg.Connection[Any], copy: psycopg.Connection[Any], names: Iterable[Name]) -> None:
    """Have sequences go on where they are at home."""
    for name in names:
        sequence = Identifier(*(part for part in name if part is not None))
        row = home.execute(SQL("SELECT last_value, is_called FROM {}").format(sequence)).fetchall()[0]
        copy.execute(
            SQL("SELECT pg_catalog.setval({}, {}, {})").format(Literal(sequence.as_string()), *map(Literal, row))
        )
