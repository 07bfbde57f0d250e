"""Statements that go to a server together and are one transaction: without BEGIN and COMMIT, in one round trip.

psycopg's pipeline waits for the server before it commits, and takes some of Python's time for each statement. What is
sent between two syncs of the protocol is a transaction by itself: the first error ends it, and nothing of it stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import errors, generators, sql, waiting
from psycopg.abc import PQGen
from psycopg.pq import ExecStatus, PipelineStatus
from psycopg.pq.abc import PGresult

from syncline.engines.postgres.target.session import Connection

Given = Mapping[str, Any] | Sequence[Any]
Column = Sequence[str | None]
_PLACEHOLDER = re.compile(r"%(?:\((\w+)\)s|s|%)")
_LARGEST = 512 * 1024
"""So many bytes are sent before the server's answers are read: more might wait for each other."""

_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.PIPELINE_ABORTED)
_Answer = tuple[bytes, PGresult]
"""What was prepared, and what came of it; empty: a statement was run."""


@dataclass(frozen=True, slots=True)
class _Prepared:
    statement: str | sql.Composable
    """Kept, since it is found by its place in memory: comparing takes longer than sending."""
    name: bytes
    query: bytes
    order: tuple[str | int, ...]
    """Where each parameter is among those that are given."""


class OneTrip:
    """One session's statements, each prepared when it is used first.

    Args:
        connection: a session of ours alone, in autocommit, with no transaction open.

    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._prepared: dict[int, _Prepared] = {}
        self._known: set[bytes] = set()

    async def run(self, statements: Iterable[tuple[str | sql.Composable, Given]]) -> Sequence[Column] | None:
        """Run all, or none.

        Args:
            statements: with their parameters, texts or numbers, which each statement casts or compares with a column.

        Returns:
            The first column of what each has given. None: it is too much for one trip, and nothing was sent.

        Raises:
            psycopg.Error: one was refused, or the session has ended.

        """
        ready = [(one := self._ready(statement), _texts(one, given)) for statement, given in statements]
        if sum(len(text or b"") for _, texts in ready for text in texts) > _LARGEST:
            return None
        async with self.connection.lock:
            try:
                results = await self.connection.wait(self._sent(ready))
            except BaseException:
                # What is left in the connection are answers to questions that nobody remembers.
                if self.connection.pgconn.pipeline_status != PipelineStatus.OFF:
                    self.connection.pgconn.finish()
                raise
        for prepared, result in results:
            if result.status in _FAILED:
                self._known.discard(prepared)
        for _, result in results:
            if result.status == ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result, encoding="utf-8")
        return [_column(result) for prepared, result in results if not prepared]

    def _ready(self, statement: str | sql.Composable) -> _Prepared:
        if id(statement) not in self._prepared:
            text = statement if isinstance(statement, str) else statement.as_string(self.connection)
            order: list[str | int] = []

            def numbered(found: re.Match[str]) -> str:
                if found[0] == "%%":
                    return "%"
                place = found[1] or len(order)
                if place not in order:
                    order.append(place)
                return f"${order.index(place) + 1}"

            query = _PLACEHOLDER.sub(numbered, text).encode()
            name = f"syncline_{len(self._prepared)}".encode()
            self._prepared[id(statement)] = _Prepared(statement, name, query, tuple(order))
        return self._prepared[id(statement)]

    def _sent(self, ready: Sequence[tuple[_Prepared, Sequence[bytes | None]]]) -> PQGen[list[_Answer]]:
        pgconn = self.connection.pgconn
        asked: list[bytes] = []
        pgconn.enter_pipeline_mode()
        for one, texts in ready:
            if one.name not in self._known:
                pgconn.send_prepare(one.name, one.query)
                self._known.add(one.name)
                asked.append(one.name)
            pgconn.send_query_prepared(one.name, texts)
            asked.append(b"")
        pgconn.pipeline_sync()
        while pgconn.flush():
            if (yield waiting.Wait.RW) & waiting.Ready.R:
                pgconn.consume_input()
        results: list[PGresult] = []
        while True:
            result = yield from generators.fetch(pgconn)
            if result is not None and result.status == ExecStatus.PIPELINE_SYNC:
                break
            if result is not None:
                results.append(result)
        pgconn.exit_pipeline_mode()
        return [*zip(asked, results, strict=True)]


def _column(result: PGresult) -> Column:
    values = [result.get_value(row, 0) for row in range(result.ntuples)]
    return [None if value is None else value.decode() for value in values]


def _texts(one: _Prepared, given: Given) -> list[bytes | None]:
    values = [given[place] for place in one.order]  # type: ignore[index]  # names of a mapping, places of a sequence
    return [None if value is None else str(value).encode() for value in values]
