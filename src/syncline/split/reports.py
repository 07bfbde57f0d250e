"""What a process's boundary guard has seen, reported to the home of a move: evidence for its switch.

At most once a minute, by a thread of its own: no statement of the application waits for it, and where it fails, the
next one says the same again.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from uuid import uuid4

import psycopg

from syncline.errors import NamedDatabaseError
from syncline.postgres.sql import blocks
from syncline.split.address import Address
from syncline.split.connecting import told
from syncline.split.guard import Guard

PACKAGE = "syncline.split"
EVERY_SECONDS = 60.0


class Reports:
    """Those of one process.

    Args:
        addresses: where a move may be at home.
        guard: whose counts are reported.
        mode: of the process, ``single`` or ``split``.

    """

    def __init__(self, addresses: Mapping[str, Address], guard: Guard, mode: str) -> None:
        self._addresses = tuple({one.conninfo: one for one in addresses.values()}.values())
        self._guard = guard
        self._mode = mode
        self._due = 0.0
        self._named = (os.getpid(), uuid4())
        self._thread: threading.Thread | None = None

    def look(self) -> None:
        """Begin a report when it is time; called again and again while tables move."""
        busy = self._thread is not None and self._thread.is_alive()
        if busy or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + EVERY_SECONDS
        if self._named[0] != os.getpid():  # a fork: another process
            self._named = (os.getpid(), uuid4())
        self._thread = threading.Thread(target=self.send, name="syncline guard", daemon=True)
        self._thread.start()

    def send(self) -> None:
        """Report to every database that takes it."""
        tally, ours = self._guard.tally, blocks("guard.sql", PACKAGE)
        values = {
            "process": self._named[1],
            "mode": self._mode,
            "statements": tally.statements,
            "findings": tally.findings,
            "latest": tally.latest,
            "logged": tally.logged,
        }
        for address in self._addresses:
            given = {**address.arguments(), "prepare_threshold": None, "application_name": "syncline guard"}
            with (
                contextlib.suppress(NamedDatabaseError, psycopg.Error),
                told(address),
                psycopg.connect(address.conninfo, autocommit=True, **given) as connection,
            ):
                row = connection.execute(ours["is_there"]).fetchone()
                if row and row[0]:
                    connection.execute(ours["report"], values)
