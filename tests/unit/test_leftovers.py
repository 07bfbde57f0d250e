"""A test that leaves settings, threads, tasks or processes behind fails, and what nobody will end fails the session."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAVING = """
import asyncio, os, pytest, subprocess, threading
import syncline
kept, ours = [], {}
exec(compile("import asyncio, threading\\nasync def task(): await asyncio.sleep(20)\\ndef thread(): threading.Event().wait()",
             syncline.__file__, "exec"), ours)
def test_setting():
    os.environ["MONGODB_URL"] = "mongodb://elsewhere"
def test_thread():
    threading.Thread(target=ours["thread"], daemon=True, name="mine").start()
async def test_task():
    kept.append(asyncio.create_task(ours["task"]()))
def test_process():
    kept.append(subprocess.Popen(["sleep", "20"]))
@pytest.fixture(scope="module")
def served():
    with subprocess.Popen(["sleep", "22"]) as process:
        yield process
        process.kill()
def test_of_several(request):
    request.getfixturevalue("served")
def test_nothing(served):
    pass
"""
ORPHANED = """
import subprocess
def test_orphan():
    subprocess.run("sleep 21 >/dev/null 2>&1 &", shell=True)
"""
SAID = [
    "this test has left MONGODB_URL",
    "this test has left the thread mine",
    "this test has left the task <coroutine object task",
    "(sleep 20)",
]


def test_a_test_that_leaves_something_behind_fails_and_no_other(tmp_path: Path) -> None:
    done = run(tmp_path, LEAVING)
    assert "6 passed, 4 errors" in done.stdout, done.stdout + done.stderr
    for words in SAID:
        assert words in done.stdout


def test_a_process_that_nobody_will_end_fails_the_session(tmp_path: Path) -> None:
    done = run(tmp_path, ORPHANED)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    # It may be the shell still, which is about to become it.
    assert re.search(r"process \d+ \(.*sleep 21.*\) of test_leaves\.py::test_orphan \(call\)", done.stdout)
    assert done.returncode == 1


def run(tmp_path: Path, tests: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "test_leaves.py").write_text(tests)
    (tmp_path / "conftest.py").write_text(
        "from tests import leftovers\nfrom tests.conftest import *\nleftovers.ENDING_SECONDS = 0.2\n"
    )
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "pytest_asyncio.plugin",
        "-o",
        "asyncio_mode=auto",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    command = [sys.executable, "-m", "pytest", *options]
    environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
