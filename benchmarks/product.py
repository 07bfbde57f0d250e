"""What the benchmarks use of Syncline itself.

``--against COMMIT`` takes the commit's own version of this file, of ``worker.py`` and of ``application_app.py``, if it
has one, so that all the rest is the same for both sides even when Syncline's inner names have changed.

``python -m benchmarks.product SOURCE TARGET full|default`` marks a backfill: it says ``ready``, waits for a line, and
says in JSON what it did.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pymongo

from benchmarks.figure import peak_megabytes
from syncline.backfill.runner import Runner
from syncline.capture.postgres import install
from syncline.cli.verify import RATE as VERIFY_RATE
from syncline.config import load, load_links
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import CODEC
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.states import read_states
from syncline.engines.postgres.target.inspection import SqlInspection
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.verification.side import SqlSide
from syncline.executing.collector import tune_garbage_collection
from syncline.executing.opening import executing
from syncline.model.entity import ROWS, Entity, TableName
from syncline.model.mark import ticket
from syncline.model.values import EPOCH
from syncline.ports import Batch, Report, TaskKind
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.running import run_workers
from syncline.telemetry.observer import NullObserver
from syncline.verify.one_pass import Options, Sides
from syncline.verify.report import Mode
from syncline.verify.verifier import verify
from syncline.wiring.sides import open_plans, opened_sides, opened_source
from syncline.wiring.work import LinkWork

TODO = Entity("todo", TableName("public", "todo"), "todos")
TABLE = replace(TODO, collection="public.todo", form=ROWS)
"""The same, into a table of a PostgreSQL."""
FETCH = 5000
"""Rows that are copied at a time."""


async def install_todo(url: str, entity: Entity = TODO) -> None:
    """Install capture of the one table."""
    await install_entities(url, [entity])


async def install_entities(url: str, entities: Sequence[Entity]) -> None:
    """Install capture of several."""
    conn = await connect(url)
    try:
        await install.install(conn, await install.plan(conn, entities))
    finally:
        await conn.close()


async def install_links(file: str) -> None:
    """Install capture for each link of a file."""
    for settings in load_links(Path(file)):
        async with opened_source(settings) as conn:
            await install.install(conn, await install.plan(conn, settings.entities))


async def serve_links(file: Path, applied: Callable[[str, str], None]) -> None:
    """Serve the links of a file; ``applied`` is told of each record: its collection, and its note."""
    apply = MongoTarget.apply

    async def told(target: MongoTarget, batch: Batch) -> Report:
        report = await apply(target, batch)
        for state in batch.states:
            applied(batch.entity.collection, state.body["note"][:12])
        return report

    MongoTarget.apply = told  # type: ignore[assignment, method-assign]
    await run_workers([(settings, NullObserver()) for settings in load_links(file)])


async def install_application(url: str, file: Path) -> None:
    """Install capture of the reference application."""
    settings = load(file, {"DATABASE_URL": url, "MONGODB_URL": "mongodb://none/none"})
    conn = await connect(url)
    try:
        await install.install(conn, await install.plan(conn, settings.entities))
    finally:
        await conn.close()


async def copy(source: str, url: str) -> None:
    """Write the documents as a worker would leave them."""
    conn = await connect(source, keyed=True)
    target = MongoTarget(url, "bench")
    register_loaders(conn.adapters)
    plan = next(iter((await compile_plans(conn, [TODO])).by_id.values()))
    await target.announce(dict.fromkeys(range(64), 1))
    client: pymongo.MongoClient[dict[str, Any]]
    with pymongo.MongoClient(url) as client:
        todos = client.get_database("bench", codec_options=CODEC).todos
        keys = [key for (key,) in await (await conn.execute("SELECT id::text FROM todo ORDER BY id")).fetchall()]
        for start in range(0, len(keys), FETCH):
            states = await read_states(conn, plan, keys[start : start + FETCH])
            documents = states.documents(source="postgresql", synced_at=EPOCH, ticket=ticket(1, 1))
            todos.insert_many(documents, ordered=False)
    await conn.close()
    await target.close()


async def verified(source: str, url: str, *, keys_only: bool, rate: float | None = None) -> tuple[str, int]:
    """Verify once; verdict and number of differences."""
    target = MongoTarget(url, "bench")
    pages, looks = [await connect(source, keyed=True) for _ in range(2)]
    for connection in (pages, looks):
        register_loaders(connection.adapters)
    plans = await compile_plans(looks, [TODO])
    report = await verify(
        Sides(SqlSide(pages, looks), MongoInspection(target)),
        list(plans.by_id.values()),
        Options(Mode.KEYS if keys_only else Mode.FULL, rate=rate),
    )
    await pages.close()
    await looks.close()
    await target.close()
    return report.verdict.value, sum(one.counts.total() for one in report.entities)


async def verified_by(source: str, url: str, processes: int) -> tuple[str, int]:
    """Verify once as ``syncline verify --rate 0 --processes N`` does; verdict and number of differences."""
    settings = Settings(SourceSettings(url=source), TargetSettings(url=url, database="bench"), entities=(TODO,))
    async with (
        executing(LinkWork(settings), processes) as executor,
        opened_sides(settings, executor=executor) as (sides, plans),
    ):
        report = await verify(sides, list(plans.by_id.values()), Options(Mode.FULL))
    return report.verdict.value, sum(one.counts.total() for one in report.entities)


async def verified_tables(source: str, url: str) -> tuple[str, int]:
    """Verify a table against a table of the same name once; verdict and number of differences."""
    target = SqlTarget(url)
    pages, looks = [await connect(source, keyed=True) for _ in range(2)]
    for connection in (pages, looks):
        register_loaders(connection.adapters)
    plans = await compile_plans(looks, [TABLE])
    sides = Sides(SqlSide(pages, looks), SqlInspection(target))
    report = await verify(sides, list(plans.by_id.values()), Options(Mode.FULL))
    await pages.close()
    await looks.close()
    await target.close()
    return report.verdict.value, sum(one.counts.total() for one in report.entities)


async def mark(source: str, target_url: str, pace: str) -> None:
    """Mark every record, at full throttle or at the default pace."""
    settings = Settings(SourceSettings(url=source), TargetSettings(url=target_url, database="bench"), entities=(TODO,))
    target = MongoTarget(target_url, "bench")
    options = {"full_throttle": True} if pace == "full" else {}
    async with opened_source(settings, keyed=True) as connection:
        plans = await open_plans(settings, connection)
        runner = Runner(SqlMarking(connection, "00000000-0000-4000-8000-000000000001"), plans.by_id, target)
        print("ready", flush=True)
        sys.stdin.readline()
        began, used = time.perf_counter(), time.process_time()
        progress = await runner.run(await runner.tasks.request(TaskKind.BACKFILL, 1, "benchmark", options))
        took, cpu = time.perf_counter() - began, time.process_time() - used
    assert progress
    said = {"marked": progress.marked, "seconds": took, "cpu": cpu, "megabytes": peak_megabytes()}
    print(json.dumps(said), flush=True)
    await target.close()


__all__ = ["CODEC", "VERIFY_RATE", "tune_garbage_collection"]

if __name__ == "__main__":
    asyncio.run(mark(*sys.argv[1:]))
