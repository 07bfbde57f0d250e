"""The newest applied changes: a list of them, how long they took from commit to visible, and how many of each entity.

They are read from the last blocks of today's partition of the history, which only grows: the cost is the same however
long the history is, and nothing is asked of the workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from psycopg import sql

from syncline.insight import reach
from syncline.insight.status import plain
from syncline.model.json_names import Named
from syncline.model.link import current
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.sql import blocks, identifier

BLOCKS = 32
"""Read from the end of the partition, about a hundred changes each where the history keeps no documents."""
SHOWN = 10
WINDOW_SECONDS = 60.0


async def read_recent(connection: Connection) -> dict[str, Any]:
    """Read what happened lately; ``{"recent": None}`` where no history is kept (or on CockroachDB)."""
    if on_cockroach(connection):
        return {"recent": None}
    statements = blocks("page.sql", "syncline.web.page")
    part = (await reach.query(connection, statements["newest_part"]))[0]["part"]
    if part is None:
        return {"recent": None}
    tail = sql.SQL(statements["newest"]).format(part=identifier(part))
    rows = await reach.query(connection, tail, {"part": f"{current().schema}.{part}", "blocks": BLOCKS})
    return {"recent": summary(rows)}


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up applied changes, the newest first.

    Args:
        rows: ``entity``, ``event_type``, ``key``, ``created_at``, ``processed_at``, and ``now``, the source's clock.

    """
    lately = [row for row in rows if (row["now"] - row["processed_at"]).total_seconds() <= WINDOW_SECONDS]
    waits = sorted((row["processed_at"] - row["created_at"]).total_seconds() * 1000 for row in lately)
    seconds = _seconds(rows, lately)
    rates = Counter(row["entity"] for row in lately)
    return {
        "events": plain([{name: value for name, value in row.items() if name != "now"} for row in rows[:SHOWN]]),
        "latencyMs": {"p50": _quantile(waits, 0.5), "p99": _quantile(waits, 0.99), "changes": len(waits)},
        "rates": Named({entity: round(count / seconds, 1) for entity, count in rates.items()}),
    }


def _seconds(rows: Sequence[Mapping[str, Any]], lately: Sequence[Mapping[str, Any]]) -> float:
    """Say over how long the changes of the last minute were seen: less than it when the blocks hold no more."""
    if not lately or len(lately) < len(rows):
        return WINDOW_SECONDS
    first: datetime = lately[-1]["processed_at"]
    return max(float((lately[0]["now"] - first).total_seconds()), 1.0)


def _quantile(ordered: Sequence[float], share: float) -> float | None:
    """Give the value that ``share`` of the values do not exceed."""
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 1) if ordered else None
