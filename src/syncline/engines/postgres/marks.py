"""The outbox in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.floor import PostgresFloor
from syncline.engines.postgres.states import as_marks, marks_wanted, queries_of, read_together
from syncline.errors import SourceUnavailableError, TableLockedError
from syncline.journal import acknowledge, traces
from syncline.journal.named import Statements
from syncline.model.mark import Mark
from syncline.ports import Acknowledgement, Floor, Plan, States, Traced, Traces
from syncline.postgres.arrays import NONE
from syncline.postgres.connection import translated
from syncline.postgres.dialect import Dialect, statements


class SqlMarks:
    """What is the same in every SQL database; see ``syncline.ports.Marks``."""

    def __init__(self, connections: Connections, worker: str, dialect: Dialect) -> None:
        self.worker = worker
        self._connections = connections
        self._dialect = dialect
        self._queries = statements("queries.sql", dialect)
        self._control = Statements(connections.control, self._queries)

    async def add(self, entity: int, keys: Sequence[str], hint: str) -> None:
        """Mark keys of an entity."""
        await self._control.run("mark", entity=entity, keys=list(keys), hint=hint)

    async def promote_deferred(self, limit: int = 5000) -> int:
        """Turn second deletes that are due into marks; return their number."""
        if not (await self._control.one("deferred_due"))[0]:
            return 0
        return int((await self._control.one("promote_deferred", limit=limit))[0])

    async def _acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool, unpark: bool) -> set[int]:
        values = acknowledge.parameters(ack, self._connections.acker) | {"worker": self.worker, "grace": grace}
        query = acknowledge.statement(
            self._dialect,
            history=history,
            absent=bool(ack.absent),
            rejected=bool(ack.rejected),
            unpark=unpark,
            documents=bool(ack.documents),
            whole=values["whole"] != NONE,
            parts=values["parted"] != NONE,
        )
        with translated():
            cursor = await self._connections.acker.execute(query, values)
            return {lane for (lane,) in await cursor.fetchall()}


class PostgresMarks(SqlMarks):
    """Marks that are read as they are now."""

    def __init__(self, connections: Connections, worker: str) -> None:
        super().__init__(connections, worker, Dialect.POSTGRESQL)
        self.traces: Traces | None = PostgresTraces(connections)

    def floor(self) -> Floor | None:
        """Make a floor for a reader."""
        return PostgresFloor(Statements(self._connections.reader, self._queries), self._connections.drawn)

    async def read(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        """Read waiting marks in the order of ``seq``."""
        values = marks_wanted(after=after, lanes=lanes, limit=limit, without=without)
        reader = self._connections.reader
        try:
            with translated():
                async with self._connections.reading, reader.cursor(binary=True) as cursor:
                    await cursor.execute(self._queries["read_marks"], values)
                    return as_marks(await cursor.fetchall(), limit)
        except TableLockedError as error:  # our own table: nothing can be read until it is let go
            raise SourceUnavailableError(error.message) from error

    async def read_with_states(
        self, plan: Plan, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()
    ) -> tuple[list[Mark], States] | None:
        """Read waiting marks and, in the same statement, one entity's states."""
        if queries_of(plan).together is None:
            return None
        values = marks_wanted(after=after, lanes=lanes, limit=limit, without=without)
        async with self._connections.reading:
            return await read_together(self._connections.reader, plan, values)

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        """Remove marks under the lease; return the lanes that are still held."""
        return await self._acknowledge(ack, grace=grace, history=history, unpark=ack.unpark)


class PostgresTraces:
    """Traces beside the marks, read on the connection that acknowledges them."""

    def __init__(self, connections: Connections) -> None:
        self._connection = connections.acker

    async def are_kept(self) -> bool:
        """Tell whether traces are remembered."""
        return await traces.is_on(self._connection)

    async def of(self, marks: Sequence[Mark]) -> list[Traced]:
        """Find the traces of marks."""
        return await traces.traced(self._connection, marks)

    async def forget_old(self) -> None:
        """Remove old traces."""
        await traces.forget_old(self._connection)
