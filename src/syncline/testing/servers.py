"""Database servers for the harness: those named by the environment, else private ones that start and end with us.

Nothing that exists is touched: every database is made under a name of its own, and dropped afterwards.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
from psycopg import sql
from pymongo import MongoClient

from syncline.config.urls import with_database
from syncline.embedded import PrivateMongo, PrivatePostgres
from syncline.errors import EngineError

POSTGRES_VARIABLE = "SYNCLINE_TEST_POSTGRES_URL"
MONGO_VARIABLE = "SYNCLINE_TEST_MONGODB_URL"
SETTINGS: Mapping[str, str | int] = {
    "shared_buffers": "32MB",
    "max_connections": 60,
    "max_wal_size": "256MB",
    "max_parallel_workers_per_gather": 0,
    "jit": "off",
    "fsync": "off",
}
"""A small footprint, and no waiting for the disk: nobody here cuts the server's power."""
SELECTION_MS = 10_000
_DISCONNECT = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'
"""


@dataclass(frozen=True, slots=True)
class Servers:
    """Where databases can be made."""

    postgres: str
    """URL of a server whose role may create databases."""
    mongo: str

    @contextlib.contextmanager
    def database(self, template: str | None = None) -> Iterator[str]:
        """Create a PostgreSQL database, empty or as a copy, and yield its URL; drop it at the end."""
        name = _name()
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(template or "template0")
        )
        with psycopg.connect(self.postgres, autocommit=True) as connection:
            if template is not None:  # the user's own pool may still be connected
                connection.execute(_DISCONNECT, [template])
            _create(connection, statement)
        try:
            yield with_database(self.postgres, name)
        finally:
            with psycopg.connect(self.postgres, autocommit=True) as connection:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextlib.contextmanager
    def collections(self) -> Iterator[str]:
        """Yield the name of a MongoDB database that nobody has; drop it at the end."""
        name = _name()
        try:
            yield name
        finally:
            with MongoClient[dict[str, Any]](self.mongo, serverSelectionTimeoutMS=SELECTION_MS) as client:
                client.drop_database(name)


@contextlib.contextmanager
def running_postgres(env: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Provide a PostgreSQL server's URL."""
    if url := env.get(POSTGRES_VARIABLE):
        yield url
    else:
        with _folder() as folder:
            server = PrivatePostgres(folder / "postgres", settings=SETTINGS)
            try:
                yield server.start().url
            finally:
                server.kill()


@contextlib.contextmanager
def running_mongo(env: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Provide a MongoDB server's URL."""
    if url := env.get(MONGO_VARIABLE):
        yield url
    else:
        with _folder() as folder:
            server = PrivateMongo(folder / "mongo")
            try:
                yield server.start().url
            finally:
                server.kill()


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="syncline-testing-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _create(connection: psycopg.Connection[Any], statement: sql.Composed) -> None:
    try:
        connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege as error:
        raise EngineError(
            "The role of the test server may not create databases.",
            hint=f"ALTER ROLE … CREATEDB, or leave {POSTGRES_VARIABLE} out: a private server is started then.",
        ) from error


def _name() -> str:
    return f"syncline_test_{uuid4().hex[:12]}"
