"""Times what a process asks its databases, at the drivers' own hooks: SQLAlchemy's events, PyMongo's listeners."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Protocol

from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
    ConnectionPoolListener,
)

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

_UNASKED = frozenset({"hello", "isMaster", "ping", "buildInfo", "endSessions"})


class Stopwatch(Protocol):
    """Is told how long a statement took."""

    def took(self, database: str, seconds: float) -> None:
        """Count it."""
        ...


def time_engine(engine: Engine | AsyncEngine, watch: Stopwatch, *, database: str | None = None) -> None:
    """Time every statement of a SQLAlchemy engine, failed ones too; by default under the name of its dialect."""
    from sqlalchemy import event

    sync = getattr(engine, "sync_engine", engine)
    name = database or sync.dialect.name

    def before(_: Any, __: Any, ___: Any, ____: Any, context: Any, _____: Any) -> None:
        context._syncline_began = time.perf_counter()  # noqa: SLF001  the context is the statement's own

    def ended(context: Any) -> None:
        began = getattr(context, "_syncline_began", None)
        if began is not None:
            context._syncline_began = None  # noqa: SLF001
            watch.took(name, time.perf_counter() - began)

    def after(_: Any, __: Any, ___: Any, ____: Any, context: Any, _____: Any) -> None:
        ended(context)

    def failed(failure: Any) -> None:
        ended(failure.execution_context)

    event.listen(sync, "before_cursor_execute", before)
    event.listen(sync, "after_cursor_execute", after)
    event.listen(sync, "handle_error", failed)


class MongoTimer(CommandListener):
    """Times every command of a client: ``AsyncMongoClient(url, event_listeners=[MongoTimer(watch)])``."""

    def __init__(self, watch: Stopwatch, *, database: str = "mongodb") -> None:
        self._watch = watch
        self._database = database

    def started(self, event: CommandStartedEvent) -> None:
        """Nothing to do: the end tells the duration."""

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Count it."""
        self._ended(event)

    def failed(self, event: CommandFailedEvent) -> None:
        """Count it."""
        self._ended(event)

    def _ended(self, event: Any) -> None:
        if event.command_name not in _UNASKED:
            self._watch.took(self._database, event.duration_micros / 1e6)


class MongoPool(ConnectionPoolListener):
    """Counts the connections of a client; call it for ``size``, ``inUse`` and ``idle``."""

    def __init__(self) -> None:
        self._size = 0
        self._in_use = 0

    def __call__(self) -> dict[str, int]:
        """Give the counts."""
        return {"size": self._size, "inUse": self._in_use, "idle": max(self._size - self._in_use, 0)}

    def connection_created(self, _: Any) -> None:
        """Count it."""
        self._size += 1

    def connection_closed(self, _: Any) -> None:
        """Count it."""
        self._size -= 1

    def connection_checked_out(self, _: Any) -> None:
        """Count it."""
        self._in_use += 1

    def connection_checked_in(self, _: Any) -> None:
        """Count it."""
        self._in_use -= 1

    def pool_created(self, event: Any) -> None:
        """Ignore it."""

    def pool_ready(self, event: Any) -> None:
        """Ignore it."""

    def pool_cleared(self, event: Any) -> None:
        """Ignore it."""

    def pool_closed(self, event: Any) -> None:
        """Ignore it."""

    def connection_ready(self, event: Any) -> None:
        """Ignore it."""

    def connection_check_out_started(self, event: Any) -> None:
        """Ignore it."""

    def connection_check_out_failed(self, event: Any) -> None:
        """Ignore it."""


def engine_pool(engine: Engine | AsyncEngine) -> dict[str, int]:
    """Tell the state of an engine's pool: ``size``, ``inUse``, ``idle``, as far as its kind of pool knows."""
    pool: Any = engine.pool
    names = {"size": "size", "inUse": "checkedout", "idle": "checkedin"}
    return {name: int(getattr(pool, method)()) for name, method in names.items() if hasattr(pool, method)}
