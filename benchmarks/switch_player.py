"""A process of an application under a switch: threads that write rows by `Databases.run`, and one that reads.

`python -m benchmarks.switch_player CONFIG RATE THREADS`, with the URLs in its environment. At the end of its standard
input it prints what it has seen as JSON: of each write and read when it began and ended, and what failed.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from syncline.split.databases import Databases

INSERT = "INSERT INTO events (writer, n, note) VALUES (%s, %s, %s)"
COUNT = "SELECT n FROM events WHERE writer = %s ORDER BY id DESC LIMIT 1"
NOTE = "x" * 200
DEADLINE = timedelta(seconds=30)
READ_SECONDS = 0.01


class Player:
    """What the threads share."""

    def __init__(self, databases: Databases, pause: float) -> None:
        self.writes: list[tuple[float, float]] = []
        self.reads: list[tuple[float, float]] = []
        self.failures: list[str] = []
        self.over = threading.Event()
        self._databases = databases
        self._pause = pause

    def write(self, writer: int) -> None:
        """Write one row after the other, at a rate: what is late is not made up for by a burst."""
        due, n = time.monotonic(), 0
        while not self.over.is_set():
            due = max(due + self._pause, time.monotonic() - self._pause)
            time.sleep(max(0.0, due - time.monotonic()))
            n, at = n + 1, time.monotonic()
            try:
                self._databases.run(self._work(writer, n), self._databases.data.connection, deadline=DEADLINE)
            except Exception as error:  # noqa: BLE001  counted, and named
                self.failures.append(f"a write: {error}")
            else:
                self.writes.append((at, time.monotonic()))

    @staticmethod
    def _work(writer: int, n: int) -> Any:
        return lambda connection: connection.execute(INSERT, [writer, n, NOTE])

    def read(self, writer: int) -> None:
        """Read again and again."""
        while not self.over.wait(READ_SECONDS):
            at = time.monotonic()
            try:
                with self._databases.data.connection() as connection:
                    connection.execute(COUNT, [writer]).fetchone()
            except Exception as error:  # noqa: BLE001  counted, and named
                self.failures.append(f"a read: {error}")
            else:
                self.reads.append((at, time.monotonic()))


def main() -> None:
    """Play."""
    config, rate, threads = sys.argv[1:]
    databases = Databases.from_environment(Path(config), dict(os.environ), dotenv=None)
    player = Player(databases, int(threads) / float(rate))
    first = os.getpid() * 100
    running = [threading.Thread(target=player.write, args=[first + n], daemon=True) for n in range(int(threads))]
    running.append(threading.Thread(target=player.read, args=[first], daemon=True))
    for one in running:
        one.start()
    print("ready", flush=True)
    sys.stdin.read()
    player.over.set()
    for one in running:
        one.join()
    json.dump({"writes": player.writes, "reads": player.reads, "failures": player.failures}, sys.stdout)


if __name__ == "__main__":
    main()
