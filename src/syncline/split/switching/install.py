"""Puts the gate into a database, on each moved table and everything below it. It needs no superuser."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg.errors import LockNotAvailable
from psycopg.sql import SQL, Identifier, Literal

from syncline.errors import SwitchError, TableLockedError
from syncline.model.entity import TableName
from syncline.split.switching.gate import Gate, Mode, quoted, sql

TRIGGER, ROW_TRIGGER = "syncline_gate", "syncline_gate_row"
_SCHEMA = (
    "schema",
    "open_schema",
    "gate",
    "last_number",
    "open_gate",
    "journal",
    "refuse",
    "shared",
    "pass",
    "change",
    "hold",
    "coordinators_change",
    "coordinators_hold",
)
_LOCK_PATIENCE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A table of a move on one side, and whether its gate is as it must be."""

    table: TableName
    root: bool
    """It is partitioned and no partition itself: rows of its partitions are looked at, too."""
    statements: bool
    rows: bool
    subscribed: bool
    """A subscription of logical replication writes it, which fires no trigger of statements."""

    @property
    def complete(self) -> bool:
        """Tell whether every write meets the gate."""
        return self.statements and (self.rows or not self.root)


async def install(gate: Gate, mode: Mode, tables: Iterable[TableName], *, journal: str | None = None) -> None:
    """Put schema, row and triggers in place; what is there already stays as it is.

    Each table is locked on its own, for a moment, when its open writers have ended.

    Args:
        gate: the side's.
        mode: who may write here as long as nothing has been switched.
        tables: those that move.
        journal: the side that serves, where this database has the move's journal.

    Raises:
        TableLockedError: a writer had not ended in time; run it again.
        PrivilegeError: the role may not create the schema, or does not own a table.
        SwitchError: there is no such table.

    """
    name, opened = {"name": gate.move}, 0 if mode is Mode.APPLICATION else -1
    async with gate.session.connected() as connection, connection.transaction():
        await connection.execute(sql("turn"))
        for part in _SCHEMA:
            await connection.execute(sql(part))
        await connection.execute(sql("begin"), {**name, "mode": mode, "opened": opened})
        if journal is not None:
            await connection.execute(sql("begin_journal"), {**name, "side": journal})
    for table in tables:
        for one in await family(gate, table):
            if not one.complete:
                await _guard(gate, one)


async def family(gate: Gate, table: TableName) -> list[Guarded]:
    """Look at a table and everything below it.

    Raises:
        SwitchError: there is no such table.

    """
    values = {"name": gate.move, "table": quoted(table)}
    rows = await gate.session.rows(sql("family"), values)
    if not rows:
        raise SwitchError(f"{gate.side} has no table {table}", hint="the move's tables must be there first")
    return [Guarded(TableName(schema, name), *rest) for schema, name, *rest in rows]


async def unguarded(gate: Gate, tables: Iterable[TableName]) -> list[str]:
    """Say what writes around the gate: tables without it, and subscriptions."""
    found = []
    for table in tables:
        for one in await family(gate, table):
            if not one.complete:
                found.append(f"{gate.side}: {one.table} has no gate, or it is disabled")
            if one.subscribed:
                found.append(f"{gate.side}: a subscription writes {one.table}, around the gate")
    return found


async def uninstall(gate: Gate, tables: Iterable[TableName]) -> None:
    """Take the triggers and the rows of the move away; the schema stays, for other moves.

    Raises:
        TableLockedError: a writer had not ended in time; run it again.

    """
    for table in tables:
        for one in await family(gate, table):
            await _change(gate, one, ("drop_trigger",), [TRIGGER, *([ROW_TRIGGER] if one.root else [])])
    for block in ("last_number", "remove", "remove_journal"):
        async with gate.session.connected() as connection:
            await connection.execute(sql(block), {"name": gate.move} if "%(" in sql(block) else None)


async def _guard(gate: Gate, one: Guarded) -> None:
    await _change(gate, one, ("drop_trigger", "trigger", "always"), [TRIGGER])
    if one.root:
        await _change(gate, one, ("drop_trigger", "row_trigger", "always"), [ROW_TRIGGER])


async def _change(gate: Gate, one: Guarded, blocks: Sequence[str], triggers: Sequence[str]) -> None:
    """Run statements on a table, each of which waits for its writers, in one transaction."""
    table, name = Identifier(one.table.schema, one.table.name), Literal(gate.move)
    try:
        async with gate.session.connected() as connection, connection.transaction():
            await connection.execute(sql("patience"), [f"{_LOCK_PATIENCE.total_seconds()}s"])
            for trigger in triggers:
                for block in blocks:
                    statement = SQL(sql(block)).format(table=table, name=name, trigger=Identifier(trigger))
                    await connection.execute(statement)
    except LockNotAvailable:
        raise TableLockedError(
            f"{gate.side}: {one.table} is in use by a transaction that does not end", hint="run it again"
        ) from None
