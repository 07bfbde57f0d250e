"""Writes of a rehearsal, as an application writes: rows become what they are, or go and come again."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Self

import psycopg
from psycopg.sql import SQL, Composed

from syncline.engines.postgres.projection_sql import named, table_of
from syncline.model.entity import TableName
from syncline.postgres.sql import blocks
from syncline.split.connecting import connect
from syncline.split.moving.ends import Ends
from syncline.split.moving.probe import columns_of, settable_of, written_of
from syncline.split.switching.following import Following
from syncline.split.switching.refusals import refusal_of
from syncline.split.switching.running import run

FIRST = 100
"""So many of a table's first rows are written."""
_PAUSE_SECONDS = 0.005
_PATIENCE = timedelta(seconds=60)


@dataclass
class Counts:
    """What came of the writes; ``refused``: by a rule of the application's, a foreign key or a trigger, say."""

    done: int = 0
    refused: int = 0
    longest_seconds: float = 0.0
    """Of one write with all its repetitions."""
    why: str | None = None
    """The last refusal."""


@dataclass
class Writer:
    """Writes the tables of a move for a block, on the side that serves, in a thread of its own."""

    ends: Ends
    tables: Sequence[TableName]
    counts: Counts = field(default_factory=Counts)
    failure: Exception | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        self._stop = threading.Event()
        self._connections: dict[str, psycopg.Connection[Any]] = {}
        self._following = Following({side: self.ends.address(side) for side in self.ends.names}, split=True)
        self._thread = threading.Thread(target=self._go, name="syncline rehearsal", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._following.close()
        for connection in self._connections.values():
            connection.close()

    def see_that_it_goes_on(self) -> None:
        """Raise what has ended it."""
        if self.failure is not None:
            raise self.failure

    def _go(self) -> None:
        try:
            for table in itertools.cycle(self.tables):
                for block in ("touch", "anew"):
                    if self._stop.wait(_PAUSE_SECONDS):
                        return
                    self._write(block, table)
        except Exception as error:  # noqa: BLE001  whoever waits is told
            self.failure = error

    def _write(self, block: str, table: TableName) -> None:
        began = time.monotonic()
        try:
            run(self._following, lambda connection: _written(connection, block, table), self._connected, _PATIENCE)
            self.counts.done += 1
        except psycopg.Error as error:
            if isinstance(error, psycopg.OperationalError) and refusal_of(error) is None:
                raise
            self.counts.refused += 1
            self.counts.why = f"{table}: {error.diag.message_primary or error}"
        self.counts.longest_seconds = max(self.counts.longest_seconds, time.monotonic() - began)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[Any]]:
        side = self._following.serving(self.ends.database)
        if side not in self._connections:
            self._connections[side] = connect(
                self.ends.address(side), autocommit=True, application_name="syncline rehearsal"
            )
        yield self._connections[side]


def _written(connection: psycopg.Connection[Any], block: str, table: TableName) -> None:
    statement = _statement(connection, block, table)
    if statement is not None:
        connection.execute(statement, {"skip": random.randrange(FIRST)}, prepare=False)  # noqa: S311  any will do


def _statement(connection: psycopg.Connection[Any], block: str, table: TableName) -> Composed | None:
    """Compose a write; ``None``: no column of the table can be set."""
    columns = columns_of(connection, table)
    settable = settable_of(columns)
    if not columns or (block == "touch" and not settable):
        return None
    keys = [one.name for one in columns if one.key]
    names = [one.name for one in written_of(columns)]
    return SQL(blocks("rehearsing.sql", "syncline.split.rehearsing")[block]).format(
        table=table_of(table),
        column=named(settable[0].name) if settable else named(keys[0]),
        keys=SQL(", ").join(named(name) for name in keys),
        same=SQL(" AND ").join(SQL("t.{0} = r.{0}").format(named(name)) for name in keys),
        taken=SQL(", ").join(named("t", name) for name in names),
        names=SQL(", ").join(named(name) for name in names),
    )
