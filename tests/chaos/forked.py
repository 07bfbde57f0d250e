"""Workers that are forked from a process that has imported everything.

They are started again all the time: a start of its own would be a second of the processor each, which the faults need.
"""

from __future__ import annotations

import importlib
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests import leftovers

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(
    [
        "tests.chaos.points",
        "syncline.cli.worker",
        "syncline.wiring.worker",
        "tests.chaos.switches.commands",
        "tests.chaos.migrate.application",
    ]
)


class Forked:
    """A worker's process, with what is used of ``subprocess.Popen``.

    Args:
        arguments: of the program.
        log: where its output goes.
        program: the module whose ``main`` it is.
        environment: beside ours.

    """

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        *,
        program: str = "tests.chaos.points",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._asking = threading.Lock()
        given = {**os.environ, **environment}
        self._process = _CONTEXT.Process(target=_work, args=(program, list(arguments), log, given), daemon=True)
        with leftovers.serving_several():
            multiprocessing.forkserver.ensure_running()
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """Give the status with which it ended: minus the signal, if it was one."""
        with self._asking:
            return self._process.exitcode

    def wait(self, timeout: float = 60.0) -> int:
        """Wait until it has ended.

        Raises:
            subprocess.TimeoutExpired: it has not.

        """
        until = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _work(program: str, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    with log.open("ab") as file:
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file.fileno(), stream.fileno())
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [program, *arguments]
    importlib.import_module(program).main()
