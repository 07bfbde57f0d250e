"""Backoffice under PM2, with the file of ``deploy/``: started, made again after a kill, stopped in order."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from syncline.embedded.paths import choose_port
from tests import pm2
from tests.acceptance.backoffice.system import HOME, System

FILE = HOME.parents[1] / "deploy" / "backoffice" / "ecosystem.config.js"
TRIES = 600


@pytest.fixture
def manager() -> str:
    if shutil.which("node") is None:
        pytest.skip("PM2 needs Node.js")
    try:
        return pm2.pm2()
    except pm2.UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder like the one that the file names."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "uvicorn").symlink_to(Path(sys.executable).with_name("uvicorn"))
    for name in ("backoffice", "syncline.toml", "migrations-primary", "migrations-data"):
        (tmp_path / name).symlink_to(HOME / name)
    return tmp_path


async def test_pm2_starts_it_makes_it_again_after_a_kill_and_stops_it(system: System, home: Path, manager: str):
    if not system.split:
        pytest.skip("one mode is enough")
    port = choose_port(0)
    variables = {"PM2_HOME": str(home / "pm2"), "BACKOFFICE_HOME": str(home), "PORT": str(port)}
    environment = os.environ | system.environment | variables

    async def run(*arguments: str) -> str:
        command = [manager, *arguments]
        done = await asyncio.to_thread(
            subprocess.run, command, env=environment, capture_output=True, text=True, timeout=90, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    async def answers(*, well: bool) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for _ in range(TRIES):
                try:
                    response = await client.get("/api/health")
                except httpx.TransportError:
                    response = None
                if (response is not None and response.status_code == 200) == well:
                    return
                await asyncio.sleep(0.1)
        told = (home / "pm2" / "logs" / "backoffice-error.log").read_text()
        raise AssertionError(f"{port} answers otherwise: {told[-2000:]}")

    try:
        await run("start", str(FILE))
        await answers(well=True)
        killed = int(await run("pid", "backoffice"))
        os.kill(killed, signal.SIGKILL)
        while int(await run("pid", "backoffice") or 0) in {0, killed}:
            await asyncio.sleep(0.1)
        await answers(well=True)
        await run("stop", "backoffice")
        await answers(well=False)
        assert "stopped" in await run("list")
    finally:
        await run("kill")
