"""A pass that was killed goes on where it was: nothing is lost, nothing is counted twice, its "as of" stays."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from bson import Int64

from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.passes import SqlPasses
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import PassLostError, SourceUnavailableError, SynclineError
from syncline.model.mark import ticket
from syncline.verify import progress
from syncline.verify.one_pass import Options, Pass, Sides
from syncline.verify.report import Mode
from syncline.verify.spool import ReportFile, keys_in
from syncline.verify.verifier import verify
from tests.pairs import entity, kinds, paired
from tests.relay import Relay

ROWS = 3500
TABLES = f"""
CREATE TABLE items (id int PRIMARY KEY, v text);
CREATE TABLE texts (id text PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO texts SELECT n, 'v' || n FROM generate_series(1, {ROWS}) n;
"""
NAMES = ("items", "texts")


@pytest.fixture
async def pair(database, mongo_url, mongo_db, monkeypatch):
    async with paired(database, mongo_url, mongo_db, TABLES, [entity(name) for name in NAMES]) as pair:
        for name in NAMES:
            await pair.backfill(name)
        await pair.drain()
        monkeypatch.setattr(progress, "SAVE_SECONDS", 0)
        monkeypatch.setattr(progress, "SAVE_SHARE", 0)
        yield pair


class Killed(BaseException):
    """The process is gone: nothing is cleaned up."""


def killed_after(monkeypatch, method, calls):
    """Let a pass die when it has come so far, as if by a signal: it gives nothing back."""
    original = getattr(Pass, method)
    count = []

    async def dying(self, *arguments, **options):
        await original(self, *arguments, **options)
        count.append(1)
        if len(count) == calls:
            raise Killed

    async def nothing(*_):
        """A dead process releases no claim."""

    monkeypatch.setattr(Pass, method, dying)
    monkeypatch.setattr(SqlPasses, "release", nothing)


async def died(pair, monkeypatch, *names, method="_passed", calls=1, **options):
    with monkeypatch.context() as patch:
        killed_after(patch, method, calls)
        with pytest.raises(Killed):
            await pair.verify(*names, **options)
    pair.sql("UPDATE syncline.verification SET claimed_until = now()")  # as after some seconds


async def resumed(pair, *names, **options):
    sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
    plans = [one for one in pair.plans.values() if one.name in (names or NAMES)]
    mode = Mode(options.pop("mode", "full"))
    return await verify(sides, plans, Options(mode, **options), resume=True)


def damage(docs):
    """Do something at the beginning, in the middle and at the end."""
    for collection, key in ((docs.items, int), (docs.texts, str)):
        collection.update_one({"_id": key(3)}, {"$set": {"v": "first"}})
        collection.delete_one({"_id": key(2500)})
        collection.update_one({"_id": key(ROWS)}, {"$set": {"v": "last"}})
        collection.insert_one({"_id": key(9999), "_v": Int64(ticket(1, 1))})
    return {"3": "different", "2500": "missing", str(ROWS): "different", "9999": "extra"}


PLACES = [
    ("items", "_passed", 1),
    ("items", "_source", 1),
    ("texts", "_passed", 1),
    ("texts", "_passed", 3),
    ("texts", "_target", 1),
]


@pytest.mark.parametrize(("name", "method", "calls"), PLACES)
async def test_what_was_damaged_before_and_behind_the_place_is_found(pair, monkeypatch, name, method, calls):
    expected = damage(pair.docs)
    whole = (await pair.verify(name)).entities[0]
    await died(pair, monkeypatch, name, method=method, calls=calls)
    ((as_of, records),) = pair.sql(
        "SELECT (state ->> 'as_of')::timestamptz, (state ->> 'records')::int FROM syncline.verification"
    )
    assert records >= 2000
    report = await resumed(pair, name)
    one = report.entities[0]
    assert kinds(report) == expected
    assert (one.records, one.documents) == (whole.records, whole.documents)
    assert (one.as_of, len(one.resumed)) == (as_of, 1)
    assert pair.sql("SELECT as_of FROM syncline.certificate ORDER BY id DESC LIMIT 1") == [(as_of,)]
    assert pair.sql("SELECT count(*) FROM syncline.verification") == [(0,)]


async def test_damage_done_between_kill_and_resumption_is_found_where_nothing_was_compared_yet(pair, monkeypatch):
    await died(pair, monkeypatch, "items")
    pair.docs.items.delete_one({"_id": ROWS - 1})
    assert kinds(await resumed(pair, "items")) == {str(ROWS - 1): "missing"}


async def test_a_pass_that_was_resumed_proves_equality(pair, monkeypatch):
    await died(pair, monkeypatch, "items")
    assert pair.sql("SELECT count(*) FROM syncline.certificate") == [(0,)]
    report = await resumed(pair, "items")
    assert report.exit_status == 0
    assert pair.sql("SELECT verdict, records FROM syncline.certificate") == [("equal", ROWS)]


async def test_entities_that_are_done_are_not_verified_again(pair, monkeypatch):
    damage(pair.docs)
    await died(pair, monkeypatch, calls=3)
    assert pair.sql("SELECT count(*) FROM syncline.verification") == [(2,)]
    pair.docs.items.delete_one({"_id": 1234})
    report = await resumed(pair)
    assert [one.counts.total() for one in report.entities] == [4, 4]
    assert pair.sql("SELECT count(*) FROM syncline.verification") == [(0,)]


async def test_keys_and_ranges_are_resumed_too_and_only_by_the_same_question(pair, monkeypatch):
    damage(pair.docs)
    await died(pair, monkeypatch, "items", first="2", calls=1)
    report = await resumed(pair, "items", mode="keys")
    assert (kinds(report), report.entities[0].resumed) == ({"2500": "missing", "9999": "extra"}, [])
    report = await resumed(pair, "items", first="2")
    assert (len(kinds(report)), len(report.entities[0].resumed)) == (4, 1)
    await died(pair, monkeypatch, "texts", mode="keys", calls=2)
    report = await resumed(pair, "texts", mode="keys")
    assert (kinds(report), len(report.entities[0].resumed)) == ({"2500": "missing", "9999": "extra"}, 1)


@pytest.mark.parametrize("change", ["installation", "mapping"])
async def test_what_is_not_the_same_any_more_is_begun_again(pair, monkeypatch, change):
    await died(pair, monkeypatch, "items")
    if change == "mapping":
        pair.sql("UPDATE syncline.verification SET scope = replace(scope, 'full', 'keys')")
    else:
        pair.sql("UPDATE syncline.meta SET installation = gen_random_uuid()")
    report = await resumed(pair, "items")
    assert (report.exit_status, report.entities[0].resumed) == (0, [])


async def test_a_pass_whose_process_lives_is_not_taken_away(pair, monkeypatch):
    await died(pair, monkeypatch, "items")
    pair.sql("UPDATE syncline.verification SET claimed_until = now() + interval '1 h'")
    monkeypatch.setattr(SqlPasses.__init__, "__kwdefaults__", {"owner": None, "ttl": timedelta(seconds=-1.5)})
    with pytest.raises(SynclineError, match="another process is verifying items"):
        await resumed(pair, "items")


async def test_who_lost_its_pass_stops(pair, monkeypatch):
    source = Pass._note

    async def taken_away(self, *arguments, **options):
        pair.sql("UPDATE syncline.verification SET claimed_by = gen_random_uuid()")
        await source(self, *arguments, **options)

    monkeypatch.setattr(Pass, "_note", taken_away)
    monkeypatch.setattr(progress, "HOLD_SECONDS", 0)
    with pytest.raises(PassLostError):
        await pair.verify("items")


async def test_a_pass_that_meets_trouble_is_given_back_at_once(pair, monkeypatch):
    async def trouble(*_):
        raise SourceUnavailableError("gone")

    with monkeypatch.context() as patch:
        patch.setattr(Pass, "_conclude", trouble)
        with pytest.raises(SourceUnavailableError):
            await pair.verify("items")
    assert pair.sql("SELECT claimed_by FROM syncline.verification") == [(None,)]
    assert len((await resumed(pair, "items")).entities[0].resumed) == 1


async def test_the_report_file_goes_on_with_the_pass(pair, monkeypatch, tmp_path):
    expected = damage(pair.docs)
    path = tmp_path / "report.jsonl"
    with contextlib.closing(ReportFile(path)) as file:
        await died(pair, monkeypatch, calls=3, taker=file)
    with path.open("a") as torn:
        torn.write('{"finding": {"entity": "items", "key": "77"}}\n{"findi')
    file = ReportFile(path, resume=True)
    await resumed(pair, taker=file)
    file.end({})
    assert sorted(keys_in(path)) == sorted((name, key) for name in NAMES for key in expected)


async def test_a_new_verification_forgets_the_old_one(pair, monkeypatch):
    await died(pair, monkeypatch, "items")
    await pair.verify("items", mode="keys")
    assert pair.sql("SELECT count(*) FROM syncline.verification") == [(0,)]


async def test_kill_9_and_the_next_command_goes_on(pair, tmp_path):
    """The real thing: a process, a signal, and the command that the manual says."""
    expected = damage(pair.docs)
    mongo, grace = (pair.mongo_url, pair.mongo_db), timedelta(seconds=25)
    relay = Relay(pair.url, [entity("items")], pair.target, mongo=mongo, grace=grace)
    with contextlib.closing(relay.conn):
        (tmp_path / "syncline.toml").write_text(relay.toml())
    arguments = ["verify", "items", "--report", str(tmp_path / "r.jsonl"), "--config", str(tmp_path / "syncline.toml")]
    entry = Path(sys.executable).with_name("syncline")
    process = subprocess.Popen([entry, *arguments, "--rate", "300"], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    state = "SELECT claimed_until > now(), (state ->> 'records')::int FROM syncline.verification"
    while not (found := pair.sql(state)):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert found[0][0]
    assert 0 < found[0][1] < ROWS
    command = [entry, *arguments, "--resume", "--rate", "0", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    one = json.loads(result.stdout)["entities"][0]
    assert (one["records"], len(one["resumed"]), one["divergent"]) == (
        ROWS,
        1,
        {"different": 2, "extra": 1, "missing": 1},
    )
    assert sorted(key for _, key in keys_in(tmp_path / "r.jsonl")) == sorted(expected)
