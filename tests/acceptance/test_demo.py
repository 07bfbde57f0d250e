"""The demo as CI sees it: no terminal, all of it, and nothing left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from syncline.embedded import consent_needed
from tests.programs import DOCUMENT_LINKS

pytestmark = [pytest.mark.engines, pytest.mark.slow]
COMMAND = [sys.executable, "-m", "syncline.cli.main", "demo"]
MOST_SECONDS = 180
"""The machine may have much else to do."""


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """Temporary folders of its own, and settings that would lead astray whoever followed them."""
    if consent_needed():
        pytest.skip("the MongoDB engine is not here, and SYNCLINE_ACCEPT_SSPL is not set")
    return os.environ | {
        "TMPDIR": str(tmp_path),
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "SYNCLINE_TARGET__URL": "mongodb://127.0.0.1:1/none",
        "PYTHONUNBUFFERED": "1",
    }


def processes_of(folder: Path) -> list[str]:
    """Every process whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if str(folder) in command:
                found.append(command)
    return found


def nothing_left(folder: Path) -> bool:
    return not processes_of(folder) and not list(folder.iterdir())


def test_the_demo_proves_and_leaves_nothing(environment, tmp_path):
    run = subprocess.run(
        [*COMMAND, "--seconds", "6"],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    (line,) = [line for line in run.stdout.splitlines() if "proved equal as of" in line]
    found = re.search(
        r": ([\d,]+) records in 3 collections, 0 differences, after ([\d,]+) commits, ([\d,]+) rollbacks, 1 kill -9$",
        line,
    )
    assert found is not None, line
    records, commits, rollbacks = (int(text.replace(",", "")) for text in found.groups())
    assert records > 40_000
    assert commits > 100
    assert rollbacks > 0
    assert run.stdout.count("burst: 20,000 rows") == 2
    assert "it has taken over" in run.stdout
    assert "psql postgresql://" in run.stdout
    assert run.stderr == ""
    assert nothing_left(tmp_path)


def test_the_demo_of_a_split_fails_no_request_and_loses_nothing(environment, tmp_path):
    """A database in use becomes two and one again; the coordinator of the switch is killed in the middle."""
    app = Path(__file__).parents[2] / "examples" / "backoffice"
    command = [*COMMAND, "split", "--app", str(app)]
    wide = {**environment, "COLUMNS": "200"}
    run = subprocess.run(command, env=wide, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    found = re.search(r"([\d,]+) requests, 0 failed; ([\d,]+) carriers acknowledged, 0 lost$", run.stdout.rstrip())
    assert found is not None, run.stdout
    assert all(int(number.replace(",", "")) > 20 for number in found.groups())
    assert run.stdout.count("verified equal") == 3
    assert "kill -9 of the coordinator" in run.stdout
    assert run.stderr == ""
    assert nothing_left(tmp_path)


@DOCUMENT_LINKS
def test_the_demo_of_a_migration_fails_no_request_and_loses_nothing(environment, tmp_path):
    """To live and back; PostgreSQL, the worker, and the command that changes sides are killed on the way."""
    app = Path(__file__).parents[2] / "examples" / "taskboard"
    wide = {**environment, "COLUMNS": "200"}
    command = [*COMMAND, "migrate", "--app", str(app)]
    run = subprocess.run(command, env=wide, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    counts = (
        r"([\d,]+) requests, 0 failed(?:, \d+ of unknown outcome sent again)?; ([\d,]+) tasks acknowledged, 0 lost$"
    )
    found = re.search(counts, run.stdout.rstrip())
    assert found is not None, run.stdout
    assert all(int(number.replace(",", "")) > 20 for number in found.groups())
    assert run.stdout.count("verified equal") == 6
    assert "kill -9 of the command while no side accepts tasks" in run.stdout
    assert run.stderr == ""
    assert nothing_left(tmp_path)


def test_the_demo_plays_the_reference_application_and_goes_on(environment, tmp_path):
    """With ``--keep``: students go on working after the proof, until Ctrl-C."""
    app = Path(__file__).parents[2] / "examples" / "studybuddy"
    command = [*COMMAND, "--seconds", "6", "--keep", "--app", str(app)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        said = []
        for line in run.stdout:
            said.append(line)
            rate = re.search(r"commits/s (\d+)", line)
            if any("everything keeps running" in one for one in said) and rate and int(rate[1]):
                break
        run.send_signal(signal.SIGINT)
        said += run.stdout.readlines()
        assert run.wait(60) == 0, "".join(said)
    output = "".join(said)
    line = next(line for line in said if "proved equal as of" in line)
    found = re.search(r": ([\d,]+) records in 8 collections, 0 differences, after ([\d,]+) commits", line)
    assert found is not None, line
    records, commits = (int(text.replace(",", "")) for text in found.groups())
    assert records > 10_000  # two bursts
    assert commits > 60
    assert output.count("burst: 5,000 rows") == 2
    assert re.search(r"Page: http://127\.0\.0\.1:\d+/login#\w{32}", output)
    assert re.search(r"API: http://127\.0\.0\.1:\d+/docs", output)
    assert "proved equal as of" in said[-2]
    assert nothing_left(tmp_path)


def test_a_folder_without_a_script_is_told(environment, tmp_path):
    run = subprocess.run(
        [*COMMAND, "--app", str(tmp_path)],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 3
    assert "demo.toml" in run.stderr
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_however_it_ends_nothing_is_left(environment, tmp_path, number, status):
    with subprocess.Popen(COMMAND, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if "traffic from four connections" in line:
                break
        run.send_signal(number)
        assert run.wait(60) == status
    deadline = time.monotonic() + 30
    while not nothing_left(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert processes_of(tmp_path) == []
    if number != signal.SIGKILL:  # then nobody waits for the servers before the folder is removed
        assert list(tmp_path.iterdir()) == []


def test_who_refuses_the_licence_is_told_how_to_accept(environment, tmp_path):
    fresh = {**environment, "SYNCLINE_CACHE": str(tmp_path), "SYNCLINE_ACCEPT_SSPL": "", "PATH": str(tmp_path)}
    run = subprocess.run(
        COMMAND, env=fresh, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 3
    assert "SYNCLINE_ACCEPT_SSPL=1 or add --yes" in run.stderr
    assert list(tmp_path.iterdir()) == []
