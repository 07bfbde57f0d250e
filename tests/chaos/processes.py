"""Processes of a run: started again when they end, killed and frozen, or told to do that to themselves at a point."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.chaos.forked import Forked

PATIENCE_SECONDS = 60.0


class Process:
    """One, and those that come after it.

    Args:
        name: what it is called in the story.
        folder: of its files.
        program: the module whose ``main`` it is.
        environment: beside ours.

    """

    def __init__(self, name: str, folder: Path, program: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.frozen = False
        self.killed = False
        """It was we who ended the one that runs, or will."""
        self._file = folder / f"{name}.arm"
        self._program = program
        self._environment = environment
        self._forked: Forked | None = None

    def start(self, *arguments: str) -> None:
        """Begin one."""
        for suffix in (".working", ".fired", ".arm"):
            self._file.with_suffix(suffix).unlink(missing_ok=True)
        self.begin(*arguments)

    def begin(self, *arguments: str) -> None:
        """Begin one that may be armed already."""
        self.frozen = self.killed = False
        given = [str(self._file), *arguments]
        self._forked = Forked(given, self.log, program=self._program, environment=self._environment)

    @property
    def status(self) -> int | None:
        """How it ended; ``None``: it runs, or there was none yet."""
        return self._forked.poll() if self._forked else None

    @property
    def pid(self) -> int:
        """Of the one that runs, or ran."""
        assert self._forked is not None
        return self._forked.pid

    @property
    def running(self) -> bool:
        return self._forked is not None and self._forked.poll() is None

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; false when nobody is there."""
        if not self.running or self._forked is None:
            return False
        self.killed |= number is signal.SIGKILL
        if number in (signal.SIGSTOP, signal.SIGCONT):
            self.frozen = number is signal.SIGSTOP
        self._forked.send_signal(number)
        return True

    def arm(self, number: signal.Signals, point: str, times: int = 1, *, seconds: float = PATIENCE_SECONDS) -> None:
        """Have it send itself a signal at a point, if it comes there in time."""
        self._file.with_suffix(".fired").unlink(missing_ok=True)
        draft = self._file.with_suffix(".draft")
        draft.write_text(f"{point} {times} {int(number)} {time.monotonic() + seconds}")
        draft.replace(self._file)

    def fires(self, number: signal.Signals, seconds: float = PATIENCE_SECONDS) -> bool:
        """Wait until it has come to the point, and has stopped there; false: it has ended, or does not come there.

        It says that it is there before it sends itself the signal: whoever had it go on in between would do that too
        early, and it would stop for good.
        """
        fired, until = self._file.with_suffix(".fired"), time.monotonic() + seconds
        while time.monotonic() < until:
            if fired.exists() and (number is not signal.SIGSTOP or not self.running or is_stopped(self.pid)):
                self.killed |= number is signal.SIGKILL
                self.frozen |= number is signal.SIGSTOP
                return True
            if not self.running:
                return fired.exists()
            time.sleep(0.005)
        self._file.unlink(missing_ok=True)
        return False

    def end(self) -> None:
        """End it for good."""
        if self.send(signal.SIGKILL) and self._forked is not None:
            self._forked.wait()

    def wait(self, seconds: float) -> int | None:
        """Wait until it has ended; ``None``: it has not."""
        until = time.monotonic() + seconds
        while self.running and time.monotonic() < until:
            time.sleep(0.005)
        return self.status

    def last_words(self) -> str:
        """Give the end of what it has said."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else ""


def is_stopped(pid: int) -> bool:
    """Tell whether a process has been stopped by a signal."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] in "Tt"


class Keeper(threading.Thread):
    """Starts processes again, as an init system does."""

    def __init__(self, started: Sequence[tuple[Process, Callable[[], Sequence[str]]]]) -> None:
        super().__init__(name="keeper", daemon=True)
        self.ended: list[tuple[float, Process, int]] = []
        """Those that nobody had killed."""
        self._kept = started
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.is_set():
            for process, arguments in self._kept:
                if process.running:
                    continue
                if process.status is not None and not process.killed and process.status != -signal.SIGKILL:
                    self.ended.append((time.monotonic(), process, process.status))
                process.start(*arguments())
            self._over.wait(0.1)

    def stop(self) -> None:
        """End it, and them."""
        self._over.set()
        self.join(10)
        for process, _ in self._kept:
            process.send(signal.SIGCONT)
            process.end()
