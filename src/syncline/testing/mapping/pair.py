"""One test's two databases: rows are written on one side, workers carry them, and both are compared in two ways."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import timedelta
from random import Random
from typing import Any, NoReturn

import psycopg
import pytest
from pymongo import MongoClient

from syncline.config import Settings
from syncline.engines.mongo.writes import CODEC
from syncline.errors import SynclineError
from syncline.model.entity import Entity
from syncline.ports import Target
from syncline.relay.worker import Worker
from syncline.telemetry.observer import Event, LanesChanged, NullObserver, Unavailable
from syncline.testing.faults import FaultyTarget
from syncline.testing.mapping import messages
from syncline.testing.mapping.comparison import Difference, compare
from syncline.testing.mapping.prepare import Prepared
from syncline.testing.mapping.proof import prove, repair_all
from syncline.testing.mapping.rows import Decide, Rows
from syncline.testing.servers import SELECTION_MS
from syncline.verify.report import Verdict, VerifyReport
from syncline.wiring.worker import make_worker

STEP_SECONDS = 0.02
STOP_SECONDS = 30
KILLED = -9
VERIFY_PATIENCE = timedelta(seconds=5)
_WAITING = """
SELECT (SELECT count(*) FROM syncline.waiting), (SELECT count(*) FROM syncline.deferred),
       (SELECT count(*) FROM syncline.task)
