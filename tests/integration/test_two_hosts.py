"""``--dask`` over two hosts, as network namespaces: a scheduler and a worker killed on the way."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.test_verify_processes import PATIENCE, ROWS, awaited, damage, found_in, pair, verified

__all__ = ["pair"]
pytestmark = pytest.mark.slow
SCHEDULER, WORKERS = "10.213.77.1", "10.213.77.2"
ADDRESS = f"tcp://{SCHEDULER}:8786"
BIN = Path(sys.executable).parent


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts():
    """Two namespaces with a wire between them: one for the scheduler and the command, one for workers."""
    here, there = (f"syncline{os.getpid()}{side}" for side in "ab")
    if os.geteuid() or shutil.which("ip") is None or (made := ip("netns", "add", here)).returncode:
        pytest.skip("network namespaces need root and `ip netns`" if os.geteuid() else made.stderr or "there is no ip")
    with contextlib.ExitStack() as stack:
        stack.callback(ip, "netns", "del", here)
        wires = ("link", "add", "one", "netns", here, "type", "veth", "peer", "name", "two", "netns", there)
        commands = [("netns", "add", there), wires]
        for host, wire, address in ((here, "one", SCHEDULER), (there, "two", WORKERS)):
            commands += [("-n", host, "addr", "add", f"{address}/24", "dev", wire)]
            commands += [("-n", host, "link", "set", name, "up") for name in (wire, "lo")]
        stack.callback(ip, "netns", "del", there)
        for words in commands:
            if (done := ip(*words)).returncode:
                pytest.skip(f"no wire between network namespaces: {done.stderr}")
        yield here, there


@pytest.fixture
def run_on(tmp_path):
    """Run a program on a host; it is killed at the end of the test."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_URL")}
    environment |= {"SYNCLINE_CONFIG": str(tmp_path / "syncline.toml"), "DASK_TEMPORARY_DIRECTORY": str(tmp_path)}
    with contextlib.ExitStack() as stack:

        def run(host, program, *words, **files):
            command = ["ip", "netns", "exec", host, str(BIN / program), *map(str, words)]
            started = subprocess.Popen(command, env=environment, process_group=0, text=True, **files)
            stack.enter_context(started)
            stack.callback(started.kill)
            return started

        yield run


AT_WORK = """
import sys, time
from distributed import Client

def parts(dask_scheduler):
    return [len(one.processing) for one in dask_scheduler.workers.values() if one.name == "first"]

with Client(sys.argv[1]) as client:
    while not any(client.run_on_scheduler(parts)):
        time.sleep(0.05)
"""
"""Ends when the scheduler has given a part to the worker of this name; one that is stopped keeps it."""


def said(file, words):
    """Wait until a program has said something to a file, so often."""
    text, number = words
    return awaited(lambda: file.read_text().count(text) >= number)


async def test_a_worker_and_then_the_scheduler_are_killed(pair, hosts, run_on, tmp_path):
    damage(pair.docs)
    here, there = hosts
    log = tmp_path / "dask.log"
    verify = ("verify", "--json", "items", "--dask", ADDRESS)
    with log.open("w") as file:
        quiet = {"stderr": file, "stdout": file}
        scheduler = run_on(here, "dask", "scheduler", "--host", SCHEDULER, "--no-dashboard", **quiet)
        alone = ("--nthreads", "1", "--no-nanny", "--no-dashboard")
        workers = [
            run_on(there, "dask", "worker", ADDRESS, *alone, "--name", name, **quiet) for name in ("first", "second")
        ]
        said(log, ("Register worker", 2))
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        at_work = run_on(here, "python", "-c", AT_WORK, ADDRESS, **quiet)
        command = run_on(here, "syncline", *verify, "--rate", "1500", **pipes)
        assert (
            at_work.wait(PATIENCE) == 0
        )  # it was looked at before its first part: one that is stopped then is refused
        workers[0].send_signal(signal.SIGSTOP)
        assert run_on(here, "python", "-c", AT_WORK, ADDRESS, **quiet).wait(PATIENCE) == 0
        workers[0].kill()  # with a part, which is done again: each record is counted once below
        out, err = command.communicate(timeout=PATIENCE)
        assert command.returncode == 1, err
        found, ((records, documents, _),) = found_in(json.loads(out))
        assert (len(found), records, documents) == (8, ROWS, ROWS + 1)

        command = run_on(here, "syncline", *verify, "--rate", "1000", **pipes)
        awaited(lambda: pair.sql("SELECT 1 FROM syncline.verification"))
        scheduler.send_signal(signal.SIGKILL)
        out, err = command.communicate(timeout=PATIENCE)
    assert (command.returncode, out, "Traceback" in err) == (3, "", False)
    assert f"the Dask scheduler at {ADDRESS} is lost" in json.loads(err.splitlines()[-1])["error"]["message"]
    status, report, err = verified(tmp_path, "items", "--rate", "0", "--resume")
    found, ((records, documents, _),) = found_in(report)
    assert (status, len(found), records, documents) == (1, 8, ROWS, ROWS + 1), err
