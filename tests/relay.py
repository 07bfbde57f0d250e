"""A source, a target and workers between them; and a comparison of both sides that shares no code with ``verify``."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from bson.decimal128 import Decimal128
from psycopg import sql
from psycopg.rows import dict_row
from pymongo import MongoClient

from syncline.capture.postgres.install import InstallOptions, install, plan, uninstall
from syncline.config.settings import HistorySettings, Settings, SourceSettings, TargetSettings, WorkerSettings
from syncline.ending import end
from syncline.engines.memory.target import MemoryTarget
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import CODEC
from syncline.engines.opening import open_source
from syncline.journal.registry import installed
from syncline.model.entity import Entity, TableName
from syncline.model.link import UNNAMED, Link
from syncline.ports import Document, Target
from syncline.relay.adoption import adopt as take_over
from syncline.relay.adoption import ownership
from syncline.relay.worker import Worker
from syncline.telemetry.observer import (
    BatchDone,
    Drop,
    Dropped,
    Event,
    LanesChanged,
    Noticed,
    NullObserver,
    Unavailable,
)
from syncline.testing import FaultyTarget
from syncline.wiring.worker import make_worker

OURS = {"_id", "_originalId", "_source", "_syncedAt", "_v"}
QUICK = {
    "lease": timedelta(seconds=2),
    "renew": timedelta(seconds=0.25),
    "grace": timedelta(seconds=1),
    "poll": timedelta(minutes=10),
}
"""Worker settings for tests: short leases, and a poll so rare that a missed wake is seen."""
PATIENCE = 100.0
"""Seconds that a test waits for what it expects: a busy machine has them, a poll does not come within them."""
AT_ONCE = 60.0
"""Seconds that tell a worker that was woken, or did not wait for a limit of minutes, from one that was not, or did."""
IMPATIENCE = 8.0
"""What is enough beside a mutant, which is expected to hang."""


def entity(name: str, **options: Any) -> Entity:
    """Declare an entity over the table of the same name."""
    return Entity(name, TableName.parse(options.pop("table", name)), options.pop("collection", name), **options)


ITEM = entity("item")
ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0)"


class Recorder(NullObserver):
    """Remembers what workers tell."""

    def __init__(self) -> None:
        self.batches: list[BatchDone] = []
        self.drops: list[tuple[Drop, int]] = []
        self.outages: list[tuple[str, str]] = []
        self.notices: list[tuple[str, str]] = []
        self.owned: list[int] = []

    def tell(self, event: Event) -> None:
        match event:
            case BatchDone():
                self.batches.append(event)
            case Dropped(reason, _, marks):
                self.drops.append((reason, marks))
            case Unavailable(side, error):
                self.outages.append((side, str(error)))
            case Noticed(name, _, message):
                self.notices.append((name, message))
            case LanesChanged(owned):
                self.owned.append(owned)


async def until(true: Callable[[], Any], *, seconds: float = 0, what: str | Callable[[], str] = "") -> float:
    """Wait until something holds, for ``PATIENCE`` at least; return how many seconds it took."""
    began = time.monotonic()
    limit = (seconds or IMPATIENCE) if "SYNCLINE_MUTANT" in os.environ else max(seconds, PATIENCE)
    while not (answer := true()):
        if time.monotonic() - began > limit:
            raise AssertionError(f"after {limit} s still not: {what() if callable(what) else what or true}")
        await asyncio.sleep(0.01)
    del answer
    return time.monotonic() - began


class Relay:
    """Both sides of a synchronisation. ``conn`` is the application's connection."""

    def __init__(
        self,
        url: str,
        entities: Sequence[Entity],
        target: Target,
        *,
        mongo: tuple[str, str] | None = None,
        **worker: Any,
    ) -> None:
        self.url, self.entities, self.target, self.mongo = url, list(entities), target, mongo
        self.worker_options = QUICK | worker
        self.history = HistorySettings(keep=None)
        self.wake = True
        self.link: Link = UNNAMED
        self.conn = psycopg.connect(url, autocommit=True)
        self.seen = Recorder()
        self.workers: list[Worker] = []

    # -- the source

    def sql(self, query: Any, *values: Any) -> list[Any]:
        cursor = self.conn.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def value(self, query: Any, *values: Any) -> Any:
        return self.sql(query, *values)[0][0]

    async def install(self, **options: Any) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as conn:
            await install(conn, await plan(conn, self.entities, InstallOptions(wake=self.wake, **options)))

    async def uninstall(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as conn:
            await uninstall(conn)

    def counts(self) -> dict[str, int]:
        names = ("outbox", "deferred", "parked", "task", "history")
        tables = {"outbox": "waiting"}
        row = self.sql(
            f"SELECT {', '.join(f'(SELECT count(*) FROM syncline.{tables.get(name, name)})' for name in names)}"
        )[0]
        return dict(zip(names, row, strict=True))

    def parked(self) -> dict[str, str]:
        return dict(self.sql("SELECT key, code FROM syncline.parked ORDER BY key"))

    def notices(self) -> list[str]:
        return [name for (name,) in self.sql("SELECT name FROM syncline.notice ORDER BY id")]

    def owners(self) -> dict[str, int]:
        return dict(self.sql("SELECT owner::text, count(*) FROM syncline.lane WHERE owner IS NOT NULL GROUP BY owner"))

    # -- workers

    async def adopt(self) -> None:
        """Take the target over, as `syncline adopt` does."""
        source = await open_source(self.url, worker=str(uuid4()))
        try:
            owner = await ownership(source, self.target)
            await take_over(
                source, self.target, [entity.id for entity in (await installed(source.control)).values()], owner
            )
        finally:
            await source.close()

    @property
    def settings(self) -> Settings:
        url, name = self.mongo or ("mongodb://unused", "unused")
        return Settings(
            SourceSettings(url=self.url, wake=self.wake).of_link(self.link),
            TargetSettings(url=url, database=name),
            WorkerSettings(**self.worker_options),
            history=self.history,
            entities=tuple(self.entities),
        )

    @contextlib.asynccontextmanager
    async def worker(
        self, *, target: Target | None = None, ready: bool = True, **options: Any
    ) -> AsyncIterator[Worker]:
        """Run a worker in this process; at the end of the block it is stopped in order."""
        worker = make_worker(self.settings, target or self.target, observer=self.seen, **options)
        self.workers.append(worker)
        running = asyncio.create_task(worker.run())
        try:
            if ready:
                await until(lambda: running.done() or self._owns(worker), what="the worker has lanes")
            if running.done():
                await running
            yield worker
            worker.stop()
            await asyncio.wait_for(running, PATIENCE)
        finally:
            self.workers.remove(worker)
            assert not await end(running, seconds=PATIENCE)

    def _owns(self, worker: Worker) -> bool:
        pump = worker._pump
        return pump is not None and bool(pump._leases.held)

    @contextlib.contextmanager
    def process(self, folder: Path, *, config: str = "", ready: bool = True) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``syncline worker`` in a process of its own; at the end of the block it is killed if it still runs."""
        file = folder / "syncline.toml"
        file.write_text(self.toml() + config)
        environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
        command = [sys.executable, "-m", "syncline.cli.main", "worker", "--config", str(file)]
        entry = Path(sys.executable).with_name("syncline")
        with (folder / f"worker-{time.monotonic_ns()}.log").open("wb") as log:
            command = [str(entry), *command[3:]]
            process = subprocess.Popen(command, stderr=log, stdout=log, env=environment, cwd=folder)
            try:
                if ready:
                    self._wait_for_owner(process, Path(log.name))
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                process.wait()

    def _wait_for_owner(self, process: subprocess.Popen[bytes], log: Path) -> None:
        before = set(self.owners())
        end = time.monotonic() + PATIENCE
        while not set(self.owners()) - before:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < end, f"the worker got no lanes\n{log.read_text()}"
            time.sleep(0.02)

    def toml(self) -> str:
        """Write the settings as a configuration file (tables and plain entities only)."""
        assert self.mongo is not None
        url, name = self.mongo
        lines = ["[source]", f"url = {json.dumps(self.url)}", "[target]", f"url = {json.dumps(url)}"]
        lines += [f"database = {json.dumps(name)}", "timeout_seconds = 2", "[worker]"]
        for option, value in self.worker_options.items():
            named, plain = (
                (f"{option}_seconds", value.total_seconds()) if isinstance(value, timedelta) else (option, value)
            )
            lines.append(f"{named} = {json.dumps(plain)}")
        keep = self.history.keep
        lines += ["[history]", f'keep = "{keep.total_seconds():.0f}s"' if keep else 'keep = "off"']
        for one in self.entities:
            lines += [
                f"[entities.{one.name}]",
                f"table = {json.dumps(str(one.table))}",
                f'collection = "{one.collection}"',
            ]
        return "\n".join(lines) + "\n"

    # -- waiting and comparing

    def is_drained(self, *, deferred: bool = False, tasks: bool = False) -> bool:
        counts = self.counts()
        return not counts["outbox"] and not (deferred and counts["deferred"]) and not (tasks and counts["task"])

    async def drained(self, *, seconds: float = 0, deferred: bool = False, tasks: bool = False) -> float:
        """Wait until every mark is applied (``deferred``: every delete twice; ``tasks``: everything marked)."""
        return await until(
            lambda: self.is_drained(deferred=deferred, tasks=tasks),
            seconds=seconds,
            what=lambda: f"drained: {self.counts()}, outages {self.seen.outages[-3:]}, dropped {self.seen.drops[-3:]}",
        )

    async def renewed(self) -> None:
        """Wait until a renewal that began after this call stands on both sides."""
        beat = self.value("SELECT beat FROM syncline.meta")
        await until(lambda: self.value("SELECT confirmed_beat FROM syncline.meta") > beat, what="a worker renews")

    async def equal(self, *, seconds: float = 0, deferred: bool = False, tasks: bool = False) -> None:
        """Wait until drained, then both sides must be the same and nothing parked."""
        await self.drained(seconds=seconds, deferred=deferred, tasks=tasks)
        self.assert_equal()
        assert self.parked() == {}

    def assert_equal(self, *, without: Sequence[str] = ()) -> None:
        """Compare both sides, except for these keys."""
        for one in self.entities:
            expected = {key: row for key, row in self.rows(one).items() if key not in without}
            found = {key: row for key, row in self.documents(one).items() if key not in without}
            assert found == expected

    def rows(self, one: Entity) -> dict[str, dict[str, Any]]:
        """Read the source as plain values by key text. Knows integers, text, booleans, numerics and nulls."""
        table = sql.Identifier(one.table.schema, one.table.name)
        key = self._key(one)
        with self.conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchall()
        return {
            _text(row, key): {name: _plain(value) for name, value in row.items() if name not in key} for row in rows
        }

    def documents(self, one: Entity) -> dict[str, dict[str, Any]]:
        """Read the target as plain values by key text."""
        key = self._key(one)
        return {
            document["_originalId"]: {
                name: _plain(value) for name, value in document.items() if name not in OURS and name not in key
            }
            for document in self.raw(one)
        }

    def raw(self, one: Entity = ITEM) -> list[Document]:
        """Read the target's documents as they are."""
        target: Any = self.target
        if isinstance(target, FaultyTarget):
            target = target.target
        if isinstance(target, MemoryTarget):
            return target.documents(one)
        assert self.mongo is not None
        collection = self._client.get_database(self.mongo[1], codec_options=CODEC)[one.collection]
        return list(collection.find().sort("_id", 1))

    @functools.cached_property
    def _client(self) -> MongoClient[Any]:
        """Kept, since it is asked again and again while a test waits."""
        assert self.mongo is not None
        client: MongoClient[Any] = MongoClient(self.mongo[0], serverSelectionTimeoutMS=5000)
        weakref.finalize(self, client.close)
        return client

    def document(self, id_: Any, one: Entity = ITEM) -> Document | None:
        return next((found for found in self.raw(one) if found["_id"] == id_), None)

    def _key(self, one: Entity) -> list[str]:
        return self.value("SELECT key_columns FROM syncline.entity WHERE name = %s", one.name)


def _text(row: Mapping[str, Any], key: Sequence[str]) -> str:
    if len(key) == 1:
        return str(row[key[0]])
    return json.dumps([str(row[name]) for name in key], ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        return Decimal(value)
    return value


@contextlib.asynccontextmanager
async def relayed(
    url: str,
    mongo: tuple[str, str] | None = None,
    *,
    ddl: str = ITEMS,
    entities: Sequence[Entity] = (ITEM,),
    **worker: Any,
) -> AsyncIterator[Relay]:
    """Make tables, install capture, and have a target: MongoDB where one is given, else one in memory that can fail."""
    target: Target
    if mongo is None:
        target = FaultyTarget(MemoryTarget())
    else:
        target = MongoTarget(*mongo, timeout=timedelta(seconds=3), connect_timeout=timedelta(seconds=1))
    relay = Relay(url, entities, target, mongo=mongo, **worker)
    try:
        relay.conn.execute(ddl)
        await relay.install()
        yield relay
    finally:
        relay.conn.close()
        await target.close()


async def gathered(*awaitables: Awaitable[Any]) -> None:
    """Run several at once; the first error wins."""
    async with asyncio.TaskGroup() as tasks:
        for one in awaitables:
            tasks.create_task(_await(one))


async def _await(one: Awaitable[Any]) -> None:
    await one
