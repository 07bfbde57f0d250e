"""A process of the application: threads that write whole transactions through `Databases.run`, and one that reads.

What it asks for and what is acknowledged goes into a file, a line each, by the clock that all processes of the machine
share: a process that is killed in the middle of something has said what it was about to do.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from psycopg import Connection

from syncline.errors import UnknownOutcomeError
from syncline.split.databases import Databases
from tests.chaos.points import Trap

LIFE = 1_000_000
"""Numbers of a process's writes begin with how many processes were there before."""
DEADLINE = timedelta(seconds=60)
SEEN = "SELECT coalesce(sum(count), 0)::bigint FROM tallies WHERE slot = %s"
WRITES = "INSERT INTO items (slot, n, seen) VALUES (%s, %s, %s) RETURNING id"
COUNTS = "INSERT INTO tallies AS t VALUES (%s, 1) ON CONFLICT (slot) DO UPDATE SET count = t.count + 1"
READS_PAUSE_SECONDS = 0.05
BREATH_SECONDS = 0.05


class Application:
    """One process.

    Args:
        databases: as the application has them.
        slots: one for each writing thread; each watches the tally of the next one of all.
        others: slot to the slot that it watches.
        life: how many processes were there before.
        trap: where it may be told to stop or die.
        log: what it writes down.
        hold: as long as this file is there, nothing new is begun.
        pause: seconds between two transactions of a thread.

    """

    def __init__(
        self,
        databases: Databases,
        others: Mapping[int, int],
        life: int,
        trap: Trap,
        log: Path,
        hold: Path,
        pause: float,
    ) -> None:
        self._databases = databases
        self._others = others
        self._numbers = itertools.count(life * LIFE + 1)
        self._trap = trap
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._hold = hold
        self._pause = pause

    def run(self) -> None:
        """Write and read until it is killed."""
        threads = [threading.Thread(target=self._write_on, args=[slot], daemon=True) for slot in self._others]
        threads.append(threading.Thread(target=self._read_on, daemon=True))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _tell(self, *words: object) -> None:
        os.write(self._log, (" ".join(map(str, words)) + "\n").encode())

    def _write_on(self, slot: int) -> None:
        due = time.monotonic()
        while True:
            due = max(due + self._pause, time.monotonic() - self._pause)
            time.sleep(max(0.0, due - time.monotonic()))
            if self._hold.exists():
                time.sleep(BREATH_SECONDS)
                continue
            self._write(slot, next(self._numbers))

    def _write(self, slot: int, number: int) -> None:
        began = [0.0]

        def work(connection: Connection[Any]) -> int:
            began[0] = time.monotonic()
            seen = _one(connection, SEEN, self._others[slot])
            self._trap.pass_by("request.read")
            key = _one(connection, WRITES, slot, number, seen)
            connection.execute(COUNTS, [slot])
            self._trap.pass_by("request.written")
            return key

        at = time.monotonic()
        self._tell("t", at, slot, number)
        try:
            key = self._databases.run(work, self._databases.data.connection, deadline=DEADLINE)
        except UnknownOutcomeError as error:
            self._tell("u", at, time.monotonic(), slot, number, _said(error))
        except Exception as error:  # noqa: BLE001  whatever it is, a request has failed
            self._tell("f", at, time.monotonic(), slot, number, _said(error))
        else:
            self._trap.pass_by("request.committed")
            self._tell("a", at, time.monotonic(), slot, number, key, began[0])

    def _read_on(self) -> None:
        slot = next(iter(self._others))
        while True:
            time.sleep(READS_PAUSE_SECONDS)
            if self._hold.exists():
                time.sleep(BREATH_SECONDS)
                continue
            at = time.monotonic()
            try:
                with self._databases.data.connection() as connection:
                    _one(connection, SEEN, slot)
            except Exception as error:  # noqa: BLE001  a read has failed
                self._tell("x", at, time.monotonic(), _said(error))
            else:
                self._tell("r", at, time.monotonic())


def _one(connection: Any, query: str, *values: object) -> int:
    return int(connection.execute(query, list(values)).fetchone()[0])


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " / ")[:300]


def main() -> None:
    """Be the process: FILE of the trap, configuration, log, hold, life, pause, slot:watched …"""
    file, config, log, hold, life, pause, *slots = sys.argv[1:]
    others = {int(a): int(b) for a, b in (slot.split(":") for slot in slots)}
    databases = Databases.from_environment(Path(config), dict(os.environ), dotenv=None)
    Application(databases, others, int(life), Trap(Path(file)), Path(log), Path(hold), float(pause)).run()
