"""A worker that can be told to stop or die at a named step: `python -m tests.chaos.points FILE worker -c …`.

Before and after each step it looks for FILE. Its line says: step, how many times to pass it, signal, and until when
(monotonic clock) this holds. The worker takes the file away, and leaves FILE.fired when it sends itself the signal. FILE.working says that it has lanes and reads.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
from pymongo.asynchronous import pool

from syncline.engines.mongo.target import MongoTarget
from syncline.engines.mongo.writes import Writes
from syncline.engines.postgres.lanes import SqlLanes
from syncline.engines.postgres.marks import PostgresMarks
from syncline.engines.postgres.records import PostgresRecords
from syncline.engines.postgres.target.careful import Careful
from syncline.engines.postgres.target.target import SqlTarget
from syncline.engines.postgres.target.writing import Writing
from tests.chaos.sabotage import SABOTEURS

STEPS: dict[type, dict[str, str]] = {
    PostgresMarks: {
        "read": "read_marks", "read_with_states": "read_together", "acknowledge": "acknowledge", "add": "mark", "promote_deferred": "promote_deferred",
    },
    PostgresRecords: {"read": "read_states"},
    SqlLanes: {name: name for name in ("acquire", "confirm", "release", "renew", "leave")},
    MongoTarget: {name: name for name in ("apply", "announce", "lane_epochs", "beat", "read_beat", "holders", "probe")},
    Writes: {name: name for name in ("insert", "upsert", "delete")},
    SqlTarget: {name: name for name in ("apply", "announce", "lane_epochs", "beat", "read_beat", "probe")},
    Writing: {"write": "insert", "_at_once": "upsert"},
    Careful: {"write": "delete"},
    psycopg.AsyncConnection: {"wait": "send"},
}  # fmt: skip
"""What a step is called, by the methods that do it."""
POINTS = [f"{step}.{when}" for steps in STEPS.values() for step in steps.values() for when in ("before", "after")]
MAIN_POINTS = [
    f"{step}.{when}"
    for step in (
        "read_marks",
        "read_states",
        "read_together",
        "apply",
        "acknowledge",
        "insert",
        "upsert",
        "delete",
        "send",
    )
    for when in ("before", "after")
]
"""The way of every batch."""
LEASE_POINTS = [f"{step}.{when}" for step in ("renew", "acquire", "announce", "confirm", "beat", "promote_deferred") for when in ("before", "after")]  # fmt: skip

TAKEOVER_POINTS = {
    f"{step}.{when}" for step in ("acquire", "announce", "confirm", "lane_epochs") for when in ("before", "after")
}
"""Steps that come when another worker is gone."""
LEAVING_POINTS = {f"{step}.{when}" for step in ("release", "leave") for when in ("before", "after")}


class Trap:
    """What this process has been told to do, and where; for any number of threads."""

    def __init__(self, file: Path) -> None:
        self._lock = threading.Lock()
        self._file = file
        self._armed: tuple[str, int, signal.Signals, float] | None = None
        self._working = False

    def pass_by(self, point: str) -> None:
        """Stop or die here, if that is what is wanted."""
        with self._lock:
            self._pass_by(point)

    def _pass_by(self, point: str) -> None:
        if point in ("read_marks.before", "read_together.before") and not self._working:
            self._working = True
            self._file.with_suffix(".working").touch()
        if self._armed is None:
            try:
                text = self._file.read_text()
                self._file.unlink()
            except FileNotFoundError:
                return
            name, times, number, until = text.split()
            self._armed = (name, int(times), signal.Signals(int(number)), float(until))
        name, times, number, until = self._armed
        if time.monotonic() > until:
            self._armed = None
        elif name == point and times > 1:
            self._armed = (name, times - 1, number, until)
        elif name == point:
            self._armed = None
            self._file.with_suffix(".fired").write_text(point)
            os.kill(os.getpid(), number)


def set_traps(trap: Trap, steps: Mapping[type, Mapping[str, str]] = STEPS) -> None:
    """Put a point before and after each step, and each message to a MongoDB."""
    pool.async_sendall = _trapped(pool.async_sendall, "send", trap)  # type: ignore[attr-defined]
    for owner, named in steps.items():
        for method, step in named.items():
            setattr(owner, method, _trapped(getattr(owner, method), step, trap))


def _trapped(method: Callable[..., Any], step: str, trap: Trap) -> Callable[..., Any]:
    @functools.wraps(method)
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        trap.pass_by(f"{step}.before")
        result = await method(*args, **kwargs)
        trap.pass_by(f"{step}.after")
        return result

    @functools.wraps(method)
    def trapped(*args: Any, **kwargs: Any) -> Any:
        trap.pass_by(f"{step}.before")
        result = method(*args, **kwargs)
        trap.pass_by(f"{step}.after")
        return result

    return awaited if inspect.iscoroutinefunction(method) else trapped


def main() -> None:
    """Set the traps, then be the command."""
    from syncline.cli.main import main as command

    file = Path(sys.argv.pop(1))
    if saboteur := os.environ.get("SYNCLINE_CHAOS_SABOTAGE"):
        SABOTEURS[saboteur]()
    set_traps(Trap(file))
    signal.signal(signal.SIGUSR2, _tell)
    command()


def _tell(*_: object) -> None:
    """Write down what every task waits for."""
    for task in asyncio.all_tasks():
        task.print_stack(file=sys.stderr)


if __name__ == "__main__":
    main()
