"""``syncline backfill --processes N``: every record is marked, whatever becomes of the processes that mark."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from uuid import uuid4

import pytest

from syncline.backfill import command, dividing
from syncline.backfill.pace import Pace, Pacer
from syncline.backfill.runner import Runner
from syncline.backfill.sweep import Sweep
from syncline.config import load
from syncline.engines.postgres.marking import SqlMarking
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import UnlikeWorkerError
from syncline.ports import Beat, Task, TaskKind
from syncline.wiring.backfilling import TaskJob, opened_bench
from syncline.wiring.performing import LinkPerformer
from tests.integration.test_verify_processes import PATIENCE, awaited, begun, children_of, gone
from tests.pairs import entity, paired
from tests.relay import Relay

ROWS = 16_000
TABLES = f"""
CREATE TABLE items (id bigint PRIMARY KEY, v int);
CREATE TABLE pairs (a int, b text, PRIMARY KEY (a, b));
INSERT INTO items SELECT n, n FROM generate_series(1, {ROWS}) n;
INSERT INTO pairs SELECT n % 7, 'b' || n FROM generate_series(1, 500) n;
"""


@pytest.fixture
async def pair(database, mongo_url, mongo_db, tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    entities = [entity("items"), entity("pairs")]
    async with paired(database, mongo_url, mongo_db, TABLES, entities) as pair:
        relay = Relay(database, entities, None, mongo=(mongo_url, mongo_db), grace=timedelta(seconds=25))
        with contextlib.closing(relay.conn):
            (tmp_path / "syncline.toml").write_text(relay.toml())
            pair.relay = relay
            yield pair


@contextlib.contextmanager
def filling(folder, *options):
    entry = Path(sys.executable).with_name("syncline")
    words = [entry, "backfill", "--json", "--config", folder / "syncline.toml", *options]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*map(str, words)], **output, process_group=0) as process:
        try:
            yield process
        finally:
            process.kill()


def filled(folder, *options):
    with filling(folder, *options) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, json.loads(out) if out else None, err


def marked(pair, name="items"):
    """Count the keys that are marked, each once."""
    ((keys,),) = pair.sql(f"SELECT count(DISTINCT key) FROM syncline.waiting WHERE entity = {pair.plan(name).id}")
    return keys


async def test_each_record_is_marked_once_in_ranges_that_follow_each_other(pair, tmp_path):
    status, report, err = filled(tmp_path, "items", "--processes", "3", "--no-sweep", "--rate", "0")
    assert status == 0, err
    assert (len(report["tasks"]), sum(task["marked"] for task in report["tasks"])) == (3, ROWS)
    assert pair.sql("SELECT count(*) FROM syncline.waiting") == [(ROWS,)]
    assert marked(pair) == ROWS
    assert pair.sql("SELECT count(*) FROM syncline.task") == [(0,)]


@pytest.mark.parametrize("name", ["items", "pairs"])
@pytest.mark.parametrize("parts", [2, 3, 16])
async def test_the_parts_cover_a_table_without_a_gap(pair, monkeypatch, name, parts):
    monkeypatch.setattr(dividing, "FEWEST", 1)
    runner = pair.runner()
    tasks = await command.request(runner, [pair.plan(name)], sweep=False, parts=parts)
    assert len(tasks) == parts
    assert all(before.progress["last"] == after.progress["after"] for before, after in pairwise(tasks))
    keys = runner.marking.keys(pair.plan(name))
    assert ("after" not in tasks[0].progress, tasks[-1].progress["last"]) == (True, await keys.last())
    for task in reversed(tasks):
        assert (await runner.run(task.id)).finished
    ((rows,),) = pair.sql(f"SELECT count(*) FROM {name}")
    assert marked(pair, name) == rows


async def test_a_sweep_of_another_target_is_refused_and_marks_are_made_whatever_it_is(pair, tmp_path):
    settings = load(tmp_path / "syncline.toml")
    elsewhere = replace(settings, target=settings.target.model_copy(update={"database": "elsewhere"}))
    plan, owner = pair.plan("items"), str(uuid4())
    await pair.target.beat(Beat(*await SqlSide(pair.pages, pair.looks).identity(), 7))
    async with opened_bench(settings) as bench, AsyncExitStack() as stack:
        performer = LinkPerformer(elsewhere, stack)
        for kind in (TaskKind.BACKFILL, TaskKind.SWEEP):
            task = Task(10**9, kind, plan.id, "test")  # nobody's any more: whoever takes the job does nothing
            job = TaskJob(task.id, plan.name, owner, await bench.same(plan, targets=bench.needs_target(task)))
            if kind is TaskKind.BACKFILL:
                assert await performer.perform(job) is None
                continue
            with pytest.raises(UnlikeWorkerError, match="an older copy of the target"):
                await performer.perform(job)


async def test_a_small_table_is_no_work_for_many(pair):
    (task,) = await command.request(pair.runner(), [pair.plan("pairs")], sweep=False, parts=4)
    assert (task.progress, task.options) == ({}, {"shared": True})


async def test_what_is_unfinished_goes_on_as_it_was_divided(pair):
    runner = pair.runner()
    tasks = await command.request(runner, [pair.plan("items")], parts=3)
    again = await command.request(runner, [pair.plan("items")])
    assert [task.id for task in again] == [task.id for task in tasks]
    assert len(await command.cancel(runner, [pair.plan("items")])) == 4


async def test_those_at_work_share_one_rate(pair, monkeypatch):
    runner, other = pair.runner(), pair.runner()
    first, second, _ = await command.request(runner, [pair.plan("items")], sweep=False, parts=3)
    one, two = await runner.tasks.claim(runner.plans, first.id), await other.tasks.claim(other.plans, second.id)
    pacer = Pacer(runner.tasks, Pace(rate=8000, heeds_source=False), one.options)
    for at_work, size in ((2, 80), (1, 160)):
        await runner.tasks.advance(one)
        await pacer.ready(one, lambda _: None)
        assert (one.sharing, pacer.size(), pacer.turn(80)["not_before"] - pacer._due) == (
            at_work,
            size,
            pytest.approx(80 * at_work / 8000, abs=1e-6),
        )
        await other.tasks.give_back(two)
        pacer = Pacer(runner.tasks, Pace(rate=8000, heeds_source=False), one.options)


async def test_a_task_that_shares_nothing_has_its_rate(pair):
    runner = pair.runner()
    await command.request(runner, [pair.plan("items")], sweep=False, parts=3)
    id_ = await runner.tasks.request(TaskKind.BACKFILL, pair.plan("items").id, "test")
    task = await runner.tasks.claim(runner.plans, id_)
    await runner.tasks.advance(task)
    assert (type(task), task.sharing) == (Task, 1)


async def test_the_range_of_a_killed_process_is_marked_all_the_same(pair, tmp_path):
    with filling(tmp_path, "items", "--rate", "4000", "--processes", "2", "--no-sweep") as running:
        first = begun(running)
        awaited(lambda: marked(pair))
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        assert awaited(lambda: set(children_of(running.pid)) - set(first))
        _, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, err
    assert marked(pair) == ROWS


async def test_ctrl_c_ends_all_of_them_and_the_next_call_goes_on(pair, tmp_path):
    with filling(tmp_path, "items", "--rate", "2000", "--processes", "2", "--no-sweep") as running:
        pids = begun(running)
        awaited(lambda: marked(pair))
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, json.loads(out)["interrupted"]) == (130, True)
    assert "Traceback" not in err
    gone(pids)
    assert 0 < marked(pair) < ROWS
    assert pair.sql("SELECT count(*), count(claimed_by) FROM syncline.task") == [(2, 0)]
    status, _, err = filled(tmp_path, "items", "--rate", "0", "--no-sweep")
    assert status == 0, err
    assert marked(pair) == ROWS


async def test_when_the_command_is_killed_they_give_back_what_they_hold(pair, tmp_path):
    with filling(tmp_path, "items", "--rate", "2000", "--processes", "2", "--no-sweep") as running:
        pids = begun(running)
        awaited(lambda: pair.sql("SELECT count(*) FROM syncline.task WHERE (progress->>'done')::int > 0") == [(2,)])
        running.kill()
        running.wait()
        gone(pids)
    assert pair.sql("SELECT count(*), count(claimed_by) FROM syncline.task") == [(2, 0)]


async def test_their_error_is_the_command_s(pair, tmp_path):
    where = "10 / (v - 9000) < 10 OR v <> 9000"
    status, _, err = filled(tmp_path, "items", "--processes", "2", "--where", "v / 0 = 1")
    assert (status, "Traceback" in err) == (3, False)
    assert "the condition (v / 0 = 1) failed" in json.loads(err.splitlines()[-1])["error"]["message"]
    status, report, err = filled(tmp_path, "items", "--processes", "2", "--where", where, "--rate", "0")
    assert (status, sum(task["marked"] for task in report["tasks"])) == (0, ROWS), err


async def test_lists_of_keys_are_shared_too(pair, tmp_path, monkeypatch):
    (tmp_path / "keys").write_text("".join(f"{n}\n" for n in range(1, 15_001)))
    status, report, err = filled(tmp_path, "items", "--processes", "2", "--keys", tmp_path / "keys", "--rate", "0")
    assert (status, sum(task["marked"] for task in report["tasks"])) == (0, 15_000), err


async def test_with_a_worker_all_is_equal_in_the_end(pair, tmp_path):
    pair.docs.items.insert_one({"_id": 99_999, "_v": 0})
    with pair.relay.process(tmp_path):
        status, report, err = filled(tmp_path, "--processes", "2", "--rate", "0")
        assert status == 0, err
        assert {(task["entity"], task["kind"]) for task in report["tasks"]} == {
            (name, kind) for name in ("items", "pairs") for kind in ("backfill", "sweep")
        }
        left = "SELECT (SELECT count(*) FROM syncline.waiting), (SELECT count(*) FROM syncline.task)"
        awaited(lambda: pair.sql(left) == [(0, 0)])  # the worker has tasks of its own: the source looks restored to it
    report = await pair.verify()
    assert report.exit_status == 0


@pytest.mark.parametrize("name", ["items", "pairs"])
async def test_the_parts_of_a_sweep_cover_a_collection_without_a_gap(pair, monkeypatch, name):
    monkeypatch.setattr(dividing, "FEWEST_SWEPT", 1)
    extra = [n if name == "items" else {"a": n, "b": "x"} for n in range(-30, 20_000, 2_000)]
    pair.docs[name].insert_many([{"_id": id_, "_v": 0} for id_ in (*extra, ROWS - 1 if name == "items" else None)])
    runner = pair.runner()
    runner._grace = timedelta(0)  # nobody applies what the other parts have marked
    sweeps = [task for task in await command.request(runner, [pair.plan(name)], parts=4) if task.kind == "sweep"]
    assert len(sweeps) == 4
    assert all(before.options["until"] == after.options["after"] for before, after in pairwise(sweeps))
    found = [await runner.run(task.id) for task in reversed(sweeps)]
    assert sum(one.done for one in found) == len(extra) + 1
    strays = [one for one in extra if name == "pairs" or not 1 <= one <= ROWS]
    assert len(strays) >= 3
    assert sum(one.marked for one in found) == len(strays)
    assert sum(one.foreign for one in found) == (name == "pairs")


async def test_a_range_that_two_are_at_under_one_name_is_marked_whole(pair):
    owner, pace = str(uuid4()), Pace(rate=None, max_queue=10**9, heeds_source=False)
    runners = [
        Runner(SqlMarking(connection, owner), pair.plans, pair.target, pace=pace)
        for connection in (pair.pages, pair.looks)
    ]
    task, *_ = await command.request(runners[0], [pair.plan("items")], sweep=False, parts=2)
    assert await runners[0].tasks.claim(pair.plans, task.id) is not None
    found = await asyncio.gather(*[runner.resume(task.id) for runner in runners])
    assert any(one is not None and one.finished for one in found)
    ((last,),) = pair.sql(f"SELECT '{task.progress['last']}'::int")
    assert marked(pair) == last
    assert pair.sql("SELECT count(*) FROM syncline.task") == [(1,)]


async def test_each_part_of_a_sweep_waits_for_writes_that_are_on_their_way(pair, monkeypatch):
    monkeypatch.setattr(dividing, "FEWEST_SWEPT", 1)
    pair.docs.items.insert_many([{"_id": n, "_v": 0} for n in range(9)])
    runner, waits = pair.runner(), []
    *_, task = await command.request(runner, [pair.plan("items")], parts=2)
    monkeypatch.setattr(Sweep, "_writes_landed", lambda self, task: waited(waits, task))
    assert (await runner.run(task.id)).finished
    assert waits == [task.id]


async def waited(waits, task):
    waits.append(task.id)
    assert "after" in task.options
    assert task.progress == {}, "the release before waits where there is none"
