"""What workers noticed and an operator must know: list it, and close what was dealt with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from syncline.insight import reach
from syncline.postgres.connection import Connection


async def list_notices(connection: Connection, *, closed: bool = False, limit: int = 100) -> list[dict[str, Any]]:
    """List notices, newest first: id, at, name, severity, message, resolved_at.

    Args:
        connection: to the source.
        closed: also those that are resolved.
        limit: at most so many.

    """
    return [dict(row) for row in await reach.rows(connection, "notices_all", closed=closed, limit=limit)]


async def resolve_notices(connection: Connection, ids: Sequence[int] | None = None) -> list[int]:
    """Close open notices, all of them by default; return which were open."""
    rows = await reach.rows(connection, "resolve_notices", ids=None if ids is None else list(ids))
    return sorted(row["id"] for row in rows)
