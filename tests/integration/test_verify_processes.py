"""``syncline verify --processes N``: one answer, whatever becomes of the processes that give it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from bson import Int64

from syncline.config import load
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import WorkerLostError
from syncline.executing import processes
from syncline.executing.processes import MODULE, Processes
from syncline.model.mark import ticket
from syncline.ports import Stretch
from syncline.verify.part import Part
from syncline.verify.sides import same_of
from syncline.wiring.work import LinkWork
from tests.pairs import entity, paired
from tests.relay import Relay

ROWS = 12_000
TABLES = f"""
CREATE TABLE items (id bigint PRIMARY KEY, v text);
CREATE TABLE words (id text PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, {ROWS}) n;
INSERT INTO words SELECT 'w' || n, 'v' || n FROM generate_series(1, 3000) n;
"""
OURS = {"_v": Int64(ticket(1, 1))}
PATIENCE = 60


@pytest.fixture
async def pair(database, mongo_url, mongo_db, tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    entities = [entity("items"), entity("words")]
    async with paired(database, mongo_url, mongo_db, TABLES, entities) as pair:
        for name in ("items", "words"):
            await pair.backfill(name)
        await pair.drain()
        relay = Relay(database, entities, None, mongo=(mongo_url, mongo_db), grace=timedelta(seconds=25))
        with contextlib.closing(relay.conn):
            (tmp_path / "syncline.toml").write_text(relay.toml())
        yield pair


@contextlib.contextmanager
def verifying(folder, *options, config=None):
    """Run the command in a process of its own, in a group of its own, as a shell does."""
    entry = Path(sys.executable).with_name("syncline")
    words = [entry, "verify", "--json", "--config", config or folder / "syncline.toml", *options]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([*map(str, words)], **output, process_group=0) as process:
        try:
            yield process
        finally:
            process.kill()


def verified(folder, *options, config=None):
    with verifying(folder, *options, config=config) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, json.loads(out) if out else None, err


def children_of(parent):
    """List the processes that do parts for a command."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(status[1]) == parent and MODULE in (folder / "cmdline").read_text():
                found.append(int(folder.name))
    return found


def awaited(look):
    """Look until there is something."""
    deadline = time.monotonic() + PATIENCE
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def begun(command, number=2):
    """Wait for the processes that do parts for a command; it must not have ended meanwhile."""

    def look():
        assert command.poll() is None, command.communicate()
        found = children_of(command.pid)
        return len(found) == number and found

    return awaited(look)


def gone(pids):
    def over():
        return not any(Path(f"/proc/{pid}").exists() for pid in pids)

    return awaited(over)


def damage(docs):
    docs.items.update_one({"_id": 3}, {"$set": {"v": "x"}})
    docs.items.delete_many({"_id": {"$in": [5001, 9000, ROWS]}})
    docs.items.insert_many([{"_id": id_, **OURS} for id_ in (None, "text", 5000.5, 99_999)])
    docs.words.delete_one({"_id": "w77"})
    docs.words.insert_one({"_id": "more", **OURS})


def found_in(report):
    entities = report["entities"]
    found = {(one["entity"], str(f["id"]), f["kind"]) for one in entities for f in one["findings"]}
    return found, [(one["records"], one["documents"], one["verdict"]) for one in entities]


@pytest.mark.parametrize("options", [(), ("--keys-only",), ("items", "--from", "5000", "--to", "9001")])
async def test_several_processes_give_the_answer_of_one(pair, tmp_path, options):
    damage(pair.docs)
    status, one, _ = verified(tmp_path, "--rate", "0", *options)
    again, many, err = verified(tmp_path, "--rate", "0", "--processes", "3", *options)
    assert (status, again) == (1, 1), err
    assert found_in(many) == found_in(one)
    assert len(found_in(one)[0]) >= 3


async def test_the_certificate_is_one(pair, tmp_path):
    status, report, err = verified(tmp_path, "items", "--rate", "0", "--processes", "2")
    assert status == 0, err
    assert pair.sql("SELECT verdict, records FROM syncline.certificate") == [("equal", ROWS)]
    assert report["entities"][0]["documents"] == ROWS


async def test_the_part_of_a_killed_process_is_looked_at_again(pair, tmp_path):
    damage(pair.docs)
    with verifying(tmp_path, "items", "--rate", "4000", "--processes", "2") as command:
        first = begun(command)
        time.sleep(0.5)
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        assert awaited(lambda: set(children_of(command.pid)) - set(first))
        out, err = command.communicate(timeout=PATIENCE)
    assert (command.returncode, err) == (1, "")
    found, ((records, documents, _),) = found_in(json.loads(out))
    assert (len(found), records, documents) == (8, ROWS, ROWS + 1)


