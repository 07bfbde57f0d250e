"""Server processes: whatever happens to us, to them or to their children, nothing stays behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncline.embedded.process import ServerProcess, family_of
from syncline.errors import EngineError

SLEEPER = "import time; time.sleep(600)"
WITH_CHILD_IN_ITS_OWN_GROUP = f"""
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "{SLEEPER}"], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return "gone"


def eventually(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def is_gone(pid):
    return state(pid) in {"gone", "Z"}


@pytest.fixture
def start(tmp_path):
    started = []

    def start_python(code: str) -> ServerProcess:
        process = ServerProcess(
            [sys.executable, "-c", code],
            log=tmp_path / "log",
            stop_signal=signal.SIGTERM,
            private_folder=tmp_path / "s",
        )
        started.append(process)
        return process

    yield start_python
    for process in started:
        process.kill()


@pytest.fixture
def family(start):
    process = start(WITH_CHILD_IN_ITS_OWN_GROUP)
    process.wait_until(lambda: process.log_tail() == "ready", timeout_seconds=60, name="It")
    pids = list(family_of(process.pid))
    assert len(pids) == 2
    return process, pids


def test_kill_takes_the_children_along(family):
    process, pids = family
    process.kill()
    assert all(map(is_gone, pids))
    assert not process.running


def test_freeze_stops_all_and_thaw_lets_all_go_on(family):
    process, pids = family
    process.freeze()
    assert [state(pid) for pid in pids] == ["T", "T"]
    process.thaw()
    eventually(lambda: all(state(pid) == "S" for pid in pids))


def test_a_frozen_process_can_be_stopped(start):
    process = start(SLEEPER)
    process.freeze()
    process.stop(timeout_seconds=60)
    assert not process.running


def test_one_that_ignores_the_stop_signal_is_killed(start):
    process = start("import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(600)")
    process.wait_until(lambda: process.log_tail() == "1", timeout_seconds=60, name="It")
    process.stop(timeout_seconds=0.2)
    assert is_gone(process.pid)


def test_one_that_ends_while_it_starts_is_reported_with_its_last_words(start):
    process = start("import sys; sys.exit('no space left')")
    with pytest.raises(EngineError, match=r"(?s)It ended while starting.*no space left.*Its log"):
        process.wait_until(lambda: False, timeout_seconds=60, name="It")


def test_one_that_is_never_ready_is_killed_and_reported(start):
    process = start(SLEEPER)
    with pytest.raises(EngineError, match=r"not ready after 0\.1 s"):
        process.wait_until(lambda: False, timeout_seconds=0.1, name="It")
    assert is_gone(process.pid)


def test_a_command_that_is_not_there_is_reported(tmp_path):
    process = ServerProcess(
        ["/no/such/server"], log=tmp_path / "log", stop_signal=signal.SIGTERM, private_folder=tmp_path / "s"
    )
    with pytest.raises(EngineError, match="No such file"):
        process.wait_until(lambda: False, timeout_seconds=60, name="It")


def test_when_we_are_killed_it_ends_and_its_private_folder_goes(tmp_path):
    folder = tmp_path / "sockets"
    folder.mkdir()
    code = f"""
import signal, sys, threading, time
from pathlib import Path
from syncline.embedded.process import ServerProcess
def start():
    process = ServerProcess([sys.executable, "-c", {SLEEPER!r}], log=Path({str(tmp_path / "log")!r}),
        stop_signal=signal.SIGTERM, private_folder=Path({str(folder)!r}))
    print(process.pid, flush=True)
thread = threading.Thread(target=start)
thread.start()
thread.join()
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as starter:
        pid = int(starter.stdout.readline())
        time.sleep(0.1)
        assert not is_gone(pid), "it must outlive the thread that started it"
        os.kill(starter.pid, signal.SIGKILL)
    eventually(lambda: is_gone(pid))
    eventually(lambda: not folder.exists())
