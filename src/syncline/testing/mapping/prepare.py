"""What every test of one mapping starts from: a database with the user's schema and capture, ready to be copied."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.config import Settings, load
from syncline.config.urls import database_of
from syncline.errors import ConfigError
from syncline.model.entity import TableName
from syncline.testing.mapping.tables import Table, read_tables
from syncline.testing.servers import Servers
from syncline.wiring.sides import opened_source

QUICK: Mapping[str, str] = {
    "SYNCLINE_SOURCE__CAPTURE": "triggers",
    "SYNCLINE_SOURCE__WAKE": "true",
    "SYNCLINE_WORKER__LEASE_SECONDS": "2",
    "SYNCLINE_WORKER__RENEW_SECONDS": "0.25",
    "SYNCLINE_WORKER__POLL_SECONDS": "1",
    "SYNCLINE_HISTORY__KEEP": "off",
    "SYNCLINE_LOG__FORMAT": "json",
}
"""What the harness sets over the user's file: short leases, so that nobody waits for a dead worker."""
GRACE = timedelta(hours=1)
"""For workers within the test: second deletes are not done by the clock, but when the test calls them due."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One mapping, ready to be tested."""

    servers: Servers
    template: str
    """Name of the database to copy."""
    config: Path
    settings: Settings
    """With the template's address."""
    tables: Mapping[TableName, Table]

    def environment(self, source: str, database: str) -> dict[str, str]:
        """Variables that lead the user's configuration to databases of the test."""
        return environment(source, self.servers.mongo, database)

    def settings_for(self, source: str, database: str) -> Settings:
        """Load the configuration for databases of the test."""
        settings = load(self.config, env=self.environment(source, database))
        return replace(settings, worker=settings.worker.model_copy(update={"grace": GRACE}))


@contextlib.contextmanager
def prepared(
    servers: Servers,
    config: Path,
    schema: Callable[[str], None],
) -> Iterator[Prepared]:
    """Create the database to copy.

    Args:
        servers: where.
        config: the user's configuration.
        schema: creates the user's tables, given the URL of an empty database.

    Raises:
        ConfigError: the configuration is not valid, or the schema file does not run.
        MappingError: an entity does not fit the tables.

    """
    with servers.database() as url:
        settings = load(config, env=environment(url, servers.mongo, "unused"))
        if not settings.entities:
            raise ConfigError(f"{config}: no entity is declared", hint="add [entities.NAME]")
        schema(url)
        with psycopg.connect(url, autocommit=True) as conn:
            tables = read_tables(conn)
            filled = any(_has_rows(conn, name) for name in tables)
        asyncio.run(_install(settings, filled=filled))
        yield Prepared(servers, database_of(url), config, settings, tables)


def environment(source: str, mongo: str, database: str) -> dict[str, str]:
    """Variables for ``load`` and for processes; nothing of the caller's environment is among them."""
    return {
        **QUICK,
        "SYNCLINE_SOURCE__URL": source,
        "SYNCLINE_TARGET__URL": mongo,
        "SYNCLINE_TARGET__DATABASE": database,
    }


def run_files(url: str, files: Sequence[Path]) -> None:
    """Run SQL files.

    Raises:
        ConfigError: a file is missing, or PostgreSQL refused it; the message has the line.

    """
    with psycopg.connect(url, autocommit=True) as conn:
        for file in files:
            if not file.is_file():
                raise ConfigError(f"{file}: there is no such file", hint="set `schema` to your SQL file")
            text = file.read_text("utf-8")
            try:
                conn.execute(text.encode())
            except psycopg.Error as error:
                position = int(error.diag.statement_position or 0)
                line = text[:position].count("\n") + 1 if position else "?"
                raise ConfigError(
                    f"{file}:{line}: {str(error).splitlines()[0]}",
                    hint="plain SQL is expected (no psql commands); for migrations override create_schema(url)",
                ) from error


def _has_rows(conn: psycopg.Connection[Any], table: TableName) -> bool:
    """Whether the schema itself brought rows: those of a lookup table, say."""
    query = sql.SQL("SELECT EXISTS (SELECT FROM {})").format(sql.Identifier(table.schema, table.name))
    row = conn.execute(query).fetchone()
    return bool(row and row[0])


async def _install(settings: Settings, *, filled: bool) -> None:
    async with opened_source(settings) as conn:
        options = InstallOptions(capture="triggers", wake=True, backfill=filled)
        await install(conn, await plan(conn, settings.entities, options))
