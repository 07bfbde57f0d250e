"""The application of a damage run: a few connections that write to the first keys of both tables all the time."""

from __future__ import annotations

import random
import threading
import time

import psycopg

from tests.chaos.acting import Acting
from tests.damage.stage import Stage

Key = tuple[str, str]
"""(entity, key text)."""
WINDOW = 40
"""Keys of a table that are written at a moment."""
STRIDE = 10
"""Windows from one end of the hot range to the other."""


class Writer(Acting):
    """One connection. ``touched`` tells which keys it wrote since some time."""

    def __init__(self, stage: Stage, hot: int, *, seed: str, pause: float) -> None:
        super().__init__(f"writer {seed}")
        self._stage = stage
        self._hot = hot
        self._pause = pause
        self._random = random.Random(seed)
        self._last: dict[Key, float] = {}
        self._lock = threading.Lock()
        self.commits = 0

    def touched(self, since: float) -> set[Key]:
        """List the keys of transactions that ended after ``since`` (monotonic), or have not ended yet."""
        with self._lock:
            return {key for key, at in self._last.items() if at >= since}

    def _go_on(self) -> None:
        with self._stage.connect() as session:
            while not self._ended.wait(self._random.uniform(0, 2 * self._pause)):
                self._write(session)

    def _key(self) -> int:
        first = int(time.monotonic() / 4) % STRIDE * (self._hot - WINDOW) // STRIDE
        return first + self._random.randrange(WINDOW) + 1

    def _write(self, session: psycopg.Connection[object]) -> None:
        item, visit = self._key(), self._key()
        keys: list[Key] = [("item", str(item)), ("visit", f'["{visit // 10}", "d{visit % 10}"]')]
        self._note(keys, float("inf"))
        try:
            with session.transaction():
                self._change_item(session, item)
                self._change_visit(session, visit)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            pass
        self.commits += 1
        self._note(keys, time.monotonic())

    def _note(self, keys: list[Key], at: float) -> None:
        with self._lock:
            self._last |= dict.fromkeys(keys, at)

    def _change_item(self, session: psycopg.Connection[object], key: int) -> None:
        kind = self._random.random()
        if kind < 0.15:
            session.execute("DELETE FROM item WHERE id = %s", (key,))
        elif kind < 0.6:
            session.execute(
                "INSERT INTO item SELECT i, 'again ' || i, i, i, 0, i, NULL, true, now(), '{\"a\": {\"b\": 1, \"c\": 2}}', '{}', ''"
                " FROM unnest(%s::bigint[]) AS i ON CONFLICT (id) DO UPDATE SET count = item.count + 1",
                ([key],),
            )
        else:
            session.execute("UPDATE item SET big = big - 1, seen = now() WHERE id = %s", (key,))

    def _change_visit(self, session: psycopg.Connection[object], key: int) -> None:
        site, day = key // 10, f"d{key % 10}"
        if self._random.random() < 0.2:
            session.execute("DELETE FROM visit WHERE site = %s AND day = %s", (site, day))
        else:
            session.execute(
                "INSERT INTO visit VALUES (%s, %s, 1, 'again') ON CONFLICT (site, day) DO UPDATE SET hits = visit.hits + 1",
                (site, day),
            )
