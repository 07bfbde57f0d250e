"""The connections of a process with PostgreSQL, and shadow reads that take none from its requests."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

from psycopg_pool import ConnectionPool

from syncline.config.urls import of_primary
from syncline.forking import after_fork, leave_to_parent
from syncline.phases.repositories.phased import ShadowReader
from syncline.phases.shadow import BlockingShadowReads, Read, Report
from syncline.postgres.limited import LimitedConnection

POSTGRES_SECONDS = 1.0
"""So long a call waits for a connection with PostgreSQL."""
SHADOW_READS = 4
"""Reads of PostgreSQL under way beside the requests, each with a connection."""
_in_shadow: ContextVar[bool] = ContextVar("syncline_in_shadow", default=False)


class Connections:
    """Two pools, each opened with the first connection that is needed, in each process: of requests, of shadow reads.

    Args:
        url: the PostgreSQL.
        size: connections of requests.
        seconds: of an answer; then the connection is closed.

    """

    def __init__(self, url: str, size: int, seconds: float) -> None:
        self._url, self._sizes = of_primary(url), {False: size, True: SHADOW_READS}
        self._class = LimitedConnection.of(seconds)
        self._pools: dict[bool, ConnectionPool[LimitedConnection]] = {}
        self._lock = threading.Lock()
        after_fork(self._forked)

    def _forked(self) -> None:
        leave_to_parent(self._pools)
        self._pools, self._lock = {}, threading.Lock()

    def pool(self, in_shadow: bool = False) -> ConnectionPool[LimitedConnection]:
        """Give a pool."""
        with self._lock:
            if in_shadow not in self._pools:
                self._pools[in_shadow] = self._opened(self._sizes[in_shadow])
            return self._pools[in_shadow]

    def lent(self, timeout: float | None = None) -> Any:
        """Lend a connection for a block."""
        return self.pool(_in_shadow.get()).connection(timeout)

    def _opened(self, size: int) -> ConnectionPool[LimitedConnection]:
        return ConnectionPool(
            self._url,
            connection_class=self._class,
            min_size=0,
            max_size=size,
            timeout=POSTGRES_SECONDS,
            open=True,
            kwargs={"connect_timeout": 2, "prepare_threshold": None},
        )

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()


class Beside:
    """Shadow reads over connections of their own."""

    def __init__(self, reads: ShadowReader) -> None:
        self.reads = reads

    @property
    def report(self) -> Report | None:
        """Where the outcomes go: repositories declare in it what they can be asked."""
        found = getattr(self.reads, "report", None)
        return found if isinstance(found, Report) else None

    def read(self, what: Read, truth: Callable[[], Any], other: Callable[[], Any]) -> Any:
        """Give the truth's answer; compare the other side's later."""
        return self.reads.read(what, truth, partial(_beside, other))

    def close(self) -> None:
        """End the threads."""
        if isinstance(self.reads, BlockingShadowReads):
            self.reads.close()


def _beside(ask: Callable[[], Any]) -> Any:
    token = _in_shadow.set(True)
    try:
        return ask()
    finally:
        _in_shadow.reset(token)
