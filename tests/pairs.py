"""A source and its target for tests: installed, compiled, and a relay in ten lines that a test calls when it wants to."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

import psycopg
import pymongo

from syncline.backfill.pace import Pace
from syncline.backfill.runner import Progress, Runner
from syncline.capture.postgres.install import install, plan
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import CODEC
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.states import read_states
from syncline.engines.postgres.verification.side import SqlSide
from syncline.model.entity import Entity, TableName
from syncline.model.mark import ticket
from syncline.ports import Absence, Batch, Plan, TaskKind
from syncline.postgres.connection import Connection, connect
from syncline.postgres.loaders import register_loaders
from syncline.verify.one_pass import Options, Sides
from syncline.verify.report import Mode, VerifyReport
from syncline.verify.verifier import verify
from tests.relay import Relay


def entity(name: str, **options: Any) -> Entity:
    return Entity(name, TableName.parse(options.pop("table", name)), options.pop("collection", name), **options)


@dataclass
class Pair:
    """Both sides. ``conn`` is the application's connection, ``docs`` the target's database by a synchronous driver."""

    url: str
    mongo_url: str
    mongo_db: str
    conn: psycopg.Connection[Any]
    docs: Any
    target: MongoTarget
    pages: Connection
    looks: Connection
    plans: dict[int, Plan] = field(default_factory=dict)
    batch: int = 0

    def sql(self, *statements: Any) -> list[Any]:
        rows: list[Any] = []
        for statement in statements:
            cursor = self.conn.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
        return rows

    def plan(self, name: str) -> Plan:
        return next(one for one in self.plans.values() if one.name == name)

    async def announce(self, epoch: int = 1) -> None:
        await self.target.announce(dict.fromkeys(range(64), epoch))

    async def drain(self) -> int:
        """Apply every mark, as the relay does: marks, ticket, states, write, acknowledgement."""
        marks = self.sql("SELECT seq, entity, key FROM syncline.waiting ORDER BY seq")
        keys: dict[int, dict[str, None]] = defaultdict(dict)
        for _, id_, key in marks:
            keys[id_][key] = None
        self.batch += 1
        for id_, wanted in keys.items():
            one = self.plans[id_]
            for start in range(0, len(wanted), 1000):
                await self._apply(one, list(wanted)[start : start + 1000])
        seqs = [seq for seq, *_ in marks]
        self.conn.execute("DELETE FROM syncline.outbox WHERE seq = ANY(%s)", (seqs,))
        self.conn.execute("DELETE FROM syncline.block WHERE seq = ANY(%s)", (seqs,))
        return len(marks)

    async def _apply(self, one: Plan, keys: Sequence[str]) -> None:
        states = await read_states(self.pages, one, keys)
        number = ticket(1, self.batch)
        present = states.present(number)
        gone = set(keys).difference(state.key for state in present)
        deletes = [Absence(key, one.projection.codec.document_id(key), number) for key in gone]
        now = datetime.now()  # noqa: DTZ005
        await self.target.apply(Batch(one.entity, upserts=present, deletes=deletes, source="postgresql", read_at=now))

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Relay]:
        """Run a real worker in this process."""
        relay = Relay(
            self.url, [one.entity for one in self.plans.values()], self.target, mongo=(self.mongo_url, self.mongo_db)
        )
        with contextlib.closing(relay.conn):
            async with relay.worker():
                yield relay

    def runner(self, **options: Any) -> Runner:
        pace = options.pop("pace", Pace(max_queue=10**9))
        marking = SqlMarking(self.pages, str(uuid4()), ranges=options.pop("ranges", None))
        return Runner(marking, self.plans, self.target, pace=pace, **options)

    async def backfill(self, name: str, kind: TaskKind = TaskKind.BACKFILL, **options: Any) -> Progress | None:
        runner = self.runner(**options)
        return await runner.run(await runner.tasks.request(kind, self.plan(name).id, "test"))

    async def verify(self, *names: str, **options: Any) -> VerifyReport:
        sides = Sides(SqlSide(self.pages, self.looks), MongoInspection(self.target))
        chosen = [one for one in self.plans.values() if not names or one.name in names]
        return await verify(sides, chosen, Options(**{**options, "mode": Mode(options.get("mode", "full"))}))


@contextlib.asynccontextmanager
async def paired(
    database: str, mongo_url: str, mongo_db: str, ddl: str, entities: Sequence[Entity]
) -> AsyncIterator[Pair]:
    async with contextlib.AsyncExitStack() as stack:
        conn = stack.enter_context(psycopg.connect(database, autocommit=True))
        conn.execute(ddl)
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as installer:
            await install(installer, await plan(installer, entities))
        client = stack.enter_context(pymongo.MongoClient(mongo_url))
        docs = client.get_database(mongo_db, codec_options=CODEC)
        target = MongoTarget(mongo_url, mongo_db)
        stack.push_async_callback(target.close)
        connections = []
        for _ in range(2):
            connection = await connect(database, keyed=True)
            stack.push_async_callback(connection.close)
            register_loaders(connection.adapters)
            connections.append(connection)
        pair = Pair(database, mongo_url, mongo_db, conn, docs, target, *connections)
        pair.plans = (await compile_plans(connections[0], entities)).by_id
        await pair.announce()
        yield pair


def kinds(report: VerifyReport) -> dict[str, str]:
    """Key (or id, for foreign documents) to what is wrong with it."""
    return {
        str(finding.key if finding.key is not None else finding.id): finding.kind.value
        for one in report.entities
        for finding in one.findings
    }
