"""The workers of a run: real processes, started again when they end."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.commands import COULD_NOT_RUN
from tests.chaos.forked import Forked
from tests.chaos.journal import Journal

STOP_LIMIT = 12.0
"""Seconds in which SIGTERM must end a worker; 5 on a machine that has nothing else to do."""


class WorkerSlot:
    """One worker and its successors."""

    def __init__(self, number: int, config: Path, journal: Journal) -> None:
        self.number = number
        self.log = config.parent / f"worker-{number}.log"
        self.complaints: list[str] = []
        self.frozen = False
        self._config = config
        self._journal = journal
        self._file = config.parent / f"worker-{number}.arm"
        self._process: Forked | None = None
        self._expected: set[int] = set()
        self.slowest_stop = 0.0
        self.turned_away = 0

    def start(self) -> None:
        """Start it, unless it runs; a worker that ended although nobody had killed it is a complaint."""
        if self._process is not None:  # where a side does not answer at its start it ends, and is started again
            status = self._process.poll()
            if status is None:
                return
            if status == COULD_NOT_RUN and self._last_words().startswith(
                ("error: PostgreSQL", "error: another tool has")
            ):
                self.turned_away += 1
            elif status not in self._expected:
                self.complaints.append(f"worker {self.number} ended by itself with status {status}; see {self.log}")
                self._journal.note(self.complaints[-1])
        for suffix in (".working", ".fired", ".arm"):
            self._file.with_suffix(suffix).unlink(missing_ok=True)
        self._expected = set()
        self.frozen = False
        self._process = Forked([str(self._file), "worker", "-c", str(self._config)], self.log)

    @property
    def up(self) -> bool:
        """Whether it runs, has lanes and is not frozen."""
        return (
            self._process is not None
            and self._process.poll() is None
            and not self.frozen
            and self._file.with_suffix(".working").exists()
        )

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; false when nobody is there."""
        if self._process is None or self._process.poll() is not None:
            return False
        if number in (signal.SIGKILL, signal.SIGTERM):
            self._expected |= {-number, 0} if number == signal.SIGTERM else {-number}
        if number == signal.SIGSTOP:
            self.frozen = True
        elif number == signal.SIGCONT:
            self.frozen = False
        self._process.send_signal(number)
        return True

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith("error:")), "") if lines else ""

    def terminate(self) -> float:
        """SIGTERM, and see that it is obeyed in time; returns how long it took."""
        if not self.send(signal.SIGTERM):
            return 0.0
        assert self._process is not None
        began = time.monotonic()
        try:
            self._process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.complaints.append(f"worker {self.number} did not stop within {STOP_LIMIT} s of SIGTERM")
            self._journal.note(self.complaints[-1])
            self.send(signal.SIGKILL)
            self._process.wait()
        took = time.monotonic() - began
        self.slowest_stop = max(self.slowest_stop, took)
        return took

    def arm(self, number: signal.Signals, point: str, times: int, *, patience: float) -> None:
        """Have it send itself a signal at a named step, if it comes there in time."""
        if number == signal.SIGKILL:
            self._expected.add(-number)
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{point} {times} {int(number)} {time.monotonic() + patience - 0.05}")
        draft.replace(self._file)

    def send_at(
        self, number: signal.Signals, point: str, times: int, *, patience: float, provoke: Callable[[], object]
    ) -> bool:
        """Have it send itself a signal at a named step; false when it does not come there in time."""
        fired = self._file.with_suffix(".fired")
        fired.unlink(missing_ok=True)
        self.arm(number, point, times, patience=patience)
        provoke()
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if fired.exists():
                self.frozen = number == signal.SIGSTOP
                return True
            time.sleep(0.01)
        self._file.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """End it for good."""
        self.send(signal.SIGCONT)
        if self.send(signal.SIGKILL) and self._process is not None:
            self._process.wait()


class Supervisor(threading.Thread):
    """Starts workers again, like an init system."""

    def __init__(self, slots: list[WorkerSlot]) -> None:
        super().__init__(name="supervisor", daemon=True)
        self._slots = slots
        self._ended = threading.Event()
        self.held = threading.Lock()

    def run(self) -> None:
        while not self._ended.wait(0.1):
            with self.held:
                for slot in self._slots:
                    slot.start()

    def stop(self) -> None:
        """End it and its workers."""
        self._ended.set()
        self.join(10)
        for slot in self._slots:
            slot.end()
