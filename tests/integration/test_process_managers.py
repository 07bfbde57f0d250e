"""Workers under supervisor and PM2, with the files of ``deploy/``: started, made again after a kill, stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests import pm2
from tests.relay import Relay, relayed

DEPLOY = Path(__file__).parents[2] / "deploy"
ENTRY = Path(sys.executable).with_name("syncline")
SERVER = """
[unix_http_server]
file = %(here)s/supervisor.sock
[supervisord]
nodaemon = true
logfile = %(here)s/supervisord.log
pidfile = %(here)s/supervisord.pid
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl = unix://%(here)s/supervisor.sock
"""


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> AsyncIterator[Relay]:
    async with relayed(database, (mongo_url, mongo_db), grace=timedelta(seconds=30)) as relay:
        (tmp_path / "syncline.toml").write_text(relay.toml())
        yield relay


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder like the one that the files name."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "syncline").symlink_to(ENTRY)
    return tmp_path


ORPHANED = """
SELECT count(*) FROM syncline.lane AS l LEFT JOIN syncline.worker AS w ON w.id = l.owner AND w.expires_at > clock_timestamp()
WHERE l.owner IS NOT NULL AND w.id IS NULL
"""
LIVE = "SELECT name FROM syncline.worker WHERE expires_at > clock_timestamp()"


async def alive(relay: Relay, count: int, *, without: int = 0) -> None:
    """Wait until so many workers live, and not the one of this process."""
    end = time.monotonic() + 45
    while len(names := relay.sql(LIVE)) != count or any(name.endswith(f":{without}") for (name,) in names):
        assert time.monotonic() < end, relay.sql("SELECT name, expires_at FROM syncline.worker")
        await asyncio.sleep(0.1)


async def works(relay: Relay, key: int) -> None:
    relay.sql("INSERT INTO item VALUES (%s, 'x')", key)
    await relay.drained()


async def _stopped_in_order(relay: Relay) -> None:
    """Each worker has left and given its lanes back: nobody was killed."""
    assert relay.sql("SELECT 1 FROM syncline.worker") == []
    assert relay.value("SELECT count(*) FROM syncline.lane WHERE owner IS NOT NULL") == 0


async def _running(ctl: list[str]) -> int:
    """Give the pid of a worker that supervisor calls running (it says so some seconds after the start)."""
    for _ in range(200):
        shown = subprocess.run([*ctl, "status"], capture_output=True, text=True, check=False).stdout
        if pids := re.findall(r"RUNNING +pid (\d+)", shown):
            return int(pids[0])
        await asyncio.sleep(0.2)
    raise AssertionError(shown)


@contextlib.contextmanager
def supervisord(folder: Path, program: str) -> Iterator[list[str]]:
    conf = folder / "supervisord.conf"
    conf.write_text(SERVER + program)
    process = subprocess.Popen(
        [sys.executable, "-m", "supervisor.supervisord", "-n", "-c", str(conf)], cwd=folder, stdout=subprocess.DEVNULL
    )
    try:
        yield [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(conf)]
    finally:
        process.terminate()
        process.wait(timeout=30)


async def test_supervisor_runs_them(relay: Relay, home: Path):
    text = (DEPLOY / "supervisor" / "syncline.conf").read_text("utf-8")
    program = text[text.index("[program:syncline-worker]") : text.index("[program:syncline-page]")]
    program = re.sub(r"^user=.*$", "", program, flags=re.MULTILINE)
    program = program.replace("/opt/studybuddy", str(home)).replace("/var/log/syncline", str(home))
    with supervisord(home, program) as ctl:
        await alive(relay, 2)
        await works(relay, 1)
        killed = await _running(ctl)
        os.kill(killed, signal.SIGKILL)
        await alive(relay, 2, without=killed)
        await works(relay, 2)
        while relay.value(ORPHANED):  # the lanes of the killed one are taken over with the next renewals
            await asyncio.sleep(0.1)
        relay.sql("DELETE FROM syncline.worker WHERE expires_at < clock_timestamp()")
        done = await asyncio.to_thread(
            subprocess.run, [*ctl, "stop", "syncline-worker:*"], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.stdout.count("stopped") == 2, done.stdout
        await _stopped_in_order(relay)


@pytest.fixture
def manager() -> str:
    if shutil.which("node") is None:
        pytest.skip("PM2 needs Node.js")
    try:
        return pm2.pm2()
    except pm2.UnavailableError as error:
        pytest.skip(str(error))


async def test_pm2_runs_them(relay: Relay, home: Path, manager: str):
    environment = os.environ | {"PM2_HOME": str(home / "pm2"), "SYNCLINE_HOME": str(home)}

    async def run(*arguments: str) -> str:
        command = [manager, *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        await run("start", str(DEPLOY / "pm2" / "ecosystem.config.js"), "--only", "syncline-worker")
        await alive(relay, 2)
        await works(relay, 1)
        await run("stop", "syncline-worker")
        await _stopped_in_order(relay)
        assert "stopped" in await run("list")
    finally:
        await run("kill")
