"""Health for probes, page and metrics: both databases asked at once, an answer in time whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from syncline.config import Settings, redact
from syncline.ending import end
from syncline.errors import NotInstalledError, SourceUnavailableError, SynclineError
from syncline.insight import reach
from syncline.insight.patience import Patience
from syncline.insight.reach import DatabaseState
from syncline.insight.status import Status, judge, read_facts
from syncline.model.link import entered
from syncline.model.thresholds import NOT_INSTALLED, UNKNOWN, Alert, Severity, Thresholds
from syncline.ports import Target
from syncline.postgres.connection import Connection, connect, translated
from syncline.postgres.dialect import Dialect, dialect_of
from syncline.postgres.unreachable import unreachable

DEADLINE = timedelta(seconds=2)
KEPT = timedelta(seconds=1)
CLOSE_SECONDS = 0.3
"""How long what is under way at the end is waited for: a process that is told to stop has little time."""

_LIMIT = "SELECT pg_catalog.set_config('statement_timeout', %s, true)"


@dataclass(slots=True)
class _Look:
    """What a look at the source has found so far; it may end at any moment."""

    state: DatabaseState | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    alert: Alert | None = None


class HealthReader:
    """Tells how the synchronisation stands, fast and truthfully.

    Both databases are asked at the same time, over connections that are kept. One that does not answer within the
    deadline is ``disconnected``; a source that answers and does not tell queue and lag is ``connected``, with the
    alert ``SyncStateUnknown``. Many who ask at the same time share one look, and one that is younger than ``keep``
    serves all, so that probes cannot load the databases. It belongs to one event loop at a time. Close it at the end.

    Args:
        settings: which databases.
        open_target: makes the target's client; closed with the reader.
        deadline: limit for both databases together.
        keep: how old an answer may be.
        thresholds: the bounds in force.
        values: gives further measures to judge, such as ``api_p95_ms``.

    """

    def __init__(
        self,
        settings: Settings,
        open_target: Callable[[timedelta], Target],
        *,
        deadline: timedelta = DEADLINE,
        keep: timedelta = KEPT,
        thresholds: Thresholds | None = None,
        values: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        self._url, self._link = settings.source.url, settings.link
        self._source_name = settings.source.name
        self._target_name = settings.target.called
        self._open_target = open_target
        self._deadline = deadline
        self._keep = keep.total_seconds()
        self._thresholds = thresholds
        self._values = values
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin()

    def _begin(self) -> None:
        """Forget everything that belongs to an event loop."""
        self._connection: Connection | None = None
        self._target: Target | None = None
        self._source_patience = Patience[None](self._deadline.total_seconds())
        self._target_patience = Patience[Mapping[str, Any]](self._deadline.total_seconds())
        self._flight: asyncio.Task[Status] | None = None
        self._last: tuple[float, Status] | None = None

    async def read(self) -> Status:
        """Look, or give the look that is just being taken, or one that is young enough.

        Never raises what a database can cause.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._begin()
            self._loop = loop
        if self._last is not None and time.monotonic() - self._last[0] < self._keep:
            return self._last[1]
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._read(), name="syncline health")
        return await asyncio.shield(self._flight)

    async def close(self) -> None:
        """Close the connections; asking again opens them anew."""
        if self._flight is not None:
            await end(self._flight, seconds=CLOSE_SECONDS, again=CLOSE_SECONDS / 4)
        patient = self._source_patience, self._target_patience
        await asyncio.gather(*(patience.settle(CLOSE_SECONDS) for patience in patient))
        connection, target = self._connection, self._target
        self._begin()
        if connection is not None:
            await connection.close()
        if target is not None:
            await target.close()

    async def _read(self) -> Status:
        source, target = await asyncio.gather(self._ask_source(), self._ask_target())
        databases = {self._source_name: source.state or DatabaseState(connected=False), self._target_name: target}
        alerts = [source.alert] if source.alert else []
        status = judge(databases, source.facts, thresholds=self._thresholds, values=self._values(), alerts=alerts)
        self._last = time.monotonic(), status
        return status

    # -- the source

    async def _ask_source(self) -> _Look:
        look = _Look()
        try:
            await self._source_patience.within(lambda: self._look(look))
        except TimeoutError:
            late = f"no answer within {self._deadline.total_seconds():g} s"
            if look.state is None:
                return _Look(DatabaseState(connected=False, error=late))
            return _Look(look.state, alert=_unknown(UNKNOWN, late))
        except SourceUnavailableError as error:
            plain = error if error.hint else unreachable(self._url, error)
            return _Look(DatabaseState(connected=False, error=plain.message, details={"hint": plain.hint}))
        except SynclineError as error:
            return _Look(DatabaseState(connected=False, error=redact(error.message)))
        return look

    async def _look(self, look: _Look) -> None:
        """Look over the kept connection; when that one has died meanwhile, over a new one."""
        with entered(self._link):
            await self._look_at_link(look)

    async def _look_at_link(self, look: _Look) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await self._look_over(connection, look)
            except SourceUnavailableError:
                if look.state is not None:
                    raise
            else:
                return
        await self._look_over(await self._connect(), look)

    async def _connect(self) -> Connection:
        seconds = self._deadline.total_seconds()
        connection = await connect(self._url, application="syncline health", timeout_seconds=seconds)
        if dialect_of(connection) is Dialect.COCKROACHDB and self._source_name == Dialect.POSTGRESQL.value:
            self._source_name = Dialect.COCKROACHDB.value
        return connection

    async def _look_over(self, connection: Connection, look: _Look) -> None:
        try:
            async with self._limited(connection):
                look.state = await reach.ping_source(connection)
                await _tell(connection, look)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    @contextlib.asynccontextmanager
    async def _limited(self, connection: Connection) -> AsyncIterator[None]:
        """Have the server itself end what takes too long; for a transaction only, since poolers share sessions."""
        if dialect_of(connection) is Dialect.COCKROACHDB:
            yield  # there each statement is retried by itself, which no transaction would allow
            return
        with translated():
            async with connection.transaction():
                await connection.execute(_LIMIT, [f"{round(self._deadline.total_seconds() * 1000)}ms"])
                yield

    # -- the target

    async def _ask_target(self) -> DatabaseState:
        started = time.perf_counter()
        try:
            facts = await self._target_patience.within(self._ping)
        except TimeoutError:
            seconds = self._deadline.total_seconds()
            return DatabaseState(connected=False, error=f"no answer within {seconds:g} s")
        except SynclineError as error:
            return DatabaseState(connected=False, error=redact(error.message))
        latency = round((time.perf_counter() - started) * 1000, 1)
        return DatabaseState(True, latency, str(facts.get("version", "")) or None, details=facts)

    def _ping(self) -> Awaitable[Mapping[str, Any]]:
        if self._target is None:
            self._target = self._open_target(self._deadline)
        return self._target.ping()


async def _tell(connection: Connection, look: _Look) -> None:
    """Read queue, lag and the rest; a source without them is connected all the same."""
    try:
        await reach.check_installed(connection)
        look.facts = await read_facts(connection)
    except NotInstalledError as error:
        look.alert = _unknown(NOT_INSTALLED, f"{error.message}; {error.hint}")
    except SynclineError as error:
        if connection.closed:
            raise
        look.alert = _unknown(UNKNOWN, error.message)


def _unknown(what: tuple[str, Severity], reason: str) -> Alert:
    return Alert(*what, 1, 0, f"queue and lag are not known: {reason}")
