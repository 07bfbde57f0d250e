"""The demo's own processes, the worker and the traffic: started, read through their logs, stopped, killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from syncline.embedded.process import ServerProcess
from syncline.errors import SynclineError

KEPT_VARIABLES = frozenset({"SYNCLINE_CACHE", "SYNCLINE_ACCEPT_SSPL"})


class Child:
    """A Python module of ours that runs in a process of its own and ends with the demo, however that ends."""

    def __init__(
        self, name: str, arguments: Sequence[str], *, folder: Path, lines: Lines, environment: Mapping[str, str]
    ) -> None:
        """Start ``python -m`` with ``arguments``; what it prints can be read from ``lines``."""
        self.name = name
        self.lines = lines
        with _without_settings():
            self._process = ServerProcess(
                [sys.executable, "-m", *arguments],
                log=lines.path,
                stop_signal=signal.SIGTERM,
                environment=environment,
                private_folder=folder,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process.running

    def check(self) -> None:
        """See that it runs.

        Raises:
            SynclineError: it has ended; the hint is what it said.

        """
        if not self.running:
            said = [line for line in self._process.log_tail().splitlines() if not line.startswith(("{", '"'))]
            raise SynclineError(
                f"the demo's {self.name} has ended on its own", hint="\n  ".join(said) or "it was killed"
            )

    def kill_9(self) -> None:
        """End it with SIGKILL."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def end(self) -> None:
        """Make sure that it is gone."""
        self._process.kill()


class Lines:
    """The JSON lines that a process appends to a file, as they come; anything else in it is left to people."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = 0

    def new(self) -> Iterator[Mapping[str, Any]]:
        """Yield what was written since the last call; half a line waits for its other half."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            whole, _, _ = file.read().rpartition(b"\n")
        self._offset += len(whole) + 1 if whole else 0
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):
                value = json.loads(line)
                if isinstance(value, dict):
                    yield value


@contextlib.contextmanager
def _without_settings() -> Iterator[None]:
    """Hide the user's own settings: they win over a file, and would lead the demo's worker to the user's databases."""
    names = [name for name in os.environ if name in ("DATABASE_URL", "MONGODB_URL") or name.startswith("SYNCLINE_")]
    hidden = {name: os.environ.pop(name) for name in names if name not in KEPT_VARIABLES}
    try:
        yield
    finally:
        os.environ.update(hidden)
