"""Is your write captured? What a block of your code has left for the worker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psycopg

from syncline.capture.postgres.install import install, options_of, plan
from syncline.config import Settings, load
from syncline.config.urls import database_of
from syncline.errors import ConfigError, SynclineError
from syncline.testing.servers import Servers
from syncline.wiring.sides import opened_source

_BEFORE = """
SELECT pg_current_snapshot()::text, EXISTS (SELECT FROM syncline.lane WHERE owner IS NOT NULL)
"""
_SINCE = """
SELECT syncline.event_name(e.name, o.hint, o.event_type), o.key
FROM syncline.waiting AS o JOIN syncline.entity AS e ON e.id = o.entity
WHERE o.hint NOT IN ('B', 'R', 'G') AND NOT pg_visible_in_snapshot(o.tx, %s::pg_snapshot)
ORDER BY o.seq
"""
NOWHERE = "mongodb://unused/unused"


class Change(NamedTuple):
    """One captured change of one record."""

    event: str
    """Entity and what happened to it (``todo.updated``), or the name of an explicit event."""
    key: str


@contextlib.contextmanager
def captured(url: str) -> Iterator[list[Change]]:
    """Collect what is captured while a block runs, in any session: the list is filled when the block has ended.

    It has what was committed by then, in the order in which it was written; what was rolled back is not in it. No
    worker may be at work in this database: it would take away what is counted here.

    Args:
        url: the PostgreSQL database, with Syncline installed.

    Raises:
        SynclineError: Syncline is not installed there, or a worker is at work.

    """
    changes: list[Change] = []
    with psycopg.connect(url, autocommit=True) as conn:
        try:
            before, busy = conn.execute(_BEFORE).fetchone() or ("", False)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise SynclineError(
                "Syncline is not installed in this database, so nothing is captured.",
                hint="run `syncline install` in the set-up of your tests, or use the fixture `syncline_source`",
            ) from error
        if busy:
            raise SynclineError(
                "A worker is at work in this database, and takes away what is to be counted.",
                hint="stop it, or use a database without one, as the fixture `syncline_source` gives",
            )
        yield changes
        changes += [Change(event, key) for event, key in conn.execute(_SINCE, (before,))]


@contextlib.contextmanager
def prepared_source(servers: Servers, config: Path, schema: Callable[[str], None]) -> Iterator[str]:
    """Make a database with the user's tables and capture as the configuration wants it; yield its name, to be copied.

    Raises:
        ConfigError: the configuration is not valid, or the schema file does not run.

    """
    with servers.database() as url:
        settings = load(config, env={"SYNCLINE_SOURCE__URL": url, "SYNCLINE_TARGET__URL": NOWHERE})
        if not settings.entities:
            raise ConfigError(f"{config}: no entity is declared", hint="add [entities.NAME]")
        schema(url)
        asyncio.run(_install(settings))
        yield database_of(url)


async def _install(settings: Settings) -> None:
    async with opened_source(settings) as conn:
        options = options_of(settings.source)
        await install(conn, await plan(conn, settings.entities, options))
