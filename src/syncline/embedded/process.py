"""A server process of ours: started behind a guardian, stopped, killed or frozen together with all its children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from syncline.embedded import guardian
from syncline.errors import EngineError

POLL_SECONDS = 0.005
LOG_TAIL_BYTES = 2000


class ServerProcess:
    """One run of a server. Make a new one to start again."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        stop_signal: signal.Signals,
        environment: Mapping[str, str] | None = None,
        private_folder: Path,
    ) -> None:
        """Start ``command``.

        It ends with this process, even if that is killed; ``private_folder`` (the sockets) is then removed.

        Raises:
            EngineError: the process could not be started.

        """
        self._log = log
        self._stop_signal = stop_signal
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._guardian = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__, str(int(stop_signal)), str(private_folder), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env={**os.environ, **(environment or {})},
                cwd="/",
                start_new_session=True,
            )
        assert self._guardian.stdout is not None  # noqa: S101 - for mypy: it is a pipe
        first_line = self._guardian.stdout.readline()
        self._guardian.stdout.close()
        if not first_line:
            self._close_pipe()
            self._guardian.wait()
            raise EngineError(
                f"{Path(command[0]).name} could not be started:\n{self.log_tail()}",
                hint="As root this needs user namespaces; otherwise start it as an ordinary user.",
            )
        self.pid = int(first_line)

    @property
    def running(self) -> bool:
        return self._guardian.poll() is None

    def log_tail(self) -> str:
        """Return the end of what this run has written to its log."""
        with self._log.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(self._log_start, end - LOG_TAIL_BYTES))
            return file.read().decode(errors="replace").strip()

    def wait_until(self, ready: Callable[[], bool], *, timeout_seconds: float, name: str) -> None:
        """Wait for ``ready``; a server that ends or does not get there is gone when this raises ``EngineError``."""
        deadline = time.monotonic() + timeout_seconds
        while not ready():
            if not self.running:
                self._close_pipe()
                raise EngineError(f"{name} ended while starting:\n{self.log_tail()}", hint=f"Its log: {self._log}")
            if time.monotonic() > deadline:
                self.kill()
                raise EngineError(
                    f"{name} was not ready after {timeout_seconds:g} s:\n{self.log_tail()}",
                    hint=f"Its log: {self._log}",
                )
            time.sleep(POLL_SECONDS)

    def wait(self, *, timeout_seconds: float) -> int:
        """Wait until the command ends by itself and return its exit status; kill it if it takes longer."""
        try:
            return self._guardian.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return self._guardian.wait()
        finally:
            self._close_pipe()

    def stop(self, *, timeout_seconds: float = 30) -> None:
        """Ask the server to end, and kill it if it does not. Does nothing if it has ended already."""
        if self.running:
            self.thaw()
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self._stop_signal)
            try:
                self._guardian.wait(timeout_seconds)
            except subprocess.TimeoutExpired:
                self.kill()
        self._close_pipe()

    def kill(self) -> None:
        """SIGKILL for the server and all its children, with no chance to write anything: a power cut."""
        if self.running:
            family = self._freeze_family()
            for pid in family:
                _signal(pid, signal.SIGKILL)
            self._guardian.wait()
            _wait_until_gone(family)
        self._close_pipe()

    def freeze(self) -> None:
        """SIGSTOP for the server and all its children: it holds its connections and answers nothing."""
        self._freeze_family()

    def thaw(self) -> None:
        """Let a frozen server go on."""
        for pid in reversed(list(family_of(self.pid))):
            _signal(pid, signal.SIGCONT)

    def _freeze_family(self) -> list[int]:
        """Stop parents before their children are listed, so that nobody is born in between."""
        family = []
        for pid in family_of(self.pid):
            _signal(pid, signal.SIGSTOP)
            _wait_until_stopped(pid)
            family.append(pid)
        return family

    def _close_pipe(self) -> None:
        if self._guardian.stdin is not None:
            self._guardian.stdin.close()


def family_of(pid: int) -> Iterator[int]:
    """Yield a process, then its descendants; the children of each are read after it was yielded.

    A process group would not do: PostgreSQL's backends lead groups of their own.
    """
    yield pid
    for task in _tasks(pid):
        for child in _read(Path(f"/proc/{pid}/task/{task}/children")).split():
            yield from family_of(int(child))


def processes_in(folder: Path) -> list[int]:
    """Return the processes whose working directory is ``folder`` (a PostgreSQL server's is its data directory)."""
    return [pid for pid in _all_processes() if _state(pid) != "Z" and _working_directory(pid) == folder]


def _all_processes() -> list[int]:
    return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit()]


def _working_directory(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/cwd").readlink()
    except OSError:  # it has ended, or is somebody else's
        return None


def _tasks(pid: int) -> list[str]:
    try:
        return os.listdir(f"/proc/{pid}/task")  # noqa: PTH208 - names are all we need
    except OSError:
        return []


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _state(pid: int) -> str:
    """Return the letter of a process' state, or "" if there is none."""
    _, _, rest = _read(Path(f"/proc/{pid}/stat")).rpartition(") ")
    return rest[:1]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _wait_until_stopped(pid: int) -> None:
    while _state(pid) not in {"T", "t", "Z", "X", ""}:
        time.sleep(POLL_SECONDS / 5)


def _wait_until_gone(pids: Sequence[int]) -> None:
    """Orphans are reaped by init; a zombie holds no file, lock or shared memory any more."""
    while any(_state(pid) not in {"Z", "X", ""} for pid in pids):
        time.sleep(POLL_SECONDS / 5)
