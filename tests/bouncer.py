"""PgBouncer in front of a server: Debian's, from PATH or unpacked into the cache."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from syncline.embedded.private import Controlled
from syncline.embedded.process import ServerProcess
from tests.debian import UnavailableError, library_path, unpacked

CONFIG = """
[databases]
* = host={host} port={port} user={user}
[pgbouncer]
unix_socket_dir = {folder}
listen_port = 6432
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
max_client_conn = 200
server_idle_timeout = 3600
query_wait_timeout = 30
log_connections = 0
log_disconnections = 0
"""


@functools.cache
def command() -> tuple[str, Mapping[str, str]]:
    """Find the program and the environment that it needs; ``UnavailableError`` says why there is none."""
    if found := shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin"):
        return found, {}
    root = unpacked("pgbouncer")
    return str(root / "usr/sbin/pgbouncer"), library_path(root)


@functools.cache
def version() -> str:
    """Say which release it is, or skip the test, aloud."""
    try:
        program, environment = command()
    except UnavailableError as error:
        pytest.skip(f"PgBouncer: {error}")
    asked = subprocess.run([program, "-V"], env=dict(environment), check=True, capture_output=True, text=True)
    return asked.stdout.split("\n")[0]


class Pooler(Controlled):
    """PgBouncer in front of a server; it may be killed, frozen and started again, and keeps its address.

    Args:
        server_url: where it leads to.
        mode: when a client gives its connection back.
        size: connections to the server.
        settings: more lines of its file.

    """

    def __init__(self, server_url: str, *, mode: str = "transaction", size: int = 12, settings: str = "") -> None:
        version()
        info = conninfo_to_dict(server_url)
        self._folder = Path(tempfile.mkdtemp(prefix="syncline-bouncer-", dir="/tmp"))
        config = CONFIG.format(**info, folder=self._folder, mode=mode, size=size) + settings
        (self._folder / "pgbouncer.ini").write_text(config)
        self.url = f"postgresql://{info['user']}@/{info['dbname']}?host={quote(str(self._folder))}&port=6432"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program, environment = command()
        self._folder.joinpath(".s.PGSQL.6432").unlink(missing_ok=True)  # one that was killed leaves it behind
        self._process = ServerProcess(
            [program, "-q", str(self._folder / "pgbouncer.ini")],
            log=self.log_path,
            stop_signal=signal.SIGINT,
            environment=environment,
            private_folder=self._folder,
        )
        self._process.wait_until(lambda: _listens(self._folder / ".s.PGSQL.6432"), timeout_seconds=15, name="PgBouncer")

    @property
    def log_path(self) -> Path:
        """Where it writes what happens to it."""
        return self._folder / "pgbouncer.log"

    def processor_seconds(self) -> float:
        """Give the time of the processor that it has used."""
        assert self._process is not None
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def remove(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def bouncer(server_url: str, *, mode: str = "transaction", size: int = 12) -> Iterator[str]:
    """Run PgBouncer in front of a server for a block; yield the URL that leads through it to the same database."""
    pooler = Pooler(server_url, mode=mode, size=size)
    try:
        pooler.start()
        yield pooler.url
    finally:
        pooler.remove()


def _listens(path: Path) -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        return True
    return False


class Application:
    """All server sessions of the pool at once: what the application would meet in each."""

    def __init__(self, url: str, size: int = 12) -> None:
        self._connections = [psycopg.connect(url, autocommit=False, prepare_threshold=None) for _ in range(size)]

    def sessions(self) -> dict[int, dict[str, str]]:
        """Read the settings of every server session, by its process; all are held until the last is read."""
        found = {}
        for connection in self._connections:
            connection.execute("DO $$ BEGIN END $$")  # PL/pgSQL's own settings are there once it has been used
            settings = dict(connection.execute("SELECT name, setting FROM pg_settings WHERE name <> ALL(%s)", [KNOWN]))
            found[connection.execute("SELECT pg_backend_pid()").fetchone()[0]] = settings | _state(connection)
        for connection in self._connections:
            connection.rollback()
        return found

    def changed(self, before: Mapping[int, Mapping[str, str]]) -> dict[int, dict[str, tuple[str | None, str | None]]]:
        """Say what is another in which session than before; nothing, if all are as they were.

        PgBouncer ends a session whose client leaves it in the middle of a transaction; the one that takes its place must
        be like the others.
        """
        found: dict[int, dict[str, tuple[str | None, str | None]]] = {}
        now = self.sessions()
        usual = next(iter(before.values()))
        for pid, new in now.items():
            old = before.get(pid, usual)
            if old != new:
                names = old.keys() | new.keys()
                found[pid] = {n: (old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)}
        return found

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


KNOWN = ["transaction_isolation", "transaction_read_only", "application_name"]
"""Those of a transaction, and what PgBouncer sets anew for each of its clients."""


def _state(connection: psycopg.Connection) -> dict[str, str]:
    """Read what a session keeps beside its settings: locks, channels, prepared statements, temporary tables."""
    queries = {
        "advisory locks": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
        "channels": "SELECT count(*) FROM pg_listening_channels()",
        "prepared": "SELECT count(*) FROM pg_prepared_statements",
        "temporary": "SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema()",
    }
    return {name: str(connection.execute(query).fetchone()[0]) for name, query in queries.items()}
