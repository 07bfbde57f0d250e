"""Writers beside schema changes: what they write may fail because a table is away or changed, never because it is captured."""

from __future__ import annotations

import random
import time

import psycopg

from tests.chaos.acting import Acting
from tests.chaos.changes import PARTS, SPAN
from tests.chaos.journal import Journal

KEYS = 120
PAUSE_SECONDS = 0.02
_WRITES = (
    "INSERT INTO item (id, uid, name, amount, mood) VALUES ('{key}', {uid}, '{text}', {number}, 'happy') ON CONFLICT DO NOTHING",
    "INSERT INTO item (id, uid, name, amount) VALUES ('{key}', {uid}, '{text}', {number}) ON CONFLICT DO NOTHING",
    "UPDATE item SET name = '{text}', amount = {number} WHERE uid = {uid}",
    "UPDATE item SET amount = amount + 1 WHERE uid BETWEEN {uid} AND {uid} + 20",
    "UPDATE item SET mood = (enum_range(NULL::mood))[1 + {number} % 3] WHERE uid = {uid}",
    "DELETE FROM item WHERE uid = {uid}",
    "INSERT INTO part (id, name) VALUES ({part}, '{text}') ON CONFLICT DO NOTHING",
    "UPDATE part SET name = '{text}' WHERE id = {part}",
    "UPDATE part SET id = id + 100 WHERE id = {part}",
    "DELETE FROM part WHERE id = {part}",
    "INSERT INTO part_1 (id, name) VALUES (100 + {key} % 100, '{text}') ON CONFLICT DO NOTHING",
    "INSERT INTO parent (id, name) VALUES ('{key}', '{text}') ON CONFLICT DO NOTHING",
    "UPDATE parent SET name = '{text}' WHERE id = '{key}'",
    "DELETE FROM parent WHERE id = '{key}'",
    "INSERT INTO child (cid, parent_id, n) VALUES ({uid}, '{key}', '{number}') ON CONFLICT DO NOTHING",
    "INSERT INTO child (cid, parent_id, n) VALUES ({uid} + 1, '{key}', '{number}') ON CONFLICT DO NOTHING",
    "UPDATE child SET n = '{number}' WHERE cid = {uid}",
    "UPDATE child SET parent_id = '{key}' WHERE cid = {uid}",
    "DELETE FROM child WHERE cid = {uid}",
)


class Clerk(Acting):
    """One connection of an application that knows nothing of the changes."""

    def __init__(self, url: str, journal: Journal, *, number: int, seed: int) -> None:
        super().__init__(f"clerk {number}")
        self._url = url
        self._journal = journal
        self._random = random.Random(f"{seed} clerk {number}")
        self.commits = 0
        self.complaints: list[str] = []

    def _go_on(self) -> None:
        while not self._ended.is_set():
            try:
                with psycopg.connect(self._url, autocommit=True, connect_timeout=3) as session:
                    self._write(session)
            except psycopg.Error:
                time.sleep(0.05)

    def _write(self, session: psycopg.Connection[tuple[object, ...]]) -> None:
        while self._goes_on():
            try:
                with session.transaction():
                    for _ in range(self._random.choice((1, 1, 1, 2, 4))):
                        session.execute(self._statement().encode())
                self.commits += 1
            except psycopg.Error as error:
                if session.closed:
                    raise
                self._judge(error)
            time.sleep(self._random.uniform(0, 2 * PAUSE_SECONDS))

    def _statement(self) -> str:
        key = self._random.randrange(KEYS)
        number = self._random.randrange(1000)
        values = {
            "key": key,
            "uid": 1000 + key,
            "text": f"t{number}",
            "number": number,
            "part": self._random.randrange(PARTS * SPAN),
        }
        return self._random.choice(_WRITES).format(**values)

    def _judge(self, error: psycopg.Error) -> None:
        """A write that fails within one of our functions fails because of capture, unless somebody was just in the way."""
        if isinstance(error, (psycopg.OperationalError, psycopg.errors.DeadlockDetected)):
            return
        if "syncline" in f"{error} {error.diag.context or ''}":
            self.complaints.append(f"a write failed because of capture: {error} {error.diag.context}")
            self._journal.note(self.complaints[-1])