"""
_PARKED = """
SELECT e.name, p.key, p.code, p.error
FROM syncline.parked AS p JOIN syncline.entity AS e ON e.id = p.entity ORDER BY 1, 2
"""


class Watcher(NullObserver):
    """Remembers what failure messages need."""

    def __init__(self) -> None:
        self.ready = asyncio.Event()
        self.outages: list[str] = []

    def tell(self, event: Event) -> None:
        """Note that the worker works; keep the trouble."""
        match event:
            case LanesChanged(owned) if owned:
                self.ready.set()
            case Unavailable(side, error):
                self.outages.append(f"{side}: {error}")


class Pair:
    """Both sides of one test.

    Attributes:
        conn: the application's connection to PostgreSQL, in autocommit mode.
        rows: writes rows within the constraints of the user's tables.
        mongo: the test's MongoDB database, by a synchronous driver.
        target: what workers write to, with faults to order.

    """

    def __init__(
        self,
        prepared: Prepared,
        source: str,
        mongo: Any,
        *,
        seed: int,
        name: str,
        decide: Decide,
        patience: float,
        open_target: Callable[[Settings], Target],
    ) -> None:
        self.prepared, self.source, self.mongo = prepared, source, mongo
        self.seed, self._patience, self._open_target = seed, patience, open_target
        self.settings = prepared.settings_for(source, mongo.name)
        self.entities: Sequence[Entity] = self.settings.entities
        self.random = Random(f"{seed} {name}")  # noqa: S311
        self.conn = psycopg.connect(source, autocommit=True)
        self.rows = Rows(self.conn, prepared.tables, self.entities, self.random, decide)
        self._target: FaultyTarget | None = None
        self._watchers: list[Watcher] = []
        self._running: set[asyncio.Task[None]] = set()

    @property
    def target(self) -> FaultyTarget:
        """What workers write to."""
        if self._target is None:
            self._target = FaultyTarget(self._open_target(self.settings))
        return self._target

    async def close(self) -> None:
        """Give back the connections."""
        self.conn.close()
        if self._target is not None:
            await self._target.close()

    # -- workers

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        """Run a worker in this process; it ends in order with the block."""
        watcher = Watcher()
        self._watchers.append(watcher)
        worker = make_worker(self.settings, self.target, observer=watcher)
        running = asyncio.create_task(worker.run())
        self._running.add(running)
        ready = asyncio.create_task(watcher.ready.wait())
        try:
            await asyncio.wait({running, ready}, timeout=self._patience, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                await running
            if not ready.done():
                raise SynclineError(f"the worker got no lanes in {self._patience} s", hint=self._trouble())
            yield worker
            worker.stop()
            await asyncio.wait_for(running, STOP_SECONDS)
        finally:
            self._running.discard(running)
            ready.cancel()
            running.cancel()
            await asyncio.wait({running, ready})

    @contextlib.contextmanager
    def process(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``syncline worker`` with the user's file; at the end of the block it gets a SIGKILL."""
        ours = ("SYNCLINE_", "DATABASE_URL", "MONGODB_URL")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment |= self.prepared.environment(self.source, self.mongo.name)
        command = [sys.executable, "-m", "syncline.cli.main", "worker", "--config", str(self.prepared.config)]
        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            try:
                yield process
                if process.poll() not in {None, KILLED}:
                    log.seek(0)
                    text = log.read().decode(errors="replace")[-2000:]
                    raise SynclineError(f"the worker ended by itself (status {process.returncode})", hint=text)
            finally:
                process.kill()
                process.wait()

    # -- waiting

    async def until(self, holds: Callable[[], Any], what: str) -> None:
        """Wait until something holds; fail when it does not within the patience of the test class.

        What ended a worker by itself is raised.
        """
        end = time.monotonic() + self._patience
        while not holds():
            for worker in self._running:
                if worker.done():
                    worker.result()
            if time.monotonic() > end:
                self.fail(f"after {self._patience:g} s still not: {what}\n{self._trouble()}")
            await asyncio.sleep(STEP_SECONDS)

    async def applied(self) -> None:
        """Wait until every change was applied once: no mark, no task."""

        def done() -> bool:
            waiting = self.waiting()
            return not waiting["outbox"] and not waiting["task"]

        await self.until(done, "every change applied")

    async def drained(self) -> None:
        """Wait until nothing waits, second deletes included."""
        await self.applied()
        self.conn.execute("UPDATE syncline.deferred SET due = clock_timestamp() WHERE due > clock_timestamp()")
        await self.until(lambda: not any(self.waiting().values()), "every delete done twice")

    def waiting(self) -> dict[str, int]:
        """Count what waits."""
        return dict(zip(("outbox", "deferred", "task"), self.conn.execute(_WAITING).fetchone() or (), strict=True))

    def parked(self) -> list[tuple[str, str, str, str]]:
        """List parked records: entity, key, code, error."""
        return self.conn.execute(_PARKED).fetchall()

    def owners(self) -> int:
        """Count the workers that own lanes."""
        row = self.conn.execute("SELECT count(DISTINCT owner) FROM syncline.lane").fetchone() or (0,)
        return int(row[0])

    # -- comparing

    def differences(self) -> list[Difference]:
        """Compare both sides independently of everything that moved the data."""
        found: list[Difference] = []
        with psycopg.connect(self.source, autocommit=True) as conn:
            for entity in self.entities:
                found += compare(conn, self.mongo, self.prepared.tables, entity)
        return found

    def collection(self, entity: Entity) -> Any:
        """The documents of an entity."""
        return self.mongo[entity.collection]

    async def verify(self) -> VerifyReport:
        """Verify as ``syncline verify`` does; not for long, because nothing is on its way when it matters."""
        return await prove(self.settings, VERIFY_PATIENCE)

    async def repair(self, report: VerifyReport) -> None:
        """Repair as ``syncline repair`` does."""
        await repair_all(self.settings, report)

    async def settled(self) -> None:
        """Drain; then nothing may be parked, and both comparisons must find both sides equal, or the test fails."""
        await self.drained()
        problems = [messages.of_parked(self.parked()), messages.of_differences(self.differences())]
        report = await self.verify()
        if report.verdict is not Verdict.EQUAL:
            problems.append(messages.of_report(report))
        self.fail_with(*problems)

    def fail_with(self, *problems: str) -> None:
        """Fail when there is a problem: with all of them, and the seed that repeats them."""
        found = [problem for problem in problems if problem]
        if found:
            self.fail("\n".join(found))

    def fail(self, message: str) -> NoReturn:
        """Fail without a traceback, with the seed."""
        pytest.fail(f"{message}\n  seed: {self.seed} (--syncline-seed={self.seed} repeats it)", pytrace=False)

    def _trouble(self) -> str:
        outages = [text for watcher in self._watchers for text in watcher.outages][-3:]
        notices = self.conn.execute("SELECT name, message FROM syncline.notice ORDER BY id DESC LIMIT 3").fetchall()
        lines = [f"waiting: {self.waiting()}", *(f"outage: {text}" for text in outages)]
        return "\n".join(f"  {line}" for line in [*lines, *(f"notice {name}: {text}" for name, text in notices)])


@contextlib.contextmanager
def opened_pair(prepared: Prepared, **options: Any) -> Iterator[Pair]:
    """Copy the prepared database for one test; ``options`` are those of ``Pair``."""
    servers = prepared.servers
    with (
        servers.database(prepared.template) as source,
        servers.collections() as name,
        MongoClient[dict[str, Any]](servers.mongo, serverSelectionTimeoutMS=SELECTION_MS) as client,
    ):
        pair = Pair(prepared, source, client.get_database(name, codec_options=CODEC), **options)
        try:
            yield pair
        finally:
            pair.conn.close()
