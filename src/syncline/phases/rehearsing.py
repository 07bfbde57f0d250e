"""The way back, rehearsed: on a copy the collections go from the ramp to live and back, with writes in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.config.urls import database_of, with_database
from syncline.documents.copies import copied
from syncline.documents.installing import install, plan
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.verifying import DocumentVerifier
from syncline.documents.worker import DocumentWorker
from syncline.ending import end
from syncline.engines.mongo.gates import MongoBackGate
from syncline.engines.postgres.documents.definitions import schema
from syncline.errors import RehearsalError, SynclineError
from syncline.phases import JournalPhases, Phase
from syncline.phases.dual_write import AsyncDualWriteService
from syncline.phases.in_mongodb import InMongoDB
from syncline.phases.in_postgresql import InPostgreSQL
from syncline.phases.rehearsed_writes import Writers
from syncline.phases.returning import Returning
from syncline.phases.standing import Standing
from syncline.phases.switching.opening import address_of_target, opened_switch, prepare
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.split.address import Address
from syncline.split.rehearsing.records import Clock
from syncline.split.rehearsing.scratch import new_database
from syncline.split.switching.coordinator import PAUSE
from syncline.split.switching.finishing import switch
from syncline.telemetry.observer import NullObserver

PATIENCE = timedelta(seconds=60)
"""How long what is on its way may take to the other side, before a rehearsal has failed."""
Tell = Callable[[str], None]


@dataclass(slots=True)
class Rehearsal:
    """What a rehearsal has come to."""

    documents: Mapping[str, int] = field(default_factory=dict)
    """How many were copied of each collection."""
    written: dict[str, int] = field(default_factory=dict)
    """Acknowledged writes, by the side that served."""
    paused_ms: dict[str, int] = field(default_factory=dict)
    """The longest pause of writers, by the side that serves then."""
    clock: Clock = field(default_factory=Clock)

    def as_dict(self) -> dict[str, Any]:
        """Give the form that is noted, and goes over the wire."""
        return {
            "seconds": round(self.clock.seconds, 1),
            "documents": dict(self.documents),
            "written": dict(self.written),
            "paused_ms": dict(self.paused_ms),
            "equal": True,
            "steps": [{"step": step, "seconds": round(seconds, 2)} for step, seconds in self.clock.steps],
        }


async def rehearse(
    documents: Documents, *, most: int, writes: int, pause: timedelta = PAUSE, tell: Tell = lambda _: None
) -> Rehearsal:
    """Play ramp, live and ramp in databases of their own on both servers, and note that it went through.

    What serves is read, and nothing else, but for the note in PostgreSQL.

    Args:
        documents: the declaration.
        most: documents of each collection that are copied.
        writes: of each collection on each side.
        pause: how long writers may be refused by a change of sides.
        tell: told what is done.

    Raises:
        RehearsalError: a step has failed, or both sides were not equal after it.
        SynclineError: it could not begin.

    """
    played = Rehearsal(clock=Clock(tell))
    async with opened(documents) as real, AsyncExitStack() as stack:
        client = real.database.client
        dropped: list[str] = []
        server = address_of_target(documents)
        name = f"the way back of {real.database.name}"
        address = stack.enter_context(new_database(server, name, keep=False, tell=tell, dropped=dropped.append))
        for gone in dropped:
            await client.drop_database(gone)
        database = database_of(address.conninfo)
        stack.push_async_callback(client.drop_database, database)
        copy = _elsewhere(documents, database, address)
        played.clock.begin("copy")
        _make_tables(copy)
        played.documents = await copied(real, client[database], most)
        async with opened(copy) as link:
            await _play(link, played, writes, pause)
    played.clock.end()
    await asyncio.to_thread(_note, documents, played)
    return played


def _elsewhere(documents: Documents, database: str, address: Address) -> Documents:
    """Give the same declaration for other databases."""
    source = with_database(documents.url("source"), database)
    return Documents(documents.mappings, None, {"source": source, "target": address.conninfo})


def _make_tables(copy: Documents) -> None:
    with psycopg.connect(copy.url("target"), autocommit=True) as connection:
        for name in {table.name.schema for mapping in copy.mappings for table in mapping.tables}:
            connection.execute(psycopg.sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(psycopg.sql.Identifier(name)))
        for statement in schema(copy.mappings):
            connection.execute(statement)


async def _play(link: DocumentLink, played: Rehearsal, writes: int, pause: timedelta) -> None:
    """Go there and back; each step must succeed, and both sides be equal after it."""
    clock = played.clock
    await install(link, await plan(link))
    await asyncio.to_thread(_ramp, link)
    await prepare(link.documents, link.collections)
    async with _working(link), _serving(link) as service:
        clock.begin("carry")
        await _equal(link)
        writers = Writers(service, link, writes)
        await _step("writes in MongoDB", clock, writers.write(MONGODB))
        for goal, called in ((POSTGRESQL, "ramp to live"), (MONGODB, "live back to ramp")):
            await _step(called, clock, writers.beside(lambda goal=goal: _over(link, goal, pause, played)))  # type: ignore[misc]
            await _step(f"writes after {called}", clock, writers.write(goal))
            clock.begin(f"compare after {called}")
            await _equal(link)
            await writers.see_that_all_is_there()
        played.written = writers.done


async def _step(name: str, clock: Clock, work: Awaitable[None]) -> None:
    clock.begin(name)
    try:
        await work
    except RehearsalError:
        raise
    except SynclineError as error:
        raise RehearsalError(f"{name}: {error.message}", hint=error.hint) from error


async def _over(link: DocumentLink, goal: str, pause: timedelta, played: Rehearsal) -> None:
    paused = []
    for collection in link.collections:
        async with opened_switch(link.documents, collection) as move:
            paused.append((await switch(move, goal, pause=pause)).paused_seconds)
    played.paused_ms[goal] = round(max(paused) * 1000)


def _ramp(link: DocumentLink) -> None:
    """Have all of it in the ramp, read from PostgreSQL."""
    mongodb = InMongoDB(link.documents.url("source"))
    postgresql = InPostgreSQL(link.documents.url("target"))
    try:
        for place in (mongodb, postgresql):
            place.put({name: Standing(Phase.RAMP, 100.0, 1, datetime.now(UTC)) for name in link.collections})
    finally:
        mongodb.close()
        postgresql.close()


@asynccontextmanager
async def _working(link: DocumentLink) -> AsyncIterator[None]:
    """Run a worker beside a block, both ways."""
    async with link.apart() as own:
        worker, back = (
            DocumentWorker(own, NullObserver()),
            Returning(link.documents, MongoBackGate(link.database), NullObserver()),
        )
        tasks = [asyncio.ensure_future(one.run()) for one in (worker, back)]
        try:
            yield
        finally:
            worker.stop()
            back.stop()
            await asyncio.wait(tasks, timeout=5)
            await end(*tasks, seconds=1.0)


@asynccontextmanager
async def _serving(link: DocumentLink) -> AsyncIterator[AsyncDualWriteService]:
    """Have a service as an application has it, which goes by the phases."""
    urls = link.documents.url("source"), link.documents.url("target")
    settings = DualWriteSettings(deadline=timedelta(0))
    async with (
        JournalPhases(*urls, lease=timedelta(seconds=1), env={}) as phases,
        AsyncDualWriteService(link.documents, phases=phases, settings=settings) as service,
    ):
        yield service


async def _equal(link: DocumentLink) -> None:
    """Wait for what is on its way, and compare everything.

    Raises:
        RehearsalError: something differs.

    """
    verifier = DocumentVerifier(link, patience=PATIENCE)
    try:
        report = await verifier.verify(link.collections)
    finally:
        await verifier.close()
    if report.verdict.value != "equal":
        found = "; ".join(f"{one.entity}: {dict(one.counts) or 'not all has arrived'}" for one in report.entities)
        raise RehearsalError(f"both sides are not equal: {found}", hint="`syncline verify` compares what serves")


def _note(documents: Documents, played: Rehearsal) -> None:
    postgresql = InPostgreSQL(documents.url("target"))
    try:
        postgresql.prepare()
        for mapping in documents.mappings:
            name = mapping.collection.name
            postgresql.run("rehearse", collection=name, mapping=mapping.fingerprint, report=Jsonb(played.as_dict()))
    finally:
        postgresql.close()
