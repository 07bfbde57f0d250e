"""PostgreSQL as a target: users' own tables, without added columns; its fence: docs/explanation/sql-fence.md."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

from psycopg import sql
from psycopg.rows import dict_row

from syncline.engines.postgres.target import claims, cutting, gates, statements, suitability
from syncline.engines.postgres.target.changes import Changes, Gone, Outcome, Put, Refusal, Value, key_texts
from syncline.engines.postgres.target.claims import Claim
from syncline.engines.postgres.target.fence import Control
from syncline.engines.postgres.target.gates import Gates
from syncline.engines.postgres.target.known import KnownTables
from syncline.engines.postgres.target.reverse import SqlReverse
from syncline.engines.postgres.target.session import Connection, translated
from syncline.engines.postgres.target.sessions import Sessions
from syncline.engines.postgres.target.suitability import key_of
from syncline.engines.postgres.target.tables import Table
from syncline.engines.postgres.target.writing import Writing
from syncline.engines.postgres.target.yielding import Refused
from syncline.errors import (
    LaneLostError,
    PrivilegeError,
    TargetError,
    TargetGateError,
    TargetRefusedError,
    TargetUnavailableError,
    UnsuitableTargetError,
)
from syncline.model.entity import Entity, TableName
from syncline.ports import Batch, Beat, Conflict, Document, Fence, Report, Reverse
from syncline.postgres.sql import blocks

SCHEMA = "syncline_target"
ANY_FIELDS: Mapping[str, Sequence[str]] = MappingProxyType({})


class SqlTarget:
    """Keeps tables of a PostgreSQL equal to the source.

    A batch is one transaction; it is never sent twice. When what became of one is unknown, its lanes are refused until
    higher epochs are announced for them.
    """

    fence = Fence.LANE
    deletes_twice = False
    """A transaction is executed while its lanes are its worker's, or not at all."""

    def __init__(
        self,
        url: str,
        *,
        schema: str = SCHEMA,
        link: str = "syncline",
        connect_seconds: float = 5.0,
        timeout_seconds: float = 10.0,
        sessions: int = 4,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._control = Control(schema, link)
        self._sessions = Sessions(url, max(1, int(connect_seconds)), timeout_seconds, sessions)
        self._session = self._sessions.lent
        self._tables = KnownTables()
        self._writing = Writing(self._control, self._tables.by_name)
        self._lost: dict[int, int] = {}
        """Lane to the epoch under which something may still be written that nobody waits for."""
        self._refused = Refused()
        self._gates, self._turned_back_by = Gates(), ""
        self._entities: tuple[Entity, ...] = ()
        self.reverse: Reverse | None = SqlReverse(self.ask, link)
        self.claim: Claim | None = None
        """What is to be noted as this link's; ``None``: nothing is known of its source."""
        self._written_at_source: tuple[Claim, ...] = ()
        """What others write there."""
        self._schema, self._link = schema, link
        self.source = ""
        """Which database of which running server the source is, until it is known to be another one."""

    @asynccontextmanager
    async def _asking(self, *, control: bool = False, patient: int = 0) -> AsyncIterator[Connection]:
        """Lend a session for what is no batch; errors are ours."""
        async with self._session(control=control, patient=patient) as connection:
            with translated():
                yield connection

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Create our own tables; look at users', which must be there. Idempotent.

        Raises:
            UnsuitableTargetError: the server, or a table, cannot be a target; or another link writes the table.
            PrivilegeError: the role lacks a right.

        """
        async with self._asking() as connection:
            await self._control.prepare(connection)
            await self._tables.prepare(connection, entities)
            if self.claim is not None:
                if self._written_at_source:
                    claims.require_no_ring(self._written_at_source, self.claim, await _system(connection))
                await claims.take(connection, self.claim, self._schema)
        self._entities = tuple(entities)

    async def require_suitable(
        self, entities: Sequence[Entity], *, fields: Mapping[str, Sequence[str]] = ANY_FIELDS, system: str = ""
    ) -> None:
        """Look whether the server and the tables can be a target; see ``suitability``."""
        async with self._asking() as connection:
            await suitability.require_suitable(connection, entities, fields=fields, system=system)
            if system:
                mine = claims.claim_of(self._link, system, entities)
                await claims.require_free(connection, mine, self._schema)

    def claim_for(self, system: str, entities: Sequence[Entity], written_there: Sequence[Claim] = ()) -> None:
        """Say which source's tables these are to be, and what other links write there: ``prepare`` looks, and notes."""
        self.claim = claims.claim_of(self._link, system, entities, written_there)
        self._written_at_source = tuple(written_there)

    async def system(self) -> str:
        """Say which cluster and database this is, in the words of a source."""
        async with self._asking() as connection:
            return await _system(connection)

    async def release(self) -> None:
        """Forget which tables were this link's: others may write them."""
        async with self._asking() as connection:
            await claims.release(connection, self._schema)

    async def remarks(self, entities: Sequence[Entity]) -> list[str]:
        """Say which tables have rows already, and which have triggers that fire for ours."""
        async with self._asking() as connection:
            return [text for entity in entities for text in await suitability.remarks(connection, entity)]

    async def require_sound_records(self) -> None:
        """Look at our own records: their types keep what they can hold."""
        await self.read_beat()
        await self.lane_epochs()

    async def table(self, name: TableName, key: Sequence[str] = ()) -> Table:
        """Describe a table, once for each key that its rows are told apart by."""
        if (known := self._tables.find(name, key)) is not None:
            return known
        async with self._asking() as connection:
            return await self._tables.describe(connection, name, key)

    @property
    def admission(self) -> str:
        """What the gates of the database said when they were read last: with lanes, and after a refusal."""
        return self._gates.admission

    async def ask_gate(self) -> bool:
        """Read the gates; tell whether the one that has turned back a batch last lets in another."""
        async with self._asking(control=True) as connection:
            self._gates = await gates.read(connection)
        return self._gates.lets_in(self._turned_back_by)

    async def write(self, lanes: Mapping[int, int], batch: Sequence[Changes], *, admission: str = "") -> Outcome:
        """Write a batch in one transaction behind the fence.

        Args:
            lanes: lane to the epoch under which the batch's states were read.
            batch: what to write, by table.
            admission: what the gates said before the marks of the batch were read.

        Raises:
            TargetGateError: nothing is written; see ``admission``.
            LaneLostError: lanes are another worker's, or what became of the batch is unknown.
            TargetUnavailableError: nothing is written, and the same or newer states may be sent again.
            TargetError: nothing is written, and the batch is at fault.

        """
        if not lanes:
            raise TargetError("a batch without lanes has no fence")
        if lost := [lane for lane, epoch in lanes.items() if epoch <= self._lost.get(lane, -1)]:
            raise LaneLostError("an earlier batch of these lanes may still be written", lanes=lost)
        yielding = self._refused.yielding(batch)
        try:
            async with self._session() as connection:
                outcome = await self._writing.write(connection, lanes, batch, yielding, admission=admission)
        except TargetGateError as error:
            self._turned_back_by = error.gate
            raise
        except LaneLostError as error:
            if error.unknown:
                self._lose(lanes)
            raise
        except TargetUnavailableError as error:
            if not isinstance(error.__cause__, TimeoutError):
                raise
            self._lose(lanes)
            raise LaneLostError(error.message, lanes=lanes, unknown=True) from error
        except asyncio.CancelledError:
            self._lose(lanes)
            raise
        self._refused.remember(batch, outcome)
        return outcome

    def _lose(self, lanes: Mapping[int, int]) -> None:
        for lane, epoch in lanes.items():
            self._lost[lane] = max(epoch, self._lost.get(lane, -1))

    async def apply(self, batch: Batch) -> Report:
        """Write states of one entity, as ``write``; see ``syncline.ports.Target``."""
        if not len(batch):
            return Report()
        try:
            changes = [self._changes(batch, await self.table_of(batch.entity))]
            outcome = await self.write(batch.lanes, changes, admission=batch.admission)
        except TargetGateError:
            raise
        except TargetRefusedError:
            self._tables.doubt(TableName.parse(batch.entity.collection))
            raise
        except (UnsuitableTargetError, PrivilegeError) as error:
            self._tables.doubt(TableName.parse(batch.entity.collection))
            raise TargetRefusedError(error.message, hint=error.hint) from error  # no record is to blame
        return Report(
            rejected=[rejection for _, rejection in outcome.rejected],
            conflicts=[_conflict(refusal) for refusal in outcome.refused],
        )

    @staticmethod
    def _changes(batch: Batch, table: Table) -> Changes:
        states = batch.states
        names = tuple(states[0].body) if states else ()
        table.written(names)
        try:
            return Changes(
                table,
                names,
                [Put(state.key, tuple(state.body.values()), state.id) for state in states],
                [Gone(one.key, [one.id[name] for name in table.key]) for one in batch.deletes],
            )
        except KeyError as error:
            raise UnsuitableTargetError(
                f"the key of {table.name} in the target is ({', '.join(table.key)}), in the source another one",
                hint="give both tables one key, or set `key` of the entity",
            ) from error

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's rows as JSON, by key."""
        return {state.key: json.dumps(state.body, ensure_ascii=False) for state in batch.states}

    async def holders(self, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[Document | None]:  # noqa: ARG002
        """Say that nobody is known: this target's conflicts name who is in the way."""
        return [None for _ in values]

    async def read(self, entity: Entity, ids: Sequence[Any]) -> list[Document]:
        """Read rows by key."""
        table = await self.table_of(entity)
        names = [column.name for column in table.columns]
        rows = await self.read_rows(table, names, [[id_[name] for name in table.key] for id_ in ids])
        return [dict(zip(names, row, strict=True)) for row in rows]

    async def walk(
        self, entity: Entity, *, after: Any = None, size: int = 1000, resume: bool = False, until: Any = ...
    ) -> AsyncIterator[list[Document]]:
        """Walk a table in the order of its key, as lists of ``{"_id": key}``; the key as columns with texts."""
        table = await self.table_of(entity)
        last = [after[name] for name in table.key] if resume else []
        end = [] if until is ... else [until[name] for name in table.key]
        while True:
            async with self._asking() as connection:
                query = statements.page(table, after=bool(last), until=bool(end))
                rows = await (await connection.execute(query, [*last, *end, size])).fetchall()
            if rows:
                yield [{"_id": dict(zip(table.key, row, strict=True))} for row in rows]
            if len(rows) < size:
                return
            last = list(rows[-1])

    async def cut(self, entity: Entity, parts: int, *, least: int) -> list[Any]:
        """Cut a table, at so many entries of its key's index behind each other."""
        table = await self.table_of(entity)
        cuts = await cutting.cut(self._asking, table, parts, least=least)
        return [dict(zip(table.key, one, strict=True)) for one in cuts]

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:  # noqa: ARG002
        """Remove nothing: nothing in a user's row says that it is ours."""
        return 0

    async def table_of(self, entity: Entity) -> Table:
        """Find the table of an entity: the one that its ``collection`` names."""
        return await self.table(TableName.parse(entity.collection), key_of(entity))

    async def read_rows(
        self, table: Table, names: Sequence[str], keys: Sequence[Sequence[Value]]
    ) -> list[tuple[Value, ...]]:
        """Read rows by key, each value as its type's output function writes it."""
        if not keys:
            return []
        return await self.texts(statements.read(table, names), key_texts(keys))

    async def texts(self, query: sql.Composed, values: Sequence[Any]) -> list[tuple[Value, ...]]:
        """Run a statement that reads; give what it finds as the output functions write it."""
        async with self._asking() as connection:
            return texts_of((await connection.execute(query, values)).pgresult)

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced here."""
        async with self._asking(control=True) as connection:
            return await self._control.epochs(connection)

    async def announce(self, epochs: Mapping[int, int]) -> set[int]:
        """Raise lanes' epochs where they are lower, each when no batch of the lane is open any more."""
        async with self._asking(control=True, patient=len(epochs)) as connection:
            raised = await self._control.announce(connection, epochs)
            self._gates = await gates.read(connection)
        for lane in raised:
            if epochs[lane] > self._lost.get(lane, -1):
                self._lost.pop(lane, None)
        return raised

    async def beat(self, beat: Beat, *, over: str | None = None) -> Beat | None:
        """Store ``beat`` unless another system's is stored, or a higher count of its own; give what was there."""
        async with self._asking(control=True) as connection:
            if self.source:
                await suitability.require_apart(connection, self._entities, self.source)
                self.source = ""
            await self._tables.look(connection)
            return await self._control.beat(connection, beat, over)

    async def read_beat(self) -> Beat | None:
        """Read the heartbeat record without touching it."""
        async with self._asking(control=True) as connection:
            return await self._control.read_beat(connection)

    async def probe(self) -> None:
        """Write something small and durable, to tell a sick server from a sick batch."""
        async with self._asking(control=True) as connection:
            await self._control.probe(connection)

    async def ask(self, statement: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Run a statement that reads the catalog; return its rows by column name, types with their schemas."""
        async with (
            self._asking(control=True) as connection,
            connection.transaction(),
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            await cursor.execute("SET TRANSACTION READ ONLY")
            await cursor.execute("SET LOCAL search_path = ''")
            await cursor.execute(statement, values)
            return await cursor.fetchall()

    async def ping(self) -> Mapping[str, Any]:
        """Reach the primary; return server facts."""
        async with self._session() as connection:
            number = connection.info.server_version
        return {"version": f"{number // 10_000}.{number % 10_000}", "engine": "postgresql"}

    async def close(self) -> None:
        """Give back the connections."""
        await self._sessions.close()


async def _system(connection: Connection) -> str:
    statement = blocks("tables.sql", "syncline.engines.postgres.target")["system"]
    ((found,),) = await (await connection.execute(statement)).fetchall()
    return str(found).partition(" ")[0]


def _conflict(refusal: Refusal) -> Conflict:
    where = str(refusal.other_table) if refusal.other_table else str(refusal.table)
    other = dict(zip(refusal.columns, refusal.other, strict=True)) if refusal.columns else None
    return Conflict(refusal.key, refusal.constraint, dict(refusal.held), refusal.why, where, other)


def texts_of(result: Any) -> list[tuple[Value, ...]]:
    """Take a result as it is: texts, untouched by any loader."""
    if result is None:
        return []
    columns = range(result.nfields)
    value = result.get_value
    rows = range(result.ntuples)
    return [tuple([None if (v := value(r, c)) is None else bytes(v).decode() for c in columns]) for r in rows]
