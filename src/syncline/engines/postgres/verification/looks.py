"""Single keys of the primary, as they are now."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from syncline.engines.postgres.key_sql import KeyStatements, absent_keys, chosen_keys, key_statements
from syncline.engines.postgres.states import read_states, read_states_within, snapshot
from syncline.engines.postgres.verification.page_sql import PageStatements, page_statements
from syncline.errors import SourceError
from syncline.journal.named import Statements
from syncline.model.mark import Hint
from syncline.narrowing import is_of_records
from syncline.ports import Absent, Plan, Snapshot, States, Why
from syncline.postgres.connection import Connection, translated
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.sql import blocks


@dataclass(frozen=True, slots=True)
class SqlSnapshot:
    """See ``syncline.ports.Snapshot``: a transaction."""

    statements: Statements

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys; what fails is undone to a savepoint."""
        async with self.statements.connection.transaction():
            return await read_states_within(self.statements.connection, plan, keys)

    async def unsettled(self, plan: Plan, keys: Sequence[str]) -> Mapping[str, Why]:
        """Ask for marks, second deletes, parked entries and tasks."""
        marks = await self.statements.all("unsettled", entity=plan.id, keys=list(keys))
        (task,) = await self.statements.one("task", entity=plan.id)
        found = dict.fromkeys(keys, Why.TASK) if task else {}
        for key, why in sorted(marks, key=lambda row: row[1] == "mark"):  # a mark outweighs what else there is
            found[key] = Why(why)
        return found


class SqlLooks:
    """See ``syncline.ports.Looks``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = dialect_of(connection)
        self._statements = Statements(connection, blocks("verification.sql"))
        self._composed: tuple[Plan, KeyStatements, PageStatements] | None = None

    @contextlib.asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        """Hold one state for a block."""
        with translated():
            async with snapshot(self._connection):
                yield SqlSnapshot(self._statements)

    async def clock(self) -> datetime:
        """Read the source's clock."""
        (now,) = await self._statements.one("clock")
        found: datetime = now
        return found

    async def horizon(self) -> str | None:
        """Give the number of a transaction, where rows have some."""
        if self._dialect is not Dialect.POSTGRESQL:
            return None
        (number,) = await self._statements.one("horizon")
        return str(number)

    async def lanes(self, plan: Plan, keys: Sequence[str]) -> list[int]:
        """Ask for the lanes of keys."""
        return [lane for (lane,) in await self._statements.all("lanes", entity=plan.id, keys=list(keys))]

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys."""
        return await read_states(self._connection, plan, keys)

    async def absent(self, plan: Plan, keys: Sequence[str], *, newer: str | None = None) -> Absent:
        """Find the keys that have no row."""
        return await absent_keys(self._connection, plan, self._of(plan)[0], keys, newer=newer)

    async def inside(
        self, plan: Plan, keys: Sequence[str], first: str | None, end: str | None
    ) -> tuple[list[str], list[str]]:
        """Find the keys that lie in a range; what cannot be cast is looked for by halves."""
        if not keys:
            return [], []
        codec = plan.projection.codec
        bounds: list[Any] = []
        for bound in (first, end):
            texts = [None] * len(codec.types) if bound is None else codec.parse(bound)
            bounds += [bound is None, *texts]
        with translated():
            try:
                cursor = await self._connection.execute(self._of(plan)[1].inside, [*codec.parameters(keys), *bounds])
            except psycopg.DataError:
                if len(keys) == 1:
                    return [], list(keys)
                middle = len(keys) // 2
                left = await self.inside(plan, keys[:middle], first, end)
                right = await self.inside(plan, keys[middle:], first, end)
                return left[0] + right[0], left[1] + right[1]
            return [keys[position - 1] for (position,) in await cursor.fetchall()], []

    async def sample(self, plan: Plan, size: int) -> list[str]:
        """Choose keys of random blocks of the table."""
        statements = self._of(plan)[0]
        rows = plan.projection.shape.estimated_rows
        percent = 100.0 if rows < 20 * size else min(100.0, 300.0 * size / rows)
        try:
            return await self._keys(statements.sample, percent, size)
        except SourceError as error:
            if not is_of_records(error):
                raise
        keys = await self._keys(statements.bare_sample, percent, 10 * size)
        chosen = await chosen_keys(self._connection, plan, statements, keys)
        wanted = {*chosen.keys, *chosen.doubtful}
        return [key for key in keys if key in wanted][:size]

    async def mark(self, plan: Plan, keys: Sequence[str], hint: Hint) -> None:
        """Mark keys."""
        values = {"entity": plan.id, "keys": list(keys), "hint": hint.value}
        with translated():
            await self._connection.execute(blocks("queries.sql")["mark"], values)

    async def _keys(self, statement: sql.Composed, *parameters: Any) -> list[str]:
        with translated():
            cursor = await self._connection.execute(statement, parameters)
            return [key for (key,) in await cursor.fetchall()]

    def _of(self, plan: Plan) -> tuple[KeyStatements, PageStatements]:
        if self._composed is None or self._composed[0] is not plan:
            self._composed = plan, key_statements(plan, self._dialect), page_statements(plan, self._connection)
        return self._composed[1:]
