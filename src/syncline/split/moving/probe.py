"""The test of the way back: a row of each moving table, read on the new side, is written at home by that way's role.

It shows rights, columns, types and rules at home, and that the new side marks what is written there. Both transactions
are rolled back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import Connection, errors
from psycopg.sql import SQL, Composable, Composed, Placeholder

from syncline.engines.postgres.projection_sql import named, table_of
from syncline.model.entity import TableName
from syncline.model.link import entered
from syncline.postgres.sql import blocks
from syncline.split.connecting import clean
from syncline.split.moving.move import Moving
from syncline.split.moving.probes import FILE, Probe, Tested, recorded, remember
from syncline.split.moving.tables import PACKAGE, MovingTable
from syncline.split.switching.gate import Mode, gate_in, quoted

_TRIES = 4
_PAUSE_SECONDS = 0.1
_BUSY = (errors.LockNotAvailable, errors.QueryCanceled, errors.TransactionRollback)
"""Other writers were in the way: it says nothing of the way back."""
_RACES = (*_BUSY, errors.IntegrityError)
"""What other writers may cause: the row on the new side is a moment older. Another row is tried."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    key: bool
    always: bool
    """GENERATED ALWAYS AS IDENTITY: it is inserted, and cannot be set."""
    computed: bool
    forced: bool
    """Policies bind the table's owner: on while applications write there, off for the link."""


def probe(one: Moving) -> list[Probe]:
    """Test the way back of each table, and write down what came of it; while home does not serve, read what was.

    Raises:
        SchemaMoveError: a side cannot be reached.

    """
    move = one.ends.database
    with one.ends.sides.connected() as (home, goal):
        ours, theirs = (gate_in(side, move) for side in (home, goal))
        if ours and theirs and (ours.mode, theirs.mode) == (Mode.APPLICATION, Mode.LINK):
            admission = json.dumps({move: theirs.link})
            found = {table.entity: _tested(one, table, home, goal, admission) for table in one.state.tables}
            remember(home, move, found)
        return recorded(home, move)


def _tested(one: Moving, table: MovingTable, home: Connection[Any], goal: Connection[Any], admission: str) -> Tested:
    problem = Tested(None)
    for turn in range(_TRIES):
        at = one.ends.database
        try:
            ours, theirs = (columns_of(side, table.table) for side in (home, goal))
            if differing := {column.name for column in ours} ^ {column.name for column in theirs}:
                return Tested(f"these columns are on one side only: {', '.join(sorted(differing))}")
            row, marked = _taken(one, table, goal, theirs, admission, skip=turn)
            if not marked:
                return Tested(f"{at} does not capture its changes: an update made no mark")
            at = one.ends.home
            _bring(table, home, ours, row)
        except psycopg.Error as error:
            problem = Tested(f"{at}: {clean(one.ends.address(at), error)}", in_the_way=isinstance(error, _BUSY))
            if not isinstance(error, _RACES):
                return problem
            time.sleep(_PAUSE_SECONDS)
        else:
            return Tested(None)
    return problem


def _taken(
    one: Moving, table: MovingTable, goal: Connection[Any], columns: Sequence[Column], admission: str, *, skip: int
) -> tuple[dict[str, Any] | None, bool]:
    """Read a row on the new side, and see that an update of it is captured; ``None``: there is none."""
    with goal.transaction(force_rollback=True):
        _limit(goal)
        goal.execute(_sql("as_link"), {"admission": admission})
        read = _composed("row", table.table, columns)
        row = goal.execute(read, {"skip": skip}).fetchone() or goal.execute(read, {"skip": 0}).fetchone()
        if row is None:
            return None, True
        found = {column.name: value for column, value in zip(written_of(columns), row, strict=True)}
        if not settable_of(columns):
            return found, True
        goal.execute(_composed("update", table.table, columns, touch=True), _values(columns, found))
        return found, _is_marked(one, table, goal)


def _bring(table: MovingTable, home: Connection[Any], columns: Sequence[Column], row: dict[str, Any] | None) -> None:
    """Write it at home, as the way back would; without a row the rights are tried."""
    values = _values(columns, None if any(column.forced for column in columns) else row)
    with home.transaction(force_rollback=True):
        _limit(home)
        for block in ("update", "insert", "delete") if settable_of(columns) else ("insert", "delete"):
            home.execute(_composed(block, table.table, columns), values)


def _limit(connection: Connection[Any]) -> None:
    connection.execute(blocks("link.sql", PACKAGE)["pinned"])
    connection.execute(_sql("limits"))


def _is_marked(one: Moving, table: MovingTable, goal: Connection[Any]) -> bool:
    with entered(one.ways.back.link):
        statement = blocks(FILE, PACKAGE)["marked"]
    found = goal.execute(statement, {"entity": table.entity}).fetchone()
    return bool(found and found[0])


def columns_of(connection: Connection[Any], table: TableName) -> list[Column]:
    return [Column(*row) for row in connection.execute(_sql("columns"), {"table": quoted(table)})]


def written_of(columns: Sequence[Column]) -> list[Column]:
    return [one for one in columns if not one.computed]


def settable_of(columns: Sequence[Column]) -> list[Column]:
    found = [one for one in written_of(columns) if not one.always]
    return [one for one in found if not one.key] or found


def _values(columns: Sequence[Column], row: dict[str, Any] | None) -> dict[str, Any]:
    given = {f"c{place}": (row or {}).get(column.name) for place, column in enumerate(written_of(columns))}
    return {"real": row is not None, **given}


def _composed(block: str, table: TableName, columns: Sequence[Column], *, touch: bool = False) -> Composed:
    """Compose a statement; ``touch``: one column is set, to what it is."""
    written, keys = written_of(columns), [one for one in columns if one.key]
    sets = settable_of(columns)[: 1 if touch else None]
    return SQL(blocks(FILE, PACKAGE)[block]).format(
        table=table_of(table),
        texts=_listed(SQL("t.{}::text").format(named(one.name)) for one in written),
        keys=_listed(named("t", one.name) for one in keys),
        names=_listed(named(one.name) for one in written),
        taken=_listed(named("r", one.name) for one in written),
        values=_listed(
            SQL("{}::text::{}").format(Placeholder(f"c{place}"), SQL(one.type.replace("%", "%%")))
            for place, one in enumerate(written)
        ),
        sets=_listed(SQL("{0} = r.{0}").format(named(one.name)) for one in sets),
        same=SQL(" AND ").join(SQL("t.{0} = r.{0}").format(named(one.name)) for one in keys),
    )


def _listed(parts: Iterable[Composable]) -> Composed:
    return SQL(", ").join(parts)


def _sql(block: str) -> str:
    return blocks(FILE, PACKAGE)[block]
