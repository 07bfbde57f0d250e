"""What a backfill may be asked for: a condition, a list of keys, a rate; kept with the task, whoever runs it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from syncline.backfill import command
from syncline.backfill.pace import MOST_BEHIND_SECONDS, Pace, Pacer
from syncline.errors import ConditionError, SynclineError
from syncline.ports import Pressure, Task, TaskKind
from syncline.ports.tasks import KEYS, WHERE
from tests.pairs import entity, paired

SMALL = Pace(chunk=100, max_queue=10**9, heeds_source=False)
ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, name text, v int, kept bool NOT NULL);
INSERT INTO items SELECT n, 'it''s ' || n || '%', n, n % 2 = 0 FROM generate_series(1, 1000) n;
"""


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items", where="kept")]) as pair:
        yield pair


async def asked(pair, pace: Pace = SMALL, **options):
    runner = pair.runner(pace=pace)
    tasks = await command.request(runner, [pair.plan("items")], **options)
    return await command.complete(runner, tasks, lambda _: None)


def marked(pair) -> list[int]:
    return [int(key) for (key,) in pair.sql("SELECT key FROM syncline.waiting ORDER BY seq")]


class Killed(BaseException):
    """As good as ``kill -9`` for what runs in this process."""


def dying(after: int):
    def told(step) -> None:
        if step.marked >= after:
            raise Killed

    return told


# -- a condition


async def test_a_condition_narrows_what_the_entitys_filter_lets_through(items):
    (done,) = await asked(items, where="v > 900 OR name LIKE 'it''s 1%'")
    assert done.kind is TaskKind.BACKFILL, "no sweep: it would look at everything"
    expected = items.sql("SELECT id FROM items WHERE kept AND (v > 900 OR name LIKE 'it''s 1%') ORDER BY id")
    assert marked(items) == [id_ for (id_,) in expected]


@pytest.mark.parametrize(
    "where",
    [
        "v >",
        "nonesuch = 1",
        "v",
        "count(*) > 1",
        "true) OR (true",
        "true THEN true ELSE false END OR CASE WHEN true",
        "true; DELETE FROM items",
        "v = $1",
        "v = %s",
        "",
        "/* v > 1",
        "v > 'x'",
    ],
)
async def test_what_is_no_condition_is_refused_before_anything_is_marked(items, where):
    with pytest.raises(ConditionError, match=r"does not fit public\.items") as caught:
        await asked(items, where=where)
    assert caught.value.hint is not None
    counts = "SELECT (SELECT count(*) FROM syncline.task), (SELECT count(*) FROM syncline.waiting), (SELECT count(*) FROM items)"
    assert items.sql(counts) == [(0, 0, 1000)]


async def test_a_comment_ends_with_its_line(items):
    (done,) = await asked(items, where="v > 990 -- the newest")
    assert done.marked == 5


async def test_a_record_on_which_the_condition_fails_is_marked_too(items):
    await asked(items, where="1000 / (v - 500) > 100")
    assert sorted(marked(items)) == [500, 502, 504, 506, 508]


async def test_a_condition_that_fails_on_every_record_says_so_and_its_task_is_dropped(items):
    with pytest.raises(SynclineError, match=r"items: the condition \(1 / \(v - v\) < 2\) failed: .*division by zero"):
        await asked(items, where="1 / (v - v) < 2")
    assert items.sql("SELECT count(*) FROM syncline.task") == [(0,)]
    assert list(marked(items)) == []


async def test_the_condition_is_kept_when_a_worker_goes_on(items):
    runner = items.runner(pace=SMALL, on_progress=dying(100))
    (task,) = await command.request(runner, [items.plan("items")], where="v % 4 = 0")
    with pytest.raises(Killed):
        await runner.run(task.id)
    assert (await items.runner(pace=SMALL).run_next()).marked == 250
    assert marked(items) == list(range(4, 1001, 4))


async def test_a_command_goes_on_with_what_marks_the_same_and_with_nothing_else(items):
    runner, plan = items.runner(), items.plan("items")
    (narrow,) = await command.request(runner, [plan], where="v > 5")
    (listed,) = await command.request_keys(runner, plan, ["2"])
    whole, _ = await command.request(runner, [plan])
    assert len({narrow.id, listed.id, whole.id}) == 3
    assert [task.id for task in await command.request(runner, [plan], where="v > 5")] == [narrow.id]
    assert (await command.request(runner, [plan]))[0].id == whole.id
    assert len(await command.cancel(runner, [plan])) == 4


# -- a list of keys


async def test_exactly_the_listed_keys_are_marked(items):
    runner = items.runner(pace=SMALL)
    tasks = await command.request_keys(runner, items.plan("items"), ["7", "2", "4000"])
    (done,) = await command.complete(runner, tasks, lambda _: None)
    assert (done.marked, done.total, done.finished) == (3, 3, True)
    assert marked(items) == [7, 2, 4000]
    items.docs.items.insert_many({"_id": n, "_originalId": str(n), "_v": 1} for n in (7, 4000))
    await items.drain()
    assert [document["_id"] for document in items.docs.items.find()] == [2], "what has no row is removed"


