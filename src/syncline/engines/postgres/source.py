"""A session with an SQL database."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.journal import SqlJournal
from syncline.engines.postgres.lanes import SqlLanes
from syncline.engines.postgres.lookout import PostgresLookout
from syncline.engines.postgres.marks import PostgresMarks
from syncline.engines.postgres.plans import compile_declared
from syncline.engines.postgres.records import PostgresRecords
from syncline.engines.postgres.waker import PostgresWaker
from syncline.journal.named import Statements
from syncline.model.entity import Entity
from syncline.ports import Identity, Journal, Lookout, Marks, Plans, Records, Reinstall, Waker
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import Dialect, on_cockroach, statements


@dataclass(frozen=True, slots=True)
class SqlSource:
    """See ``syncline.ports.Source``; made by ``syncline.engines.opening``."""

    connections: Connections
    worker: str
    records: Records
    marks: Marks
    waker: Waker | None
    journal: Journal

    @property
    def identity(self) -> Identity:
        """Who the server was at the start."""
        return self.connections.identity

    @property
    def control(self) -> Connection:
        """The connection for what is done now and then."""
        return self.connections.control

    async def compile(self, entities: Sequence[Entity], *, differs: Callable[[str], None]) -> Plans:
        """Compile what is installed of these entities."""
        return await compile_declared(self.control, entities, differs=differs)

    def lookout(self, reinstall: Reinstall | None, *, stopped: Collection[str]) -> Lookout | None:
        """Make what looks at the catalog, where it is PostgreSQL's."""
        if on_cockroach(self.control):
            return None
        return PostgresLookout(
            self.control, self.journal.notices, reinstall, drawn=self.connections.drawn, stopped=stopped
        )

    async def close(self) -> None:
        """Close every connection."""
        await self.connections.close()


def postgres_source(connections: Connections, worker: str) -> SqlSource:
    """Put a session with PostgreSQL together."""
    calls = Statements(connections.control, statements("queries.sql", Dialect.POSTGRESQL), worker=worker)
    lanes = SqlLanes(calls, worker, connections.identity)
    return SqlSource(
        connections,
        worker,
        PostgresRecords(connections, worker),
        PostgresMarks(connections, worker),
        PostgresWaker(connections, worker),
        SqlJournal(calls, lanes),
    )
