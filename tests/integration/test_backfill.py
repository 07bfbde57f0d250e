"""Backfill and sweep: every record marked once, whatever its key; resumable, paced, never in the way of live writes."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from bson.decimal128 import Decimal128

from syncline.backfill import command
from syncline.backfill.latency import Latency
from syncline.backfill.pace import Pace
from syncline.backfill.sweep import id_from_text, id_to_text
from syncline.errors import NobodyDrainsError, TargetUnavailableError
from syncline.ports import TaskKind
from tests import programs
from tests.pairs import entity, paired

SMALL = Pace(chunk=100, max_queue=10**9, heeds_source=False)
KEYS = {
    "bigint": ("id bigint PRIMARY KEY", "(random() * 1e15)::bigint * (n % 2 * 2 - 1) + n"),
    "uuid": ("id uuid PRIMARY KEY", "md5(n::text)::uuid"),
    "text": ("id text PRIMARY KEY", "chr(97 + n % 26) || chr(65 + n % 7) || '-' || n"),
    "text under another collation": (
        f"id text COLLATE {programs.collation()} PRIMARY KEY",
        "chr(97 + n % 26 - n % 2 * 32) || ' é' || n",
    ),
    "varchar": ("id varchar(40) PRIMARY KEY", "md5(n::text)"),
    "numeric": ("id numeric(20, 2) PRIMARY KEY", "n * 1.5"),
    "timestamptz": ("id timestamptz PRIMARY KEY", "'1960-01-01'::timestamptz + n * interval '1 month 0.000001 s'"),
    "date": ("id date PRIMARY KEY", "'2000-01-01'::date + n"),
    "bytea": ("id bytea PRIMARY KEY", "decode(md5(n::text), 'hex')"),
}


async def test_a_backfill_marks_every_row_of_every_key_type_exactly_once(database, mongo_url, mongo_db):
    tables = {f"t{place}": KEYS[name] for place, name in enumerate(KEYS)}
    ddl = "".join(
        f"CREATE TABLE {table} ({column}, v int);"
        f"INSERT INTO {table} SELECT {expression}, n FROM generate_series(1, 1003) n;"
        for table, (column, expression) in tables.items()
    )
    async with paired(database, mongo_url, mongo_db, ddl, [entity(table) for table in tables]) as pair:
        for table in tables:
            progress = await pair.backfill(table, pace=SMALL)
            assert (progress.marked, progress.total, progress.finished) == (1003, 1003, True), table
            expected = sorted(pair.sql(f"SELECT syncline.key_{pair.plan(table).id}(id) FROM {table}"))
            marks = sorted(pair.sql(f"SELECT key FROM syncline.waiting WHERE entity = {pair.plan(table).id}"))
            assert marks == expected, table
        lanes = "SELECT count(*) FROM syncline.waiting WHERE lane <> syncline.lane_of(entity, key) OR hint <> 'B'"
        assert pair.sql(lanes) == [(0,)]
        assert pair.sql("SELECT count(*) FROM syncline.task") == [(0,)]


COMPOSITE = """
CREATE TYPE grade AS ENUM ('z', 'a', 'm'); -- its order is not that of its text
CREATE TABLE marks (grade grade, n smallint, PRIMARY KEY (grade, n));
INSERT INTO marks SELECT (ARRAY['z', 'a', 'm'])[n % 3 + 1]::grade, n FROM generate_series(1, 500) n;
CREATE TABLE lines (region text, n int, v text, PRIMARY KEY (region, n)) PARTITION BY LIST (region);
CREATE TABLE lines_a PARTITION OF lines FOR VALUES IN ('a "quoted", one', 'b');
CREATE TABLE lines_z PARTITION OF lines DEFAULT;
INSERT INTO lines SELECT (ARRAY['a "quoted", one', 'b', 'ü', ''])[n % 4 + 1], n, 'x' FROM generate_series(1, 777) n;
"""


async def test_composite_keys_of_a_partitioned_table(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, COMPOSITE, [entity("lines"), entity("marks")]) as pair:
        assert (await pair.backfill("lines", pace=SMALL)).marked == 777
        assert (await pair.backfill("marks", pace=SMALL)).marked == 500
        await pair.drain()
        assert (await pair.verify()).exit_status == 0


ITEMS = "CREATE TABLE items (id int PRIMARY KEY, v int, kept bool DEFAULT true);"
MANY = ITEMS + "INSERT INTO items SELECT n, n, n % 10 = 0 FROM generate_series(1, 2000) n;"


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, MANY, [entity("items")]) as pair:
        yield pair


@pytest.fixture
async def filtered(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, MANY, [entity("items", where="kept")]) as pair:
        yield pair


async def test_an_empty_table_is_done_at_once(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items")]) as pair:
        assert (await pair.backfill("items")).marked == 0


async def test_rows_outside_of_the_filter_are_not_marked(filtered):
    assert (await filtered.backfill("items", pace=SMALL)).marked == 200


async def test_the_sweep_marks_what_the_filter_excludes_now(filtered):
    filtered.docs.items.insert_many({"_id": n, "_originalId": str(n), "_v": 1} for n in range(1, 51))
    progress = await filtered.backfill("items", TaskKind.SWEEP)
    assert (progress.done, progress.marked) == (50, 45)


async def test_rows_inserted_behind_and_ahead_of_the_cursor_have_marks_of_their_own(items):
    steps = []

    def told(step):
        if not steps:
            items.sql("INSERT INTO items VALUES (-5, 1), (100000, 1)", "UPDATE items SET v = 0 WHERE id = 1")
            items.sql("DELETE FROM items WHERE id = 1900")
        steps.append(step)

    await items.backfill("items", pace=SMALL, on_progress=told)
    assert len(steps) > 5
    await items.drain()
    assert (await items.verify()).exit_status == 0


async def test_what_is_usual_of_the_source_is_learnt_once_for_all_tasks(items, monkeypatch):
    """To learn it takes commits: for hundreds of small tables that was most of the work."""
    monkeypatch.setattr("syncline.backfill.pace.FIRST_LOOKS", 40)
    looks, note = [], Latency.note
    monkeypatch.setattr(Latency, "note", lambda *given, **at: (looks.append(at), note(*given, **at)))
    runner, seen = items.runner(), []
    for _ in range(2):
        await runner.tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test", {"where": "id < 10"})
        assert (await runner.run_next()).marked == 9
        seen.append(len(looks))
    assert seen[1] - seen[0] < 40 <= seen[0]


async def test_killed_at_any_step_it_goes_on_where_it_was(items):
    id_ = await items.runner().tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test")
    chunks = 0
    while items.sql("SELECT count(*) FROM syncline.task") != [(0,)]:

        def die(step):
            nonlocal chunks
            chunks += 1
            if chunks % 4 == 3:
                raise asyncio.CancelledError

        try:
            await items.runner(pace=SMALL, on_progress=die).run(id_)
        except asyncio.CancelledError:
            assert items.sql("SELECT claimed_by FROM syncline.task") in ([(None,)], [])
    assert items.sql("SELECT count(*), count(DISTINCT key) FROM syncline.waiting") == [(2000, 2000)]


async def test_what_was_given_back_is_not_resumed(items):
    """A process that is asked before the command is interrupted, and begins after it, marks nothing."""
    runner = items.runner(pace=SMALL)
    id_ = await runner.tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test")
    assert await runner.resume(id_) is None
    task = await runner.tasks.claim(items.plans, id_)
    await runner.tasks.give_back(task)
    assert await runner.resume(id_) is None
    assert items.sql("SELECT count(*) FROM syncline.waiting") == [(0,)]
    await runner.tasks.claim(items.plans, id_)
    assert (await runner.resume(id_)).marked == 2000


async def test_a_killed_process_leaves_a_claim_that_expires(items, database):
    first = items.runner(pace=SMALL)
    id_ = await first.tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test")
    await first.tasks.claim(items.plans, id_)  # and dies
    assert await items.runner().run(id_) is None
    items.sql("UPDATE syncline.task SET claimed_until = clock_timestamp() - interval '1 s'")
    assert (await items.runner().run_next()).marked == 2000


async def test_a_task_taken_over_stops_marking(items):
    id_ = await items.runner().tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test")

    def steal(_):
        items.sql(f"UPDATE syncline.task SET claimed_by = '{uuid4()}'")

    assert await items.runner(pace=SMALL, on_progress=steal).run(id_) is None
    assert items.sql("SELECT count(*) FROM syncline.waiting") == [(100,)]  # the transaction that lost it left no marks


async def test_it_waits_while_the_queue_is_full_and_goes_on_when_it_is_not(items):
    pace = Pace(chunk=100, max_queue=300, pause=timedelta(milliseconds=10), heeds_source=False)
    running = asyncio.create_task(items.backfill("items", pace=pace))
    for _ in range(50):
        await asyncio.sleep(0.02)
        assert items.sql("SELECT count(*) <= 400 FROM syncline.waiting") == [(True,)]
        items.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        if running.done():
            break
    assert (await running).marked == 2000


async def test_it_waits_while_the_oldest_mark_is_too_old(items):
    items.sql(
        "SELECT syncline.mark(1::smallint, '{1}', 'U')", "UPDATE syncline.outbox SET at = now() - interval '1 min'"
    )
    running = asyncio.create_task(items.backfill("items"))
    await asyncio.sleep(0.3)
    assert not running.done()
    running.cancel()
    pace = Pace(max_lag=timedelta(seconds=10), pause=timedelta(milliseconds=10))
    running = asyncio.create_task(items.backfill("items", pace=pace))
    await asyncio.sleep(0.3)
    assert not running.done()
    items.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
    assert (await running).marked == 2000


async def test_with_no_worker_and_no_patience_it_says_so_and_the_task_stays(items):
    pace = Pace(chunk=100, max_queue=100, pause=timedelta(milliseconds=10), patience=timedelta(milliseconds=50))
    with pytest.raises(NobodyDrainsError, match="no worker is running"):
        await items.backfill("items", pace=pace)
    assert items.sql("SELECT progress ->> 'marked', claimed_by FROM syncline.task") == [("100", None)]


async def test_the_age_of_its_own_task_does_not_hold_it_back(items):
    items.sql(
        "TRUNCATE items",
        "INSERT INTO items SELECT n FROM generate_series(1, 5) n",
        "DELETE FROM syncline.outbox; DELETE FROM syncline.block",
    )
    items.docs.items.insert_many({"_id": n} for n in range(1, 11))
    items.sql("UPDATE syncline.task SET created_at = now() - interval '1 h'")
    progress = await items.runner(pace=Pace(max_lag=timedelta(seconds=1))).run_next()
    assert (progress.kind, progress.marked) == (TaskKind.SWEEP, 5)


async def test_the_sweep_leaves_foreign_documents_alone_and_counts_them(items):
    items.docs.items.insert_many([{"_id": n} for n in (1, 2, 5000, "text", 1.5, None, True)] + [{"_id": {"a": 1}}])
    progress = await items.backfill("items", TaskKind.SWEEP)
    assert (progress.done, progress.marked, progress.foreign) == (8, 1, 5)
    assert items.sql("SELECT key, hint::text FROM syncline.waiting") == [("5000", "R")]


OURS = {"_v": 1, "_originalId": "1", "_source": "postgresql"}


async def test_the_sweep_removes_what_is_ours_under_a_key_of_before(items):
    """And finds rows by numbers that MongoDB takes for equal, whatever their type."""
    old = [{"_id": id_, **OURS} for id_ in ("1", {"a": 1}, 1.5)]
    items.docs.items.insert_many([*old, {"_id": 1.0, **OURS}, {"_id": Decimal128("5000"), **OURS}])
    progress = await items.backfill("items", TaskKind.SWEEP)
    assert (progress.done, progress.marked, progress.foreign) == (5, 4, 0)
    assert [one["_id"] for one in items.docs.items.find()] == [1.0, Decimal128("5000")]
    assert items.sql("SELECT key FROM syncline.waiting") == [("5000",)]


async def test_a_sweep_that_was_compiled_for_another_key_discards_nothing(items):
    items.docs.items.insert_one({"_id": "under the new key", **OURS})
    items.sql("UPDATE syncline.entity SET key_types = '{text}'")
    items.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('sweep', 1, 'test')")
    assert await items.runner().run_next() is None
    assert items.docs.items.count_documents({}) == 1


async def test_texts_that_only_look_like_keys_do_not_stop_the_sweep(database, mongo_url, mongo_db):
    ddl = "CREATE TYPE mood AS ENUM ('ok', 'bad'); CREATE TABLE moods (id mood PRIMARY KEY); INSERT INTO moods VALUES ('ok');"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("moods")]) as pair:
        pair.docs.moods.insert_many({"_id": label} for label in ("ok", "bad", "none such", "neither"))
        progress = await pair.backfill("moods", TaskKind.SWEEP)
        assert (progress.marked, progress.foreign) == (1, 2)


async def test_the_sweep_resumes_after_an_outage_of_the_target(items):
    items.docs.items.insert_many({"_id": n} for n in range(-4500, 1))
    walk, broken = items.target.walk, []

    async def flaky(*args, **kwargs):
        async for page in walk(*args, **kwargs):
            yield page
            if len(broken) < 2:
                broken.append(page)
                raise TargetUnavailableError("gone for a moment")

    items.target.walk = flaky
    progress = await items.backfill("items", TaskKind.SWEEP)
    assert (progress.done, progress.marked, len(broken)) == (4501, 4501, 2)


@pytest.mark.parametrize("id_", [1, 2**40, "x", b"\0", uuid4(), {"a": 1, "b": "x"}, None, True, 1.5])
def test_the_cursor_of_a_sweep_gives_back_any_id(id_):
    assert id_from_text(id_to_text(id_)) == id_
    assert type(id_from_text(id_to_text(id_))) is not bool or id_ is True


async def test_a_second_command_goes_on_with_what_the_first_left(items):
    plan = items.plan("items")

    def die(step):
        if step.marked >= 500:
            raise KeyboardInterrupt

    runner = items.runner(pace=SMALL, on_progress=die)
    tasks = await command.request(runner, [plan])
    with pytest.raises(KeyboardInterrupt):
        await command.complete(runner, tasks, lambda _: None)
    again = await command.request(items.runner(), [plan])
    assert [task.id for task in again] == [task.id for task in tasks]
    runner = items.runner(grace=timedelta(seconds=0.2))  # nobody writes what is marked: the sweep waits as long for it
    done = await command.complete(runner, again, lambda _: None)
    assert [(step.kind, step.marked) for step in done] == [(TaskKind.BACKFILL, 2000), (TaskKind.SWEEP, 0)]
    assert items.sql("SELECT count(*) FROM syncline.waiting") == [(2000,)]


async def test_a_command_follows_what_a_worker_runs(items):
    runner = items.runner()
    tasks = await command.request(runner, [items.plan("items")], sweep=False)
    await items.runner().tasks.claim(items.plans, tasks[0].id)
    seen = []
    following = asyncio.create_task(command.complete(runner, tasks, seen.append))
    await asyncio.sleep(0.2)
    items.sql("DELETE FROM syncline.task")
    assert [step.finished for step in await following] == [True]
    assert seen[0].waiting == "a worker runs it"


async def test_cancel_drops_the_task_and_stops_who_runs_it(items):
    runner = items.runner(pace=SMALL)
    await command.request(runner, [items.plan("items")])
    assert len(await command.cancel(runner, [items.plan("items")])) == 2
    assert items.sql("SELECT count(*) FROM syncline.task") == [(0,)]


async def test_marking_a_chunk_uses_the_index_and_sorts_nothing(items, database):
    items.sql("INSERT INTO items SELECT n FROM generate_series(3000, 60000) n", "ANALYZE items")
    from syncline.engines.postgres.key_sql import key_statements

    statements = key_statements(items.plan("items"))
    with psycopg.connect(database) as plain:
        for statement, values in [
            (statements.boundary_after, ("100", "60000", 3999)),
            (statements.mark_after, ("B", "100", "4100")),
        ]:
            text = "EXPLAIN " + statement.as_string(plain)
            lines = "\n".join(line for (line,) in plain.execute(text, values))
            assert "Index" in lines, lines
            assert "Sort" not in lines, lines