async def test_a_long_list_is_several_tasks_and_goes_on_after_a_kill(items, monkeypatch):
    monkeypatch.setattr(command, "LISTED", 400)
    keys = [str(n) for n in range(1, 1001)]
    tasks = await command.request_keys(items.runner(), items.plan("items"), iter(keys))
    assert len(tasks) == 3
    assert {task.options[KEYS] for task in await items.runner().tasks.find()} == {400, 200}
    with pytest.raises(Killed):
        await command.complete(items.runner(pace=SMALL, on_progress=dying(200)), tasks, lambda _: None)
    while await items.runner(pace=SMALL).run_next() is not None:
        pass
    assert marked(items) == list(range(1, 1001))


async def test_a_list_is_asked_for_whole_or_not_at_all(items, monkeypatch):
    monkeypatch.setattr(command, "LISTED", 2)

    def keys():
        yield from ("1", "2", "3")
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        await command.request_keys(items.runner(), items.plan("items"), keys())
    assert items.sql("SELECT count(*) FROM syncline.task") == [(0,)]


# -- a rate


def pairs_of_chunks(pair) -> list[tuple[float, int]]:
    """When each transaction marked, and how many."""
    rows = pair.sql("SELECT extract(epoch FROM min(at))::float8, count(*) FROM syncline.waiting GROUP BY tx ORDER BY 1")
    return [(float(at), count) for at, count in rows]


async def test_a_rate_is_kept_chunk_by_chunk_and_across_a_kill(items):
    runner = items.runner(pace=SMALL, on_progress=dying(200))
    tasks = await command.request(runner, [items.plan("items")], sweep=False, pace={"rate": 200})
    with pytest.raises(Killed):
        await runner.run(tasks[0].id)
    assert items.sql("SELECT progress ? 'not_before' FROM syncline.task") == [(True,)], (
        "also where nothing is fast enough"
    )
    assert (await items.runner(pace=SMALL).run_next()).marked == 500
    chunks = pairs_of_chunks(items)
    assert len(marked(items)) == len(set(marked(items))) == 500
    until_last = sum(count for _, count in chunks[:-1])
    assert chunks[-1][0] - chunks[0][0] >= until_last / 200 - MOST_BEHIND_SECONDS - 0.05, chunks


async def test_a_rate_holds_for_the_sweep_too(items):
    items.docs.items.insert_many({"_id": n} for n in range(2001, 2101))
    runner, steps = items.runner(), []
    id_ = await runner.tasks.request(TaskKind.SWEEP, items.plan("items").id, "test", {"rate": 100})
    runner._on_progress = steps.append
    done = await runner.run(id_)
    assert (done.marked, done.done) == (100, 100)
    assert [step.done for step in steps if not step.waiting and not step.finished] == [50, 100]


async def test_a_rate_that_is_changed_applies_to_a_task_that_runs(items):
    runner = items.runner(pace=SMALL)
    tasks = await command.request(runner, [items.plan("items")], sweep=False, pace={"rate": 1})
    running = asyncio.create_task(runner.run(tasks[0].id))
    async with asyncio.timeout(30):
        while not items.sql("SELECT 1 FROM syncline.waiting"):
            await asyncio.sleep(0.02)
    async with asyncio.timeout(120):  # at one a second it would take eight minutes
        other = items.runner()
        other.tasks._statements.connection = items.looks
        await command.request(other, [items.plan("items")], sweep=False, pace={"rate": 100_000})
        assert (await running).marked == 500


# -- the source's latency


class Tasks:
    """Tasks of a source whose commits take as long as the test says."""

    def __init__(self) -> None:
        self.commit = 0.0
        self.commits = 0
        self.now = 0.0
        self.others = False

    async def pressure(self, _limit: int) -> Pressure:
        return Pressure(0, 0.0, 1, self.now, self.others)

    async def advance(self, _task: Task) -> None:
        self.commits += 1
        await asyncio.sleep(self.commit)


async def test_it_stands_back_and_marks_less_at_a_time_while_commits_are_slow(monkeypatch):
    monkeypatch.setattr("syncline.backfill.latency.SLACK_SECONDS", 0.05)  # this machine may stumble
    monkeypatch.setattr("syncline.backfill.pace.LOOK_SECONDS", 0.0)
    tasks, waits = Tasks(), []
    pacer = Pacer(tasks, Pace(rate=None))
    task = Task(1, TaskKind.BACKFILL, 1, "test")
    await pacer.ready(task, waits.append)
    usual = pacer.size()
    assert waits == []
    tasks.commit = 0.15
    for _ in range(3):
        await pacer.ready(task, waits.append)
    assert set(waits) == {"lets the source recover"}
    assert Pace().smallest <= pacer.size() < usual / 4
    tasks.commit = 0.0
    async with asyncio.timeout(60):
        while pacer.size() < Pace().chunk:
            await pacer.ready(task, waits.append)
            pacer.took()