async def test_ctrl_c_ends_all_of_them_and_the_next_one_goes_on(pair, tmp_path):
    with verifying(tmp_path, "items", "--rate", "3000", "--processes", "2") as command:
        pids = begun(command)
        awaited(lambda: pair.sql("SELECT 1 FROM syncline.verification"))
        os.killpg(command.pid, signal.SIGINT)
        _, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == 130
    assert "`syncline verify --resume` goes on where it was" in err
    assert "Traceback" not in err
    gone(pids)
    status, report, err = verified(tmp_path, "items", "--rate", "0", "--processes", "3", "--resume")
    assert (status, report["entities"][0]["records"]) == (0, ROWS), err
    assert len(report["entities"][0]["resumed"]) == 1


async def test_when_the_command_is_killed_they_end(pair, tmp_path):
    with verifying(tmp_path, "items", "--rate", "1000", "--processes", "2") as command:
        pids = begun(command)
        command.kill()
        command.wait()
        gone(pids)


async def test_their_error_is_the_command_s(pair, tmp_path, monkeypatch):
    with verifying(tmp_path, "items", "--rate", "1000", "--processes", "2") as command:
        begun(command)
        pair.sql("ALTER TABLE items RENAME TO elsewhere")
        out, err = command.communicate(timeout=PATIENCE)
    assert (command.returncode, out) == (3, "")
    assert "Traceback" not in err
    assert "items" in json.loads(err.splitlines()[-1])["error"]["message"]


async def test_one_pace_holds_for_all(pair, tmp_path):
    began = time.monotonic()
    status, *_ = verified(tmp_path, "items", "--rate", "6000", "--processes", "3")
    assert status == 0
    assert time.monotonic() - began > ROWS / 6000 - 0.5


async def test_no_secret_is_among_their_arguments_or_in_their_environment(pair, tmp_path):
    with verifying(tmp_path, "items", "--rate", "2000", "--processes", "2") as command:
        pids = awaited(lambda: children_of(command.pid))
        words = [(Path(f"/proc/{pid}") / name).read_text() for pid in pids for name in ("cmdline", "environ")]
    database = pair.sql("SELECT current_database()")[0][0]
    assert not any(database in one for one in words)


async def test_one_that_ends_again_and_again_is_given_up(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "MODULE", "keyword")  # a module that does nothing
    async with Processes(LinkWork(load(tmp_path / "syncline.toml")), 2) as executor:
        with pytest.raises(WorkerLostError, match="has ended with status 0, 3 times over the same part"):
            await executor.run("anything")


async def test_the_job_of_a_killed_process_is_done_by_another(pair, tmp_path):
    same = await same_of(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target), pair.plan("items"))
    part = Part("items", Stretch(), True, False, 6000, timedelta(seconds=9), same)
    async with Processes(LinkWork(load(tmp_path / "syncline.toml")), 1) as executor:
        running = asyncio.create_task(executor.run(part))
        (first,) = await asyncio.to_thread(awaited, lambda: children_of(os.getpid()))
        os.kill(first, signal.SIGKILL)
        looked = await running
        assert [process.pid for process in executor._all] != [first]
    assert (looked.walked.records, looked.walked.over) == (ROWS, True)


async def test_what_is_no_job_is_told_with_where_it_failed(pair, tmp_path):
    async with Processes(LinkWork(load(tmp_path / "syncline.toml")), 2) as executor:
        with pytest.raises(RuntimeError, match="no job: str"):
            await executor.run("anything")
        with pytest.raises(RuntimeError, match="no job: int"):  # by the same process
            await executor.run(5)
        assert len(executor._all) == 1


async def test_each_stays_below_a_hundred_megabytes(pair, tmp_path):
    peaks = {}
    with verifying(tmp_path, "--rate", "0", "--processes", "2") as command:
        while command.poll() is None:
            for pid in children_of(command.pid):
                with contextlib.suppress(OSError, StopIteration, IndexError):
                    lines = (Path("/proc") / str(pid) / "status").read_text().splitlines()
                    peaks[pid] = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
            time.sleep(0.01)
        command.communicate(timeout=PATIENCE)
    assert len(peaks) == 2
    assert max(peaks.values()) < 100 * 1024


def test_few_records_are_not_shared(tmp_path, database):
    with psycopg.connect(database):
        pass
    (tmp_path / "syncline.toml").write_text(
        f'[source]\nurl = {json.dumps(database)}\n[target]\nurl = "mongodb://127.0.0.1:1/x"\n[entities.a]\ntable = "a"\n'
    )
    for option in (("--sample", "5"), ("a", "--key", "5")):
        status, _, err = verified(tmp_path, "--processes", "2", *option)
        assert status == 3
        assert "--processes does not go with" in err
