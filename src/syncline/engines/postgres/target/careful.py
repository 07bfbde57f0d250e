"""A batch that a row keeps from being written at once: savepoints, looks, and what is left out.

It is rolled back to a savepoint, looked through for rows that stand in others' way, and tried again without them. Rows
of the batch that hold each other's unique values give them up first: readers see the transaction as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from syncline.engines.postgres.target import statements
from syncline.engines.postgres.target.changes import Changes, Outcome, Put, Refusal, Value, column_texts, key_texts
from syncline.engines.postgres.target.fence import Control
from syncline.engines.postgres.target.refusals import CONFLICTS, FOREIGN, UNIQUE, is_of_rows, rejection
from syncline.engines.postgres.target.session import Connection
from syncline.engines.postgres.target.tables import Reference, Table, Unique
from syncline.model.entity import TableName

Compose = Callable[[Sequence[Changes]], list[tuple[sql.Composed, list[str]]]]
OF_TYPES = ("22", "23514")
"""Data exceptions, and a domain's own check."""
ROUNDS = 20
"""So often a batch is looked through before its rows are tried one by one."""


@dataclass(slots=True)
class _Attempt:
    """What of a batch is still to be written."""

    batch: list[Changes]
    clears: dict[tuple[Table, Unique], dict[tuple[Value, ...], None]] = field(default_factory=dict)
    """Keys of rows that give up a unique value first."""
    outcome: Outcome = field(default_factory=Outcome)

    def leave_out(self, refusals: Sequence[Refusal]) -> None:
        """Note refusals; each key once."""
        for number, changes in enumerate(self.batch):
            mine = {refusal.key: refusal for refusal in reversed(refusals) if refusal.table == changes.table.name}
            if mine:
                self.outcome.refused += mine.values()
                self.batch[number] = changes.without(set(mine))


