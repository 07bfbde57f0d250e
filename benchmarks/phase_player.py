"""A process of an application whose collection changes phases: threads that write documents where they are taken.

`python -m benchmarks.phase_player MONGODB POSTGRESQL RATE THREADS`. At the end of its standard input it prints what it
has seen as JSON: of each write when it began and ended, and what failed.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from pymongo import MongoClient

from syncline.capture.documents import wrap
from syncline.errors import SynclineError, UnknownOutcomeError
from syncline.phases import JournalPhases, Phase
from syncline.phases.switching.running import run

COLLECTION, KEYS = "tasks", 500
UPSERT = "INSERT INTO postgres_tasks (mongo_id, n) VALUES (%s, %s) ON CONFLICT (mongo_id) DO UPDATE SET n = excluded.n"
DEADLINE = timedelta(seconds=30)


class Player:
    """What the threads share."""

    def __init__(self, mongodb: str, postgresql: str, pause: float) -> None:
        self.phases = JournalPhases(mongodb, postgresql, env={})
        self.writes: list[tuple[float, float]] = []
        self.failures: list[str] = []
        self.unknown = 0
        self.over = threading.Event()
        self._tasks = wrap(MongoClient[dict[str, Any]](mongodb).get_default_database()[COLLECTION], gate=self.phases)
        self._postgresql, self._pause = postgresql, pause

    def write(self, writer: int) -> None:
        """Write one document after the other, at a rate: what is late is not made up for by a burst."""
        due = time.monotonic()
        with psycopg.connect(self._postgresql, autocommit=True) as connection:
            for n in itertools.count():
                if self.over.is_set():
                    return
                due = max(due + self._pause, time.monotonic() - self._pause)
                time.sleep(max(0.0, due - time.monotonic()))
                at = time.monotonic()
                try:
                    self._written(self._work(connection, f"{writer}-{n % KEYS}", n))
                except (SynclineError, psycopg.Error) as error:
                    self.failures.append(f"{type(error).__name__}: {error}")
                else:
                    self.writes.append((at, time.monotonic()))

    def _written(self, work: Callable[[Phase], Any]) -> None:
        """Have it written; what may be is written again."""
        while True:
            try:
                run(self.phases, COLLECTION, work, deadline=DEADLINE)
            except UnknownOutcomeError:
                self.unknown += 1
            else:
                return

    def _work(self, connection: psycopg.Connection[Any], key: str, n: int) -> Callable[[Phase], Any]:
        def work(phase: Phase) -> Any:
            if phase.postgresql_is_truth:
                return connection.execute(UPSERT, [key, n])
            return self._tasks.update_one({"_id": key}, {"$set": {"n": n}}, upsert=True)

        return work


def main() -> None:
    """Play."""
    mongodb, postgresql, rate, threads = sys.argv[1:]
    player = Player(mongodb, postgresql, int(threads) / float(rate))
    player.phases.start()
    running = [threading.Thread(target=player.write, args=[os.getpid() * 100 + n]) for n in range(int(threads))]
    for one in running:
        one.start()
    print("ready", flush=True)
    sys.stdin.read()
    player.over.set()
    for one in running:
        one.join()
    json.dump({"writes": player.writes, "failures": player.failures, "unknown": [player.unknown]}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
