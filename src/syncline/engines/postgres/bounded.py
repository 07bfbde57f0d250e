"""Reading states within a bound on memory: rows may be wider than any that were seen before."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
from psycopg import capabilities

from syncline.engines.postgres.states import queries_of, read_states
from syncline.model.mapping import Row
from syncline.narrowing import width
from syncline.ports import Excerpt as Excerpt  # noqa: PLC0414  for the relay, for now
from syncline.ports import Plan, States
from syncline.postgres.arrays import texts
from syncline.postgres.connection import Connection, translated

SAMPLED = 16
"""One row in so many is weighed, and so many are received at a time while nothing is known of their width."""
MANY, NARROW = 48, 2000
"""So many are received at a time where none so far was wider than so many bytes: each turn costs time of its own."""


class Bound:
    """About so many bytes of states are read at a time.

    Embedded rows are read in the same snapshot as their parents, and not bounded here.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._widest: dict[int, float] = {}
        """Bytes of the widest row of an entity that was weighed."""
        self._unstreamed: set[int] = set()
        """Entities with times that psycopg's own loader does not know."""

    async def read(self, connection: Connection, plan: Plan, keys: Sequence[str]) -> States:
        """Read records of keys like ``read_states``, and keep no more than there is room for.

        Raises:
            KeyFormatError: a text is not a key of this entity.
            SourceUnavailableError: the source cannot be reached.

        """
        # So few are received at a time anyway; and where a stream fails, the driver opens a connection to cancel it.
        if len(keys) <= SAMPLED or plan.projection.embeds or plan.id in self._unstreamed:
            return await read_states(connection, plan, keys)
        parameters = [texts(column) for column in plan.projection.codec.parameters(keys)]
        with translated():
            try:
                return await self._stream(connection, plan, parameters)
            except Exception as error:
                if isinstance(error, psycopg.Error) and getattr(error, "sqlstate", None) is not None:
                    raise
                if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
                    raise
        self._unstreamed.add(plan.id)
        return await read_states(connection, plan, keys)

    async def _stream(self, connection: Connection, plan: Plan, parameters: Sequence[object]) -> States:
        rows: list[Row] = []
        size = 0
        widest = self._widest.get(plan.id, NARROW + 1)
        chunk = (MANY if widest <= NARROW else SAMPLED) if _CHUNKS else 1
        async with connection.cursor(binary=True) as cursor:
            async for row in cursor.stream(queries_of(plan).by_key, parameters, size=chunk):
                if size > self._most:
                    continue  # received and forgotten: cancelling might hit the next statement
                rows.append(row)
                if len(rows) % SAMPLED == 1:
                    wide = width(row)
                    size += SAMPLED * wide
                    self._widest[plan.id] = max(wide, self._widest.get(plan.id, 0))
        return (Excerpt if size > self._most else States)(plan, rows, ())


_CHUNKS = capabilities.has_stream_chunked()