class Careful:
    """Writes one batch."""

    def __init__(self, control: Control, compose: Compose, tables: Mapping[TableName, Table]) -> None:
        self._control = control
        self._compose = compose
        self._tables = tables

    async def write(
        self,
        connection: Connection,
        lanes: Mapping[int, int],
        batch: Sequence[Changes],
        yielding: Collection[tuple[Table, str]],
        *,
        admission: str,
    ) -> Outcome:
        """Write what can be written and commit it; see ``Writing.write``."""
        attempt = _Attempt(list(batch))
        async with connection.transaction():
            await connection.execute(self._control.enter, self._control.entering(lanes, admission))
            await self._give_way(connection, batch, yielding)
            await self._keep_children(connection, attempt)
            for _ in range(ROUNDS):
                error = await self._try(connection, attempt)
                if error is None:
                    return attempt.outcome
                if error.sqlstate not in CONFLICTS or not await self._look(connection, attempt):
                    break
            await self._sift(connection, attempt)
        return attempt.outcome

    async def _give_way(
        self, connection: Connection, batch: Sequence[Changes], yielding: Collection[tuple[Table, str]]
    ) -> None:
        """Rows that wait in a circle with rows of other batches give up their values, to be seen by everybody.

        Those that are to be deleted give up what they refer to: it may have to go first.
        """
        for changes in batch:
            mine = [put for put in changes.puts if (changes.table, put.key) in yielding]
            if mine:
                keys = key_texts([changes.key_of(put) for put in mine])
                for unique in changes.table.uniques:
                    await self._clear(connection, changes.table, unique, keys)
                await self._loosen(connection, changes, mine)
            leaving = [gone.values for gone in changes.gone if (changes.table, gone.key) in yielding]
            statement = statements.let_go(changes.table) if leaving else None
            if statement is not None:
                await self._within(connection, [(statement, key_texts(leaving))])

    def takes_along(self, changes: Changes) -> list[Reference]:
        """Say by which foreign keys a delete would change or delete rows that are synced themselves."""
        return [one for one in changes.table.children if one.cascades and one.child in self._tables and changes.gone]

    async def _keep_children(self, connection: Connection, attempt: _Attempt) -> None:
        """Leave out rows whose delete would take others along, which may be newer than this batch and have no mark.

        The rows are locked first: then, in a new statement, nobody comes to refer to them any more. What is left out
        is one of those others, too, for the rows that it refers to.
        """
        for changes in attempt.batch:
            if self.takes_along(changes):
                keys = key_texts([gone.values for gone in changes.gone])
                await connection.execute(statements.lock(changes.table), keys)
        while refusals := await self._taken_along(connection, attempt):
            attempt.leave_out(refusals)

    async def _taken_along(self, connection: Connection, attempt: _Attempt) -> list[Refusal]:
        return [
            refusal
            for changes in attempt.batch
            for reference in self.takes_along(changes)
            for refusal in await self._children(connection, attempt, changes, reference)
        ]

    async def _loosen(self, connection: Connection, changes: Changes, puts: Sequence[Put]) -> None:
        """Write rows without the references, and unique values, that may be NULL."""
        table = changes.table
        names = {n for one in table.parents for n in one.columns} | {n for one in table.uniques for n in one.columns}
        free = {
            changes.names.index(n)
            for n in names - set(table.key)
            if n in changes.names and not table.column(n).not_null
        }
        if not free or not table.parents:
            return
        rows = [[None if place in free else value for place, value in enumerate(put.values)] for put in puts]
        await self._within(
            connection, [(statements.upsert(table, changes.names), column_texts(table, changes.names, rows))]
        )

    async def _clear(self, connection: Connection, table: Table, unique: Unique, keys: list[str]) -> None:
        statement = statements.clear(table, unique)
        if statement is not None:
            await self._within(connection, [(statement, keys)])

    async def _within(
        self, connection: Connection, parts: Sequence[tuple[sql.Composed | str, list[str]]]
    ) -> psycopg.Error | None:
        """Run statements under a savepoint; give the error that a row was the reason for."""
        try:
            async with connection.transaction():
                for statement, values in parts:
                    await connection.execute(statement, values)
        except psycopg.Error as error:
            if not is_of_rows(error):
                raise
            return error
        return None

    async def _try(self, connection: Connection, attempt: _Attempt) -> psycopg.Error | None:
        parts: list[tuple[sql.Composed | str, list[str]]] = []
        for (table, unique), keys in attempt.clears.items():
            statement = statements.clear(table, unique)
            if statement is not None and keys:
                parts.append((statement, key_texts(list(keys))))
        parts += self._compose(attempt.batch)
        # What is checked at the end is checked now, while there is something to go back to.
        parts.append(("SET CONSTRAINTS ALL IMMEDIATE", []))
        return await self._within(connection, parts)

    async def _look(self, connection: Connection, attempt: _Attempt) -> bool:
        """Find rows that others stand in the way of; whether there is anything new to try."""
        refusals: list[Refusal] = []
        cleared = False
        for changes in attempt.batch:
            if changes.puts:
                for unique in changes.table.uniques:
                    if set(unique.columns) <= set(changes.names):
                        cleared |= await self._holders(connection, attempt, changes, unique, refusals)
                for reference in changes.table.parents:
                    if set(reference.columns) <= set(changes.names):
                        refusals += await self._orphans(connection, attempt, changes, reference)
            if changes.gone:
                for reference in changes.table.children:
                    refusals += await self._children(connection, attempt, changes, reference)
        attempt.leave_out(refusals)
        return cleared or bool(refusals)

    async def _holders(
        self, connection: Connection, attempt: _Attempt, changes: Changes, unique: Unique, refusals: list[Refusal]
    ) -> bool:
        """Rows of the batch give their value up; for others is waited."""
        table = changes.table
        mine = {changes.key_of(put) for put in changes.puts} | {tuple(gone.values) for gone in changes.gone}
        clears = attempt.clears.setdefault((table, unique), {})
        before = len(clears)
        for number, other in await self._rows(
            connection, statements.holders(table, unique, changes.names), changes.puts, changes
        ):
            key = tuple(other)
            if key in mine and statements.clear(table, unique) is not None:
                clears[key] = None
            elif key not in clears:
                put = changes.puts[number - 1]
                held = changes.values_of(put, unique.columns)
                refusals.append(Refusal(table.name, put.key, "value", unique.name, table.name, table.key, key, held))
        return len(clears) > before

    async def _orphans(
        self, connection: Connection, attempt: _Attempt, changes: Changes, reference: Reference
    ) -> list[Refusal]:
        names = reference.referenced
        along = [
            [value for _, value in parents.values_of(put, names)]
            for parents in attempt.batch
            if parents.table.name == reference.parent and set(names) <= set(parents.names)
            for put in parents.puts
        ]
        parent = next((one.table for one in attempt.batch if one.table.name == reference.parent), None)
        coming = [parent.column(name) for name in names] if parent and along else []
        query = statements.orphans(changes.table, reference, changes.names, coming=coming)
        values = column_texts(changes.table, changes.names, [put.values for put in changes.puts])
        found = await connection.execute(query, values + key_texts(along) if coming else values)
        return [
            Refusal(
                changes.table.name,
                changes.puts[number - 1].key,
                "parent",
                reference.name,
                reference.parent,
                reference.referenced,
                tuple(other),
                changes.values_of(changes.puts[number - 1], reference.columns),
            )
            for number, other in await found.fetchall()
        ]

    async def _children(
        self, connection: Connection, attempt: _Attempt, changes: Changes, reference: Reference
    ) -> list[Refusal]:
        table = self._tables.get(reference.child)
        if reference.cascades and table is None:
            return []  # a table of the target's own: its owner has declared what becomes of its rows
        going = [gone.values for one in attempt.batch if one.table.name == reference.child for gone in one.gone]
        key = table.key if table else reference.columns
        but = [table.column(name) for name in key] if table and going else []
        query = statements.children(changes.table, reference, key, but=but)
        keys = key_texts([gone.values for gone in changes.gone])
        rows = await connection.execute(query, keys + key_texts(going) if but else keys)
        return [
            Refusal(
                changes.table.name,
                gone.key,
                "child",
                reference.name,
                reference.child,
                key,
                tuple(other),
                tuple(zip(reference.columns, held, strict=True)),
            )
            for number, other, held in await rows.fetchall()
            if (gone := changes.gone[number - 1])
        ]

    async def _rows(
        self, connection: Connection, query: sql.Composed, puts: Sequence[Put], changes: Changes
    ) -> list[tuple[int, list[Value]]]:
        values = column_texts(changes.table, changes.names, [put.values for put in puts])
        return await (await connection.execute(query, values)).fetchall()

    async def _sift(self, connection: Connection, attempt: _Attempt) -> None:
        """Write what is left by halves, down to the rows that cannot be written."""
        for (table, unique), keys in attempt.clears.items():
            if keys:
                await self._clear(connection, table, unique, key_texts(list(keys)))
        for changes in attempt.batch:
            await self._sift_part(connection, attempt, changes.kinds())

    async def _sift_part(self, connection: Connection, attempt: _Attempt, parts: list[Changes]) -> None:
        while parts:
            part = parts.pop()
            error = await self._within(connection, [*self._compose([part]), ("SET CONSTRAINTS ALL IMMEDIATE", [])])
            if error is None:
                continue
            if len(part.keys) == 1:
                await self._leave_out(connection, attempt, part, error)
                continue
            parts += part.halves()

    async def _leave_out(self, connection: Connection, attempt: _Attempt, part: Changes, error: psycopg.Error) -> None:
        (key,) = part.keys
        if error.sqlstate in CONFLICTS:
            why = {UNIQUE: "value", FOREIGN: "parent" if part.puts else "child"}.get(error.sqlstate or "", "value")
            attempt.outcome.refused.append(Refusal(part.table.name, key, why, error.diag.constraint_name or ""))
            return
        column = await self._column(connection, part, error) if part.puts else None
        attempt.outcome.rejected.append((part.table.name, rejection(key, error, column)))

    async def _column(self, connection: Connection, part: Changes, error: psycopg.Error) -> str | None:
        """Find the column whose type does not take its value: each is read alone, as the table's own row type does."""
        if not (error.sqlstate or "").startswith(OF_TYPES):
            return None
        query = statements.one_value(part.table)
        for name, value in zip(part.names, part.puts[0].values, strict=True):
            if value is not None:
                found = await self._within(connection, [(query, [name, value])])
                if found is not None and found.sqlstate == error.sqlstate:
                    return name
        return None
