"""A test that leaves settings behind fails; threads, tasks and processes that are left are named with their test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LEAVING = """
import asyncio, os, subprocess, threading
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
def test_orphan():
    subprocess.run("sleep 21 >/dev/null 2>&1 &", shell=True)
def test_nothing():
    pass
"""
SAID = [
    "this test has left MONGODB_URL",
    "test_leaves.py::test_thread: the thread mine",
    "test_leaves.py::test_task: the task <coroutine object task",
    "(sleep 20)",
    "(sleep 21) of test_leaves.py::test_orphan (call)",
]


def test_what_a_test_leaves_behind_is_said(tmp_path: Path) -> None:
    (tmp_path / "test_leaves.py").write_text(LEAVING)
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
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert "6 passed, 1 error" in done.stdout, done.stdout + done.stderr
    for words in SAID:
        assert words in done.stdout
