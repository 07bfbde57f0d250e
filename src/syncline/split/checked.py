"""psycopg's connections and cursors that look at each statement before they send it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from syncline.errors import RoutingError
from syncline.split.routing import Ledger
from syncline.split.statements import Placeholders

Look = Callable[[str, Placeholders, Ledger], object]
"""Raises where a statement must not be sent."""


class _Guarded:
    """What both kinds of connection have."""

    look: Look | None = None
    """Set while the connection is lent under a database's name."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ledger = Ledger()

    @property
    def is_set(self) -> bool:
        """Whether its transactions are of a kind of their own."""
        return (self.isolation_level, self.read_only, self.deferrable) != (None, None, None)  # type: ignore[attr-defined]

    def check(self, query: Any, params: Any) -> None:
        """Look at a statement.

        Raises:
            RoutingError: it belongs elsewhere.

        """
        if self.look is None:
            return
        if self.info.transaction_status is TransactionStatus.IDLE:  # type: ignore[attr-defined]
            self.ledger.clear()  # this statement begins another transaction
        style = Placeholders.NONE if params is None else Placeholders.PERCENT
        self.look(_text(query, self), style, self.ledger)


class CheckedConnection(_Guarded, psycopg.Connection[Any]):
    """A connection whose statements are looked at."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._make_checked()

    def restore(self) -> None:
        """Make it as it was before it was lent."""
        self.autocommit = False
        if self.is_set:
            self.isolation_level = self.read_only = self.deferrable = None
        self._make_checked()

    def _make_checked(self) -> None:
        self.row_factory = tuple_row
        self.cursor_factory = CheckedCursor
        self.server_cursor_factory = CheckedServerCursor


class CheckedAsyncConnection(_Guarded, psycopg.AsyncConnection[Any]):
    """The same, for asyncio."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._make_checked()

    async def restore(self) -> None:
        """Make it as it was before it was lent."""
        await self.set_autocommit(False)
        if self.is_set:
            await self.set_isolation_level(None)
            await self.set_read_only(None)
            await self.set_deferrable(None)
        self._make_checked()

    def _make_checked(self) -> None:
        self.row_factory = tuple_row
        self.cursor_factory = CheckedAsyncCursor
        self.server_cursor_factory = CheckedAsyncServerCursor


class _Looking:
    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        _check(self, query, params)
        return super().execute(query, params, **options)  # type: ignore[misc, no-any-return]

    def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        _check(self, query, ())
        super().executemany(query, params_seq, **options)  # type: ignore[misc]

    def stream(self, query: Any, params: Any = None, **options: Any) -> Iterator[Any]:
        _check(self, query, params)
        return super().stream(query, params, **options)  # type: ignore[misc, no-any-return]

    def copy(self, statement: Any, params: Any = None, **options: Any) -> AbstractContextManager[Any]:
        _check(self, statement, params)
        return super().copy(statement, params, **options)  # type: ignore[misc, no-any-return]


class _AsyncLooking:
    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        _check(self, query, params)
        return await super().execute(query, params, **options)  # type: ignore[misc, no-any-return]

    async def executemany(self, query: Any, params_seq: Any, **options: Any) -> None:
        _check(self, query, ())
        await super().executemany(query, params_seq, **options)  # type: ignore[misc]

    def stream(self, query: Any, params: Any = None, **options: Any) -> AsyncIterator[Any]:
        _check(self, query, params)
        return super().stream(query, params, **options)  # type: ignore[misc, no-any-return]

    def copy(self, statement: Any, params: Any = None, **options: Any) -> AbstractAsyncContextManager[Any]:
        _check(self, statement, params)
        return super().copy(statement, params, **options)  # type: ignore[misc, no-any-return]


class CheckedCursor(_Looking, psycopg.Cursor[Any]):  # type: ignore[misc]  # the driver types copy by its decorator
    """A cursor of a ``CheckedConnection``."""


class CheckedServerCursor(_Looking, psycopg.ServerCursor[Any]):  # type: ignore[misc]  # the driver types copy by its decorator
    """A named cursor of one."""


class CheckedAsyncCursor(_AsyncLooking, psycopg.AsyncCursor[Any]):  # type: ignore[misc]  # the driver types copy by its decorator
    """A cursor of a ``CheckedAsyncConnection``."""


class CheckedAsyncServerCursor(_AsyncLooking, psycopg.AsyncServerCursor[Any]):  # type: ignore[misc]  # the driver types copy by its decorator
    """A named cursor of one."""


def _check(cursor: Any, query: Any, params: Any) -> None:
    if isinstance(cursor.connection, _Guarded):
        cursor.connection.check(query, params)


def _text(query: Any, connection: Any) -> str:
    if isinstance(query, str):
        return query
    if isinstance(query, bytes):
        return query.decode("utf-8", "surrogateescape")
    if isinstance(query, sql.Composable):
        return query.as_string(connection)
    raise RoutingError(
        f"a statement given as {type(query).__name__} cannot be looked at", hint="give it as a text, or as psycopg.sql"
    )
