"""A private MongoDB server in a folder, for the demo and the tests."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import quote

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure

from syncline.embedded import mongo_fetch
from syncline.embedded.paths import LOOPBACK, choose_port
from syncline.embedded.private import PrivateServer
from syncline.embedded.process import ServerProcess
from syncline.errors import EngineError

START_SECONDS = 60.0
REPLICA_SET = "syncline"
ALREADY_INITIALIZED = 23
ENGINE_PACKAGE_ROOT = Path(__file__).resolve().parents[2]

Kind = Literal["mongod", "engine"]


class PrivateMongo(PrivateServer):
    """A server of our own on a socket in a private folder; it ends with us. ``data_dir`` is made, and kept.

    A ``mongod`` on PATH is run as a replica set of one. Without it, MongoDB's engine is fetched and served: it writes
    and finds as MongoDB does, and has no sessions, transactions or change streams.

        with PrivateMongo(folder / "mongo") as server:
            MongoClient(server.url)
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        tcp_port: int | None = None,
        cache_mb: int = 256,
        accept: bool = False,
        kind: Kind | None = None,
    ) -> None:
        """Prepare only.

        ``tcp_port`` also opens that port of the loopback interface (0 for any free one); ``accept`` says that the user
        accepts the engine's licence; ``kind`` insists on one of the two servers.
        """
        self.kind: Kind = kind or ("mongod" if shutil.which("mongod") else "engine")
        # A replica set's members know each other by port.
        super().__init__(data_dir, 0 if tcp_port is None and self.kind == "mongod" else tcp_port)
        self._cache_mb = cache_mb
        self._accept = accept

    @property
    def url(self) -> str:
        """The address of the socket; it stays the same over stops and kills."""
        return f"mongodb://{quote(str(self._socket), safe='')}/?directConnection=true"

    def _address(self, port: int) -> str:
        return f"mongodb://{LOOPBACK}:{port}/?directConnection=true"

    def start(self) -> Self:
        """Start and wait until writes are welcome. Does nothing if it runs.

        Raises:
            ConsentError: the engine would have to be fetched, and its licence is not accepted.
            EngineError: there is no server, or it did not start; the message has the end of its log.

        """
        if self.running:
            return self
        command = self._mongod() if self.kind == "mongod" else self._engine()
        if self.tcp_port is not None:
            choose_port(self.tcp_port)
        self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._socket.unlink(missing_ok=True)
        self._process = ServerProcess(
            command,
            log=self.log_path,
            stop_signal=signal.SIGTERM,
            environment={"PYTHONPATH": str(ENGINE_PACKAGE_ROOT), "PYTHONSAFEPATH": "1"},
            private_folder=self._sockets,
        )
        self._process.wait_until(self._listens, timeout_seconds=START_SECONDS, name="MongoDB")
        if self.kind == "mongod":
            with MongoClient[dict[str, Any]](self.url) as client:
                self._process.wait_until(
                    lambda: self._is_primary(client), timeout_seconds=START_SECONDS, name="MongoDB"
                )
        return self

    @property
    def _socket(self) -> Path:
        """Named as mongod names it."""
        return self._sockets / f"mongodb-{self.tcp_port or 27017}.sock"

    def _engine(self) -> list[str]:
        library = mongo_fetch.fetch(accept=self._accept)
        port = [] if self.tcp_port is None else [f"--tcp-port={self.tcp_port}"]
        module = [sys.executable, "-m", "syncline.embedded.mongo_server"]
        return [
            *module,
            str(library),
            str(self.data_dir),
            f"--socket={self._socket}",
            f"--cache-mb={self._cache_mb}",
            *port,
        ]

    def _mongod(self) -> list[str]:
        binary = shutil.which("mongod")
        if binary is None:
            raise EngineError("There is no mongod on PATH.", hint="Install MongoDB, or use the engine.")
        return [
            binary,
            f"--dbpath={self.data_dir}",
            f"--replSet={REPLICA_SET}",
            f"--bind_ip={LOOPBACK}",
            f"--port={self.tcp_port}",
            f"--unixSocketPrefix={self._sockets}",
            f"--wiredTigerCacheSizeGB={max(0.25, self._cache_mb / 1024)}",
        ]

    def _listens(self) -> bool:
        """Whether the socket takes connections: the server opens it last."""
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as probe:
            return probe.connect_ex(str(self._socket)) == 0

    def _is_primary(self, client: MongoClient[dict[str, Any]]) -> bool:
        member = {"_id": 0, "host": f"{LOOPBACK}:{self.tcp_port}"}
        try:
            if client.admin.command("hello").get("isWritablePrimary"):
                return True
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [member]})
        except ConnectionFailure:
            pass  # it is not there yet
        except OperationFailure as error:
            if error.code != ALREADY_INITIALIZED:
                raise EngineError(f"mongod could not become a replica set: {error}") from error
        return False
