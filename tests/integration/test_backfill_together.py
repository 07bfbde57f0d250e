"""Two backfills of one entity at once, beside a worker and writers: both sides end equal, whoever is killed."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from uuid import uuid4

import psycopg

from syncline.backfill import command
from syncline.backfill.pace import Pace
from syncline.backfill.runner import Runner
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.plans import compile_plans
from syncline.ports import TaskKind
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from tests.relay import Relay, relayed

ROWS = 3000
DDL = f"""
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, {ROWS}) AS n;
"""
PACE = Pace(chunk=200, max_queue=10_000)


@contextlib.asynccontextmanager
async def runner(relay: Relay, **options):
    connection = await connect(relay.url, keyed=True)
    try:
        register_loaders(connection.adapters)
        plans = await compile_plans(connection, relay.entities)
        yield Runner(SqlMarking(connection, str(uuid4())), plans.by_id, relay.target, pace=PACE, **options)
    finally:
        await connection.close()


def writing(url: str, end: threading.Event) -> None:
    chance = random.Random(7)
    with psycopg.connect(url, autocommit=True) as conn:
        while not end.is_set():
            key = chance.randrange(1, ROWS + 500)
            conn.execute(
                chance.choice(
                    [
                        "UPDATE item SET qty = qty + 1 WHERE id = %s",
                        "DELETE FROM item WHERE id = %s",
                        "INSERT INTO item VALUES (%s, 'new') ON CONFLICT (id) DO UPDATE SET name = 'again'",
                    ]
                ),
                (key,),
            )


@contextlib.contextmanager
def writer(url: str):
    end = threading.Event()
    thread = threading.Thread(target=writing, args=(url, end))
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


async def test_two_tasks_of_one_entity_at_the_same_time_beside_a_writer(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), ddl=DDL) as relay, relay.worker():
        async with runner(relay) as first, runner(relay) as second:
            ids = [
                await one.tasks.request(TaskKind.BACKFILL, 1, f"by {place}")
                for place, one in enumerate((first, second))
            ]
            with writer(database):
                done = await asyncio.gather(first.run(ids[0]), second.run(ids[1]))
        assert all(one is None or one.finished for one in done), "a worker may have been faster"
        await relay.equal(seconds=60, tasks=True)


async def test_a_second_command_follows_what_the_first_runs(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), ddl=DDL) as relay:
        relay.sql("DELETE FROM syncline.task")
        async with runner(relay) as first, runner(relay) as second:
            tasks = await command.request(first, [first.plans[1]], sweep=False)
            assert await first.tasks.claim(first.plans, tasks[0].id) is not None
            (same,) = await command.request(second, [second.plans[1]], sweep=False)
            assert same.id == tasks[0].id
            follows = asyncio.create_task(command.complete(second, [same], lambda _: None))
            assert (await first.run(same.id)).marked == ROWS
            assert [step.finished for step in await follows] == [True]
        assert relay.value("SELECT count(*) FROM syncline.waiting") == ROWS
