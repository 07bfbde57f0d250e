"""A connection pooler in transaction mode, as small as one can be: servers are lent for one transaction at a time."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

from psycopg.conninfo import conninfo_to_dict

PID_OFFSET = 1_000_000


class TransactionPooler:
    """Listens on the loopback interface; ``url`` leads through it to the server."""

    def __init__(self, server_url: str) -> None:
        info = conninfo_to_dict(server_url)
        self._path = f"{info['host']}/.s.PGSQL.{info['port']}"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._idle: list[socket.socket] = []
        self._free = threading.Condition()
        self.url = (
            f"postgresql://{info['user']}@127.0.0.1:{self._listener.getsockname()[1]}/{info['dbname']}?sslmode=disable"
        )
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # else `accept` goes on
        self._listener.close()
        for server in self._idle:
            server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, EOFError), client:
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._path)
            size = _exactly(client, 4)
            server.sendall(size + _exactly(client, struct.unpack("!i", size)[0] - 4))
            self._answer(server, client)
            self._give_back(server)
            while True:
                self._transaction(client)

    def _transaction(self, client: socket.socket) -> None:
        """Pass one transaction through a server that is free; the one given back last comes first."""
        first = _message(client)
        if first[:1] == b"X":
            raise EOFError
        with self._free:
            self._free.wait_for(lambda: self._idle)
            server = self._idle.pop()
        try:
            message = first
            while True:
                server.sendall(message)
                if message[:1] in (b"Q", b"S") and self._answer(server, client) == b"I":
                    return
                message = _message(client)
        finally:
            self._give_back(server)

    def _give_back(self, server: socket.socket) -> None:
        with self._free:
            self._idle.append(server)
            self._free.notify()

    @staticmethod
    def _answer(server: socket.socket, client: socket.socket) -> bytes:
        """Pass messages to the client until the server is ready; return its transaction status."""
        while True:
            message = _message(server)
            if message[:1] == b"K":
                pid, secret = struct.unpack("!i", message[5:9])[0], message[9:]
                message = message[:5] + struct.pack("!i", pid + PID_OFFSET) + secret
            client.sendall(message)
            if message[:1] == b"Z":
                return message[5:6]


def _message(side: socket.socket) -> bytes:
    head = _exactly(side, 5)
    return head + _exactly(side, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(side: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = side.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return data


@contextlib.contextmanager
def transaction_pooler(server_url: str) -> Iterator[str]:
    """Run a pooler in front of a server; yield its URL."""
    pooler = TransactionPooler(server_url)
    try:
        yield pooler.url
    finally:
        pooler.close()
