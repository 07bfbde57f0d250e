"""Workers that verify by themselves: one at a time, entity after entity, and another one goes on when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from datetime import timedelta
from uuid import uuid4

import pytest

from syncline.config.settings import VerifySettings
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.passes import SqlRounds
from syncline.engines.postgres.verification.side import SqlSide
from syncline.insight.status import read_status
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.verify import continuous, progress
from syncline.verify.continuous import Continuous
from syncline.verify.one_pass import Pass, Sides
from tests.pairs import entity, paired
from tests.relay import Relay, until

TABLES = """
CREATE TABLE items (id int PRIMARY KEY, v text);
CREATE TABLE others (id int PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, 2500) n;
INSERT INTO others SELECT n, 'v' || n FROM generate_series(1, 20) n;
ANALYZE;
"""
CERTIFICATES = (
    "SELECT e.name, c.verdict FROM syncline.certificate c JOIN syncline.entity e ON e.id = c.entity ORDER BY c.id"
)
NOTICES = "SELECT name, message, resolved_at IS NOT NULL FROM syncline.notice ORDER BY id"


@pytest.fixture
async def pair(database, mongo_url, mongo_db, monkeypatch):
    async with paired(database, mongo_url, mongo_db, TABLES, [entity("items"), entity("others")]) as pair:
        for name in ("items", "others"):
            await pair.backfill(name)
        await pair.drain()
        monkeypatch.setattr(continuous, "IDLE_SECONDS", 0.05)
        monkeypatch.setattr(continuous, "TROUBLE_SECONDS", 0.05)
        monkeypatch.setattr(continuous, "SLOWEST", 1e6)
        yield pair


def verifier(pair, *, period=timedelta(hours=1), rate=1e6, owner=None):
    @contextlib.asynccontextmanager
    async def opened():
        async with await connect(pair.url, keyed=True) as pages, await connect(pair.url, keyed=True) as looks:
            register_loaders(pages.adapters)
            register_loaders(looks.adapters)
            yield Sides(SqlSide(pages, looks), MongoInspection(pair.target))

    return Continuous(pair.plans, owner=owner or str(uuid4()), opened=opened, period=period, rate=rate)


@contextlib.asynccontextmanager
async def running(*verifiers):
    tasks = [asyncio.create_task(one.run()) for one in verifiers]
    try:
        yield tasks
    finally:
        pending = set(tasks)
        while pending:  # as the worker does: a driver may lose a cancellation that comes at an unlucky moment
            for task in pending:
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=0.2)
        for task in tasks:
            assert task.cancelled(), task.exception()


async def certificates(pair, count):
    await until(lambda: len(pair.sql(CERTIFICATES)) >= count, seconds=60, what=f"{count} certificates")
    return pair.sql(CERTIFICATES)


async def test_every_entity_is_verified_once_in_a_period(pair):
    async with running(verifier(pair)):
        assert sorted(await certificates(pair, 2)) == [("items", "equal"), ("others", "equal")]
        pair.sql("UPDATE syncline.certificate SET as_of = as_of - interval '2 h' WHERE entity = 2")
        assert (await certificates(pair, 3))[2:] == [("others", "equal")]
        turn = "SELECT entity FROM syncline.verification"
        await until(lambda: pair.sql(turn) == [(0,)], seconds=30, what="nobody's turn")


async def test_a_table_that_is_being_copied_has_its_turn_when_it_is_copied(pair):
    """What is missing there meanwhile is no damage."""
    pair.docs.items.delete_many({})
    pair.sql("INSERT INTO syncline.copy (entity) SELECT id FROM syncline.entity WHERE name = 'items'")
    async with running(verifier(pair, period=timedelta(microseconds=1))):
        assert {name for name, _ in await certificates(pair, 3)} == {"others"}
        pair.sql("UPDATE syncline.copy SET copied_at = clock_timestamp()")
        await until(lambda: ("items", "divergent") in pair.sql(CERTIFICATES), what="its turn")


async def test_a_pass_during_which_its_table_was_copied_proves_nothing(pair, monkeypatch):
    """It is begun again: it may have seen half of the rows."""
    run, copied = Pass.run, []

    async def beside_a_copy(self):
        report = await run(self)
        if not copied:
            copied.append(self)
            pair.sql("INSERT INTO syncline.copy (entity, copied_at) SELECT id, now() FROM syncline.entity")
        return report

    monkeypatch.setattr(Pass, "run", beside_a_copy)
    async with running(verifier(pair)):
        assert sorted(await certificates(pair, 2)) == [("items", "equal"), ("others", "equal")]
    before = "SELECT count(*) FROM syncline.certificate WHERE as_of < (SELECT max(copied_at) FROM syncline.copy)"
    assert pair.sql(before) == [(0,)]


async def test_divergence_is_told_until_a_pass_proves_equality_and_nothing_is_repaired(pair):
    pair.docs.others.delete_one({"_id": 7})
    async with running(verifier(pair, period=timedelta(microseconds=1))):
        await certificates(pair, 6)
        ((name, message, resolved),) = pair.sql(NOTICES)
        assert (name, message[:18], resolved) == ("Diverged", "others: 1 missing,", False)
        status = await read_status(pair.url, None)
        assert [alert.name for alert in status.alerts] == ["Diverged"]
        found = {row["entity"]: row for row in status.certificates}
        assert (found["others"]["verdict"], found["others"]["divergent"]) == ("divergent", {"missing": 1})
        assert found["others"]["passes"] > found["others"]["equal_passes"] == 0
        assert pair.sql("SELECT count(*) FROM syncline.waiting") == [(0,)]
        assert pair.docs.others.count_documents({}) == 19
        pair.sql("SELECT syncline.mark(2::smallint, '{7}', 'R')")
        await pair.drain()
        await until(lambda: pair.sql(NOTICES)[0][2], seconds=60, what="the notice is resolved")
        assert len(pair.sql(NOTICES)) == 1


async def test_only_one_worker_verifies(pair):
    passes, at_once = [], []
    run = Pass.run

    async def counted(self):
        passes.append(self)
        at_once.append(len(passes))
        await asyncio.sleep(0.05)
        try:
            return await run(self)
        finally:
            passes.remove(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pass, "run", counted)
        async with running(*(verifier(pair, period=timedelta(microseconds=1)) for _ in range(3))):
            await certificates(pair, 6)
    assert set(at_once) == {1}


async def test_another_worker_goes_on_where_a_dead_one_was(pair, monkeypatch):
    monkeypatch.setattr(progress, "SAVE_SECONDS", 0)
    monkeypatch.setattr(progress, "SAVE_SHARE", 0)
    pair.docs.items.delete_many({"_id": {"$in": [5, 2400]}})
    source, stuck = Pass._passed, asyncio.Event()

    async def hangs(self, records):
        await source(self, records)
        stuck.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(Pass, "_passed", hangs)

        async def no_release(*_):
            """It is dead."""

        patch.setattr(progress.Recorder, "release", no_release)
        async with running(verifier(pair)):
            await asyncio.wait_for(stuck.wait(), 30)
    ((entity_, before),) = pair.sql("SELECT entity, (state ->> 'records')::int FROM syncline.verification")
    assert (entity_, before) == (1, 2000)
    pair.sql("UPDATE syncline.verification SET claimed_until = now()")  # as after some seconds
    async with running(verifier(pair)):
        await certificates(pair, 2)
    ((report,),) = pair.sql("SELECT report FROM syncline.certificate WHERE entity = 1")
    assert (report["records"], report["divergent"], len(report["resumed"])) == (2500, {"missing": 2}, 1)


async def test_a_stopped_worker_gives_its_turn_back(pair, monkeypatch):
    note, begun = Pass._note, asyncio.Event()

    async def slow(self, *arguments, **options):
        await note(self, *arguments, **options)
        begun.set()
        await asyncio.sleep(60)

    monkeypatch.setattr(Pass, "_note", slow)
    async with running(verifier(pair)):
        await asyncio.wait_for(begun.wait(), 30)
        assert pair.sql("SELECT claimed_by IS NULL FROM syncline.verification") == [(False,)]
    assert pair.sql("SELECT claimed_by IS NULL FROM syncline.verification") == [(True,)]


async def test_an_entity_that_cannot_be_verified_is_told_and_the_others_go_on(pair):
    object.__setattr__(pair.plan("items").entity, "mask", ("nothing",))
    async with running(verifier(pair)):
        assert await certificates(pair, 1) == [("others", "equal")]
        await until(lambda: pair.sql(NOTICES), seconds=30, what="a notice")
    ((name, message, _),) = pair.sql(NOTICES)
    assert name == "VerifyFailed"
    assert message.startswith("items: cannot be verified: items: mask = 'nothing'")


async def test_trouble_with_the_source_is_waited_out(pair, monkeypatch):
    claim = SqlRounds.claim
    calls = []

    async def cut_off(self):
        calls.append(1)
        if len(calls) < 3:
            pair.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return await claim(self)

    monkeypatch.setattr(SqlRounds, "claim", cut_off)
    async with running(verifier(pair)):
        await certificates(pair, 2)
    assert len(calls) >= 3, "it was cut off twice, and went on"


async def test_passes_are_spread_over_the_period(pair, monkeypatch):
    monkeypatch.setattr(continuous, "SLOWEST", 50.0)
    assert verifier(pair, period=timedelta(seconds=1), rate=100)._pace() == 100
    assert 2520 < verifier(pair, period=timedelta(seconds=1))._pace() < 4000
    assert verifier(pair, period=timedelta(days=9))._pace() == 50


async def test_a_worker_with_the_option_verifies_and_stops_in_time(pair, tmp_path):
    """The real command; under way at a rate that takes for ever when it is told to stop."""
    mongo, grace = (pair.mongo_url, pair.mongo_db), timedelta(seconds=25)
    entities = [one.entity for one in pair.plans.values()]
    relay = Relay(pair.url, entities, pair.target, mongo=mongo, grace=grace)
    config = '[verify]\ncontinuously = true\nrate = 10\nperiod = "1h"\n'
    state = "SELECT count(*) FROM syncline.verification WHERE entity > 0 AND claimed_by IS NOT NULL"
    with contextlib.closing(relay.conn), relay.process(tmp_path, config=config) as process:
        await until(lambda: pair.sql(state) == [(1,)], seconds=60, what="it verifies")
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, seconds=30, what="it stops")
        assert process.returncode == 0
        assert time.monotonic() - began < 30  # 5 s are promised; the machine may be busy
    # It gives its claim back; where a busy machine cuts that off, the claim runs out by itself.
    lasting = "SELECT count(*) FROM syncline.verification WHERE claimed_until > clock_timestamp() + interval '1 minute'"
    assert pair.sql(lasting) == [(0,)]


def test_the_setting_is_checked():
    with pytest.raises(ValueError, match="a duration above 0"):
        VerifySettings(period="off")
