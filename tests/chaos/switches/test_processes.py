"""A process that stops itself at a point is had go on only when it has stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

from tests.chaos.processes import is_stopped
from tests.relay import PATIENCE


def test_a_stopped_process_is_told_from_one_that_runs_or_has_ended():
    waits = "import sys; sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", waits], stdin=subprocess.PIPE) as process:
        assert not is_stopped(process.pid)
        process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + PATIENCE
        while not is_stopped(process.pid):
            assert time.monotonic() < until
            time.sleep(0.01)
        process.send_signal(signal.SIGCONT)
    assert not is_stopped(process.pid)
