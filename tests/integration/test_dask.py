"""``--dask ADDRESS`` on a real cluster of processes: one answer, whatever becomes of the workers."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import distributed
import pytest
from distributed.protocol.pickle import dumps

from syncline.config import load
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import SynclineError, UnlikeWorkerError
from syncline.executing import clusters
from syncline.executing.clusters import opened_cluster
from syncline.ports import Beat, Stretch
from syncline.verify import part as parts
from syncline.verify.part import Part
from syncline.wiring.work import LinkWork, OfLink
from tests import leftovers
from tests.integration.test_backfill_processes import filled, filling, marked
from tests.integration.test_verify_processes import (
    PATIENCE,
    ROWS,
    awaited,
    damage,
    found_in,
    pair,
    verified,
    verifying,
)

__all__ = ["pair"]
QUIET: dict[str, Any] = {"processes": True, "dashboard_address": ":0", "silence_logs": 50}


@pytest.fixture
def cluster(pair, tmp_path, monkeypatch):
    """A scheduler and two workers, processes each, which read the configuration that their environment names."""
    monkeypatch.setenv("SYNCLINE_CONFIG", str(tmp_path / "syncline.toml"))
    with contextlib.ExitStack() as stack:
        with leftovers.serving_several():  # the process in which multiprocessing keeps count stays
            made = distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, local_directory=tmp_path / "dask", **QUIET
            )
        yield stack.enter_context(made)


def pids(cluster):
    return [nanny.pid for nanny in cluster.workers.values()]


async def test_a_cluster_gives_the_answer_of_one(pair, cluster, tmp_path):
    damage(pair.docs)
    status, one, _ = verified(tmp_path, "--rate", "0")
    again, many, err = verified(tmp_path, "--rate", "0", "--dask", cluster.scheduler_address)
    assert (status, again) == (1, 1), err
    assert found_in(many) == found_in(one)


async def test_a_worker_killed_on_the_way_changes_nothing(pair, cluster, tmp_path):
    damage(pair.docs)
    first = pids(cluster)
    with verifying(tmp_path, "items", "--rate", "4000", "--dask", cluster.scheduler_address) as command:
        awaited(lambda: pair.sql("SELECT 1 FROM syncline.verification"))
        os.kill(first[0], signal.SIGKILL)
        out, err = command.communicate(timeout=PATIENCE)
    assert command.returncode == 1, err
    found, ((records, documents, _),) = found_in(json.loads(out))
    assert (len(found), records, documents) == (8, ROWS, ROWS + 1)
    awaited(lambda: set(pids(cluster)) != set(first))


async def test_a_backfill_is_marked_by_a_cluster_though_a_worker_is_killed(pair, cluster, tmp_path):
    address = cluster.scheduler_address
    with filling(tmp_path, "items", "--rate", "4000", "--no-sweep", "--dask", address) as running:
        awaited(lambda: marked(pair))
        os.kill(pids(cluster)[0], signal.SIGKILL)
        out, err = running.communicate(timeout=PATIENCE)
    assert running.returncode == 0, err
    assert (marked(pair), len(json.loads(out)["tasks"])) == (ROWS, 2)


async def test_after_ctrl_c_the_cluster_marks_no_more(pair, cluster, tmp_path):
    address = cluster.scheduler_address
    with filling(tmp_path, "items", "--rate", "1500", "--no-sweep", "--dask", address) as running:
        awaited(lambda: marked(pair))
        os.killpg(running.pid, signal.SIGINT)
        _, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, "Traceback" in err) == (130, False)
    assert pair.sql("SELECT count(*), count(claimed_by) FROM syncline.task") == [(2, 0)]
    done = marked(pair)
    time.sleep(1)
    assert marked(pair) == done < ROWS
    status, _, err = filled(tmp_path, "items", "--rate", "0", "--no-sweep")
    assert (status, marked(pair)) == (0, ROWS), err


async def test_a_worker_that_is_led_elsewhere_is_refused_by_name(pair, cluster, tmp_path):
    text = (tmp_path / "syncline.toml").read_text()
    ((name,),) = pair.sql("SELECT current_database()")
    (tmp_path / "syncline.toml").write_text(text.replace(name, "template1", 1))
    other = tmp_path / "other.toml"
    other.write_text(text)
    status, report, err = verified(tmp_path, "items", "--dask", cluster.scheduler_address, config=other)
    assert (status, report) == (3, None)
    assert json.loads(err.splitlines()[-1])["error"]["message"].startswith("the worker tcp://127.0.0.1:")


async def test_a_worker_of_another_target_is_refused_by_name(pair, cluster, tmp_path):
    text = (tmp_path / "syncline.toml").read_text()
    (tmp_path / "syncline.toml").write_text(text.replace(pair.mongo_db, "elsewhere"))
    other = tmp_path / "other.toml"
    other.write_text(text)
    await pair.target.beat(Beat(*await SqlSide(pair.pages, pair.looks).identity(), 7))
    status, report, err = verified(tmp_path, "items", "--dask", cluster.scheduler_address, config=other)
    assert (status, report) == (3, None)
    said = json.loads(err.splitlines()[-1])["error"]["message"]
    assert said.startswith("the worker tcp://127.0.0.1:")
    assert "of the target" in said


async def test_a_worker_without_a_configuration_is_refused_by_name(pair, cluster, tmp_path):
    other = tmp_path / "other.toml"
    (tmp_path / "syncline.toml").rename(other)
    status, _, err = verified(tmp_path, "items", "--dask", cluster.scheduler_address, config=other)
    said = json.loads(err.splitlines()[-1])["error"]
    assert (status, said["message"].startswith("the worker tcp://127.0.0.1:")) == (3, True)


async def test_nothing_secret_is_sent_to_the_scheduler(pair, cluster, tmp_path, monkeypatch):
    sent = []

    def seen(method):
        def call(self, *given, **named):
            sent.append(dumps((given, named.get("args"))))
            return method(self, *given, **named)

        return call

    for name in ("submit", "run"):
        monkeypatch.setattr(distributed.Client, name, seen(getattr(distributed.Client, name)))
    settings = load(tmp_path / "syncline.toml")
    same = await parts.same_of(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target), pair.plan("items"))
    async with opened_cluster(cluster.scheduler_address, LinkWork(settings).origin) as there:
        looked = await there.run(Part("items", Stretch(), True, False, None, timedelta(seconds=9), same))
    assert looked.walked.records == ROWS
    assert len(sent) == 2
    assert b"items" in sent[1]
    ((name,),) = pair.sql("SELECT current_database()")
    secrets = (name, "postgresql:", "mongodb:", urlsplit(settings.source.url).path, str(tmp_path))
    assert not any(word.encode() in one for one in sent for word in secrets)


async def test_no_scheduler_no_worker_no_package_are_said(pair, tmp_path, monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 0.3)
    with pytest.raises(SynclineError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        async with opened_cluster("tcp://127.0.0.1:9", OfLink("")):
            pass
    async with distributed.LocalCluster(n_workers=0, asynchronous=True, **QUIET) as empty:
        with pytest.raises(SynclineError, match="has no worker"):
            async with opened_cluster(empty.scheduler_address, OfLink("")):
                pass
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(SynclineError, match="which is not installed") as raised:
        async with opened_cluster("tcp://127.0.0.1:9", OfLink("")):
            pass
    assert raised.value.hint == "pip install 'syncline[dask]'"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("0.0.1", "the worker tcp://one has Syncline 0.0.1, the command"),
        (ModuleNotFoundError("No module named 'syncline'", name="syncline"), "the worker tcp://one has no syncline"),
        (SynclineError("no file"), "the worker tcp://one: no file"),
        (AttributeError("no such thing"), "the worker tcp://one: AttributeError: no such thing"),
    ],
)
def test_what_a_worker_lacks_is_said_with_its_name(said, words):
    with pytest.raises(UnlikeWorkerError, match=words):
        clusters._require("tcp://one", said)


def test_both_ways_at_once_are_refused(tmp_path):
    (tmp_path / "syncline.toml").write_text("")
    status, _, err = verified(tmp_path, "--processes", "2", "--dask", "tcp://x")
    assert (status, "--processes does not go with --dask" in err) == (3, True)
