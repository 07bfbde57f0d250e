"""What the page of a link asks beside the health."""

from __future__ import annotations

from typing import Any, Protocol

from syncline.config import SourceSettings
from syncline.insight import reach
from syncline.insight.status import plain
from syncline.model.link import entered
from syncline.postgres.connection import Connection, connect
from syncline.web.page.recent import read_recent
from syncline.web.page.records import PAGE, statements


class Details(Protocol):
    """Asks again and again, over sessions that it keeps."""

    of_source: bool
    """While the source is down there is nothing to ask."""

    async def read(self) -> dict[str, Any]:
        """Ask.

        Raises:
            SynclineError: there is no answer.

        """
        ...

    async def close(self) -> None:
        """End the sessions."""
        ...


class SourceDetails:
    """Of a link whose source is an SQL database.

    Args:
        source: where it is, and for which link.
        seconds: limit for an answer.

    """

    of_source = True

    def __init__(self, source: SourceSettings, *, seconds: float) -> None:
        self._source, self._seconds = source, seconds
        self._connection: Connection | None = None

    async def read(self) -> dict[str, Any]:
        """Ask over the kept connection; one that failed is not kept."""
        connection, self._connection = self._connection, None
        if connection is None or connection.closed:
            connection = await connect(self._source.url, application="syncline page", timeout_seconds=self._seconds)
        try:
            with entered(self._source.link):
                found = await _gather(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection
        return found

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _gather(connection: Connection) -> dict[str, Any]:
    sql = statements()
    entities = await reach.query(connection, sql["entities"])
    owners = await reach.query(connection, sql["lane_owners"])
    total = (await reach.query(connection, sql["parked_total"]))[0]
    rows = await reach.query(connection, sql["parked"], {"after": 0, "limit": PAGE})
    return {
        "entities": plain(entities),
        "laneOwners": [row["worker"] for row in owners],
        **await read_recent(connection),
        "parked": plain({"records": total["records"], "changes": total["changes"], "rows": rows}),
    }
