"""Parked records: list them, try them again, or give them up with a trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from syncline.errors import ConfigError
from syncline.insight import reach
from syncline.insight.status import plain
from syncline.postgres.connection import Connection


@dataclass(frozen=True, slots=True)
class ParkedRecord:
    """A record that the target rejects."""

    id: int
    entity: str
    key: str
    code: str
    error: str
    changes: int
    """Changes that wait behind it, the first included."""
    retry_count: int
    created_at: datetime
    parked_at: datetime
    tried_at: datetime

    def as_dict(self) -> dict[str, Any]:
        """Give the form that goes over the wire."""
        result: dict[str, Any] = plain(asdict(self))
        return result


async def list_parked(
    connection: Connection, *, entity: str | None = None, limit: int = 100, after: int = 0
) -> list[ParkedRecord]:
    """List parked records, oldest first; ``after`` (an ``id``) continues."""
    found = await reach.rows(connection, "parked", entity=entity, limit=limit, after=after)
    return [ParkedRecord(**row) for row in found]


async def require_entity(connection: Connection, name: str | None) -> None:
    """See that an entity is installed; a misspelt one would look as if nothing were parked.

    Raises:
        ConfigError: it is not; the hint lists those that are.

    """
    names = [row["name"] for row in await reach.rows(connection, "entities")]
    if name is not None and name not in names:
        raise ConfigError(f"there is no entity {name!r}", hint=f"installed: {', '.join(names) or 'none'}")


async def count_parked(connection: Connection, *, entity: str | None = None) -> tuple[int, int]:
    """Count parked records, and the changes behind them."""
    row = await reach.one(connection, "parked_total", entity=entity)
    records, changes = row.values()
    return records, changes


async def retry_parked(connection: Connection, *, entity: str | None = None, keys: Sequence[str] | None = None) -> int:
    """Mark parked records again; the worker tries each once, and clears the entry of what succeeds.

    Args:
        connection: to the source.
        entity: only of this one.
        keys: only these (texts as listed); ``None``: all.

    Returns:
        How many records were marked.

    """
    row = await reach.one(connection, "retry_parked", entity=entity, keys=None if keys is None else list(keys))
    return int(next(iter(row.values())))


async def discard_parked(
    connection: Connection, *, entity: str | None = None, keys: Sequence[str] | None = None
) -> int:
    """Give up parked records: the target keeps what it has of them. A notice names them.

    Returns:
        How many records were discarded.

    """
    row = await reach.one(connection, "discard_parked", entity=entity, keys=None if keys is None else list(keys))
    return int(next(iter(row.values())))
