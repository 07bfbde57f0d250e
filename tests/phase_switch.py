"""A collection that goes over to PostgreSQL and back in tests: both sides, the phases, and applications on either."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from pymongo import MongoClient

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.errors import UnknownOutcomeError
from syncline.model.documents import Collection, DocumentMapping, Field, Part
from syncline.phases import JournalPhases, Phase
from syncline.phases.changing import Control
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.standing import Standing
from syncline.phases.switching.gates_in_mongodb import GatesInMongoDB, Wish
from syncline.phases.switching.opening import opened_switch, prepare
from syncline.phases.switching.running import run
from syncline.phases.switching.sides import MONGODB, POSTGRESQL, gate_name
from syncline.split.switching.finishing import Outcome, switch
from syncline.split.switching.move import Move, Step

TASKS = DocumentMapping(Collection("tasks", id="text", part=Part(columns={"n": Field("integer")})))
LEASE = timedelta(seconds=0.4)
"""Of a coordinator, so that another one takes over soon."""
PATIENT = timedelta(seconds=30)
"""How long writers may be paused: no test is about that."""


class Killed(BaseException):
    """A coordinator is killed: nothing that it would clean up is done."""


class SwitchStage:
    """Both sides."""

    def __init__(self, mongo_url: str, mongo_db: str, database: str) -> None:
        self.mongo_url, self.url = mongo_url.replace("/?", f"/{mongo_db}?"), database
        self.documents = Documents((TASKS,), None, {"source": self.mongo_url, "target": database})
        self.client: MongoClient[Any] = MongoClient(mongo_url)
        self.bare = self.client[mongo_db]["tasks"]

    async def prepare(self) -> None:
        """Make tables, marks, gates and way back; the collection is in its ramp, and everybody reads MongoDB."""
        wrap(self.bare).prepare_marks()
        for statement in schema([TASKS]):
            self.sql(statement)
        rows = VersionedRows(self.url, [TASKS])
        await rows.prepare()
        await rows.close()
        mongodb, postgresql = InMongoDB(self.mongo_url), InPostgreSQL(self.url)
        postgresql.prepare()
        GatesInMongoDB(mongodb).wish("tasks", Wish(), 0.0)
        for place in (mongodb, postgresql):
            place.put({"tasks": Standing(Phase.RAMP, 0.0, 1, datetime.now(UTC))})
            place.close()
        await prepare(self.documents, ["tasks"])

    def sql(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    def phases(self, **options: Any) -> JournalPhases:
        return JournalPhases(self.mongo_url, self.url, env={}, **options)

    @asynccontextmanager
    async def move(self, lease: timedelta = LEASE) -> AsyncIterator[Move]:
        async with opened_switch(self.documents, "tasks", lease=lease) as move:
            yield move

    async def switch(self, goal: str, **options: Any) -> Outcome:
        async with self.move() as move:
            return await switch(move, goal, **{"pause": PATIENT, **options})

    async def killed(self, goal: str, step: Step) -> None:
        """Kill a coordinator as it comes to a step: its lease is not given back."""

        def told(at: Step) -> None:
            if at is step:
                raise Killed

        async def kept(_number: int) -> None: ...

        async with self.move() as move:
            move.journal.release = kept  # type: ignore[method-assign]
            with contextlib.suppress(Killed):
                await switch(move, goal, pause=PATIENT, told=told)
                raise AssertionError(f"it never came to {step.name}")

    def modes(self) -> str:
        """Give the modes of both gates, MongoDB's first."""
        gates = self.client.get_database(self.bare.database.name)["syncline_phases"].find_one({})["gates"]
        ((mode,),) = self.sql("SELECT mode FROM syncline_gate.gate WHERE name = %s", gate_name("tasks"))
        return str(gates[0]["mode"]) + str(mode)

    def documents_there(self) -> dict[Any, int]:
        return {one["_id"]: one["n"] for one in wrap(self.bare).find()}

    def rows_there(self) -> dict[Any, int]:
        return dict(self.sql("SELECT mongo_id, n FROM postgres_tasks"))


@pytest.fixture(name="stage")
async def switch_stage(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[SwitchStage]:
    """Both sides, ready to change; whoever imports it has it."""
    one = SwitchStage(mongo_url, mongo_db, database)
    await one.prepare()
    yield one
    one.client.close()


@pytest.fixture(name="control")
def phase_control(stage: SwitchStage) -> Iterator[Control]:
    """What changes its phases."""
    mongodb, postgresql = InMongoDB(stage.mongo_url), InPostgreSQL(stage.url)
    yield Control(mongodb, postgresql, Phase.OFF)
    mongodb.close()
    postgresql.close()


class Application:
    """Writes keys on the side that serves, and reads the side that it is told to."""

    def __init__(self, stage: SwitchStage, phases: JournalPhases) -> None:
        self.stage, self.phases = stage, phases
        self.tasks = wrap(stage.bare, gate=phases)
        self.acknowledged: dict[str, int] = {}
        self.unknown = 0
        self.sides: set[str] = set()

    def write(self, key: str, n: int) -> None:
        """Write a value, wherever it is taken; what is not known is written again."""
        while True:
            try:
                run(self.phases, "tasks", lambda phase: self._written(phase, key, n), deadline=PATIENT)
            except UnknownOutcomeError:
                self.unknown += 1
            else:
                self.acknowledged[key] = n
                return

    def _written(self, phase: Phase, key: str, n: int) -> None:
        if phase.postgresql_is_truth:
            self.stage.sql(
                "INSERT INTO postgres_tasks (mongo_id, n) VALUES (%s, %s)"
                " ON CONFLICT (mongo_id) DO UPDATE SET n = excluded.n",
                key, n,
            )  # fmt: skip
            self.sides.add(POSTGRESQL)
        else:
            self.tasks.update_one({"_id": key}, {"$set": {"n": n}}, upsert=True)
            self.sides.add(MONGODB)

    def read(self, key: str) -> int:
        """Read a value where the phase says; 0: there is none."""
        if self.phases.reads_postgresql("tasks", key):
            found = self.stage.sql("SELECT n FROM postgres_tasks WHERE mongo_id = %s", key)
            return int(found[0][0]) if found else 0
        one = self.tasks.find_one({"_id": key})
        return int(one["n"]) if one else 0


@contextlib.contextmanager
def beside(*works: Callable[[Callable[[], bool]], None]) -> Any:
    """Run works in threads beside a block, until it ends; what one of them raises is raised here."""
    ended, failures = threading.Event(), []

    def do(work: Callable[[Callable[[], bool]], None]) -> None:
        try:
            work(ended.is_set)
        except BaseException as error:  # noqa: BLE001  raised below
            failures.append(error)

    threads = [threading.Thread(target=do, args=[work]) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield failures
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