async def test_a_source_that_stays_slow_is_marked_slowly_and_not_never(monkeypatch):
    monkeypatch.setattr("syncline.backfill.pace.LOOK_SECONDS", 0.0)
    tasks = Tasks()
    pacer = Pacer(tasks, Pace())
    task = Task(1, TaskKind.BACKFILL, 1, "test")
    await pacer.ready(task, lambda _: None)
    tasks.commit = 0.2
    async with asyncio.timeout(60):
        await pacer.ready(task, lambda _: None)


async def test_at_full_throttle_nobody_looks():
    tasks = Tasks()
    await Pacer(tasks, Pace()).ready(Task(1, TaskKind.BACKFILL, 1, "test", {"full_throttle": True}), lambda _: None)
    assert tasks.commits == 0


async def test_a_chunk_that_takes_long_is_followed_by_a_smaller_one(monkeypatch):
    clock = iter(range(1, 1000))
    pacer = Pacer(Tasks(), Pace(rate=None))
    monkeypatch.setattr("time.monotonic", lambda: float(next(clock)))
    pacer._began = 0.0
    before = pacer.size()
    pacer.took()
    assert pacer.size() in (before // 2, before // 2 + 1)


async def test_a_source_that_is_far_away_gets_larger_chunks_and_no_more_of_them_at_once():
    """What the round trips cost is made up for, up to half a second; a restart makes up for nothing."""
    tasks = Tasks()
    pacer, task = Pacer(tasks, Pace(heeds_source=False)), Task(1, TaskKind.BACKFILL, 1, "test")
    sizes = []
    for now in (100.0, 100.1, 100.2, 200.0):
        tasks.now = now
        await pacer.ready(task, lambda _: None)
        sizes.append(pacer.size())
        task.progress = pacer.turn(sizes[-1])
    assert sizes == [200, pytest.approx(1000, abs=1), pytest.approx(1000, abs=1), Pace().chunk]
    tasks.now = 300.0
    restarted = Pacer(tasks, Pace(heeds_source=False))
    await restarted.ready(task, lambda _: None)
    assert restarted.size() == 200


def test_by_default_there_is_a_rate_in_small_chunks():
    pacer = Pacer(Tasks(), Pace())
    assert (pacer.pace.rate, pacer.size()) == (10_000, 200)
    assert Pacer(Tasks(), Pace(), {"rate": 0}).pace.rate is None
    assert Pacer(Tasks(), Pace(), {"rate": 40}).size() == 20, "half a second's worth at most"
    assert Pacer(Tasks(), Pace(), {"full_throttle": True}).size() > 200


async def test_the_rate_holds_while_others_change_records_and_not_when_nobody_has_for_a_while():
    tasks = Tasks()
    task, pace = Task(1, TaskKind.BACKFILL, 1, "test"), Pace(calm=timedelta(0), heeds_source=False)
    pacer = Pacer(tasks, pace)
    await pacer.ready(task, lambda _: None)
    assert pacer.size() == pace.chunk
    assert pacer.turn(pace.chunk) == {}
    pacer.pace = replace(pace, calm=timedelta(hours=1))
    assert pacer.size() == 200, "somebody may be there"
    assert Pacer(tasks, pace, {"rate": 10_000}).size() == 200, "this one was asked for"
    assert Pacer(tasks, pace, {"rate": 0}).size() == pace.chunk


async def test_changes_of_an_application_are_told_from_marks_of_tasks(items):
    tasks = items.runner().tasks
    items.sql("SELECT syncline.mark(1::smallint, ARRAY['1'], 'B'), syncline.mark(1::smallint, ARRAY['1'], 'R')")
    assert not (await tasks.pressure(100)).others
    items.sql("UPDATE items SET id = id WHERE id = 2")
    assert (await tasks.pressure(100)).others


async def test_a_calm_source_is_looked_at_now_and_then():
    tasks = Tasks()
    pacer = Pacer(tasks, Pace(rate=None))
    for _ in range(20):
        await pacer.ready(Task(1, TaskKind.BACKFILL, 1, "test"), lambda _: None)
    assert 0 < tasks.commits < 20 * 3


def test_the_options_of_a_task_have_names_that_last():
    """They are in databases: a worker of the next version must know them."""
    assert (KEYS, WHERE) == ("keys", "where")


# -- beside a copy


async def test_marks_that_wait_for_their_tables_copy_hold_back_no_task_of_another(database, mongo_url, mongo_db):
    """They are old and many, and nobody drains them before the copy has come to its end."""
    ddl = f"{ITEMS}; CREATE TABLE copied (id int PRIMARY KEY)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items"), entity("copied")]) as pair:
        copied = pair.plan("copied").id
        pair.sql(
            f"INSERT INTO syncline.copy (entity) VALUES ({copied})",
            "INSERT INTO copied SELECT generate_series(1, 1500)",
            "UPDATE syncline.block SET at = at - interval '1 minute'",
        )
        async with asyncio.timeout(60):
            (done,) = await asked(pair, Pace(chunk=2000, max_queue=1200, heeds_source=False), sweep=False)
        assert (done.marked, done.finished) == (1000, True)
        assert (await pair.runner().tasks.pressure(10**6)).queue == 1000
        pair.sql("UPDATE syncline.copy SET copied_at = now()")
        found = await pair.runner().tasks.pressure(10**6)
        assert found.queue == 2500
        assert found.age > 50
