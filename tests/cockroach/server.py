"""Starts the simulator in front of a test's own PostgreSQL database."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest
from psycopg import sql

_SCRIPT = Path(__file__).with_name("simulator.sql")


@dataclass(frozen=True, slots=True)
class Simulator:
    """A CockroachDB-like database."""

    url: str
    """For applications and for Syncline."""
    postgres_url: str
    """For tests that look behind it."""

    def retry(self, probability: float) -> None:
        """From the next connection on, let so many of the transactions that write fail with 40001 at their COMMIT."""
        with psycopg.connect(self.postgres_url, autocommit=True) as connection:
            name = sql.Identifier(connection.info.dbname)
            connection.execute(sql.SQL("ALTER DATABASE {} SET crdb.retry_p = {}").format(name, str(probability)))


@contextlib.contextmanager
def simulator(postgres_url: str) -> Iterator[Simulator]:
    """Change a database and run the proxy in front of it."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        if connection.info.server_version < 180000:
            pytest.skip("the simulator of CockroachDB is written for PostgreSQL 18")
        connection.execute(_SCRIPT.read_bytes())
    parts = urlsplit(postgres_url)
    options = parse_qs(parts.query)
    socket = f"{options['host'][0]}/.s.PGSQL.{options['port'][0]}"
    with tempfile.TemporaryDirectory(prefix="crdb-", dir="/tmp") as folder:
        command = [sys.executable, "-m", "tests.cockroach.proxy", folder, socket, postgres_url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield Simulator(f"postgresql://crdb@{parts.path}?host={folder}&port=5432", postgres_url)
        finally:
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
