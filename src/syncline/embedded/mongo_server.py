"""Serves MongoDB's engine to any driver: ``python -m syncline.embedded.mongo_server LIBRARY DATA_DIR --socket PATH``.

One thread and, from its first real command on, one engine session per connection.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import threading
import time
from io import BufferedReader
from pathlib import Path

import bson

from syncline.embedded.mongo_engine import Engine, Session
from syncline.embedded.mongo_wire import HEADER, ProtocolError, Request, read_request, write_reply
from syncline.embedded.paths import LOOPBACK
from syncline.errors import EngineError

MAX_CONNECTIONS = 500
MAX_MESSAGE_BYTES = 32_500_000
"""The engine takes 33.6 MB as one command, and a batch grows a little when its documents become an array; drivers split
their batches by what hello says."""
CLOSE_SECONDS = 10.0

HELLO = frozenset({b"hello", b"ismaster", b"isMaster"})
"""Answered here: the client's metadata in it crashes the engine."""
CRASHING = frozenset(
    {b"startSession", b"killSessions", b"killAllSessions", b"killAllSessionsByPattern", b"refreshSessions"}
)
NOT_OURS = ("topologyVersion", "localTime", "connectionId")
"""Fields of the engine's hello that promise what this server does not do (a hello that waits, above all)."""


class Server:
    """Connections to one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._hello = _hello(engine)
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._lock = threading.Lock()
        self._listeners: list[socket.socket] = []
        self._closing = False

    def listen(self, listener: socket.socket) -> None:
        """Take connections from a bound socket until ``close()``."""
        listener.listen(128)
        self._listeners.append(listener)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        """End the connections, then close the engine, which writes everything out."""
        with self._lock:
            self._closing = True
            connections = dict(self._connections)
        for connection in (*self._listeners, *connections.values()):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + CLOSE_SECONDS
        for thread in connections:
            thread.join(max(0, deadline - time.monotonic()))
        self._engine.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                if self._closing:
                    return
                time.sleep(0.01)  # out of file descriptors, or the client has gone already
                continue
            with self._lock:
                if self._closing or len(self._connections) >= MAX_CONNECTIONS:
                    connection.close()
                    continue
                thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
                self._connections[thread] = connection
            if connection.family == socket.AF_INET:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        client = Client(self._engine, self._hello)
        try:
            with connection, connection.makefile("rb") as incoming:
                while (reply := client.answer_next(incoming)) is not None:
                    connection.sendall(reply)
        except (OSError, ProtocolError):
            pass  # the client went away or talks nonsense: either way its connection is over
        finally:
            client.close()
            with self._lock:
                del self._connections[threading.current_thread()]


class Client:
    """What one connection needs from the engine."""

    def __init__(self, engine: Engine, hello: bytes) -> None:
        self._engine = engine
        self._hello = hello
        self._session: Session | None = None
        self._replies = 0

    def answer_next(self, incoming: BufferedReader) -> bytes | None:
        """Read one request and return its reply (empty when none is wanted), or ``None`` at the end of the stream."""
        header = incoming.read(HEADER.size)
        if len(header) < HEADER.size:
            return None
        length, request_id, _, operation = HEADER.unpack(header)
        if not HEADER.size < length <= MAX_MESSAGE_BYTES:
            raise ProtocolError(f"length {length}")
        payload = incoming.read(length - HEADER.size)
        if len(payload) < length - HEADER.size:
            return None
        request = read_request(operation, payload)
        body = self._answer(request)
        if not request.wants_reply:
            return b""
        self._replies = (self._replies + 1) & 0x7FFFFFFF
        return write_reply(operation, reply_id=self._replies, request_id=request_id, body=body)

    def close(self) -> None:
        if self._session is not None:
            with contextlib.suppress(EngineError):
                self._session.close()

    def _answer(self, request: Request) -> bytes:
        if request.name in HELLO:
            return self._hello
        if request.name == b"endSessions":
            return bson.encode({"ok": 1.0})
        if request.name in CRASHING:
            return _error(59, "CommandNotFound", f"no such command: '{request.name.decode()}'")
        if request.in_transaction:
            message = "Transaction numbers are only allowed on a replica set member or mongos"
            return _error(20, "IllegalOperation", message)
        if self._session is None:
            self._session = self._engine.session()
        try:
            return self._session.run(request.database, request.body)
        except EngineError as error:
            return _error(8, "UnknownError", error.message)


def _hello(engine: Engine) -> bytes:
    session = engine.session()
    try:
        reply = bson.decode(session.run("admin", bson.encode({"hello": 1})))
    finally:
        session.close()
    kept = {name: value for name, value in reply.items() if name not in NOT_OURS}
    return bson.encode(kept | {"helloOk": True, "ismaster": True, "maxMessageSizeBytes": MAX_MESSAGE_BYTES})


def _error(code: int, name: str, message: str) -> bytes:
    return bson.encode({"ok": 0.0, "errmsg": message, "code": code, "codeName": name})


def _unix_listener(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def _tcp_listener(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((LOOPBACK, port))
    return listener


def main() -> None:
    """Serve until SIGTERM or SIGINT, then close the engine in order."""
    parser = argparse.ArgumentParser(prog="syncline.embedded.mongo_server")
    parser.add_argument("library", type=Path)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--tcp-port", type=int)
    parser.add_argument("--cache-mb", type=int, default=0)
    options = parser.parse_args()

    signals = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # before there are threads, which inherit it
    server = Server(Engine(options.library, options.data_dir, cache_mb=options.cache_mb))
    if options.tcp_port is not None:
        server.listen(_tcp_listener(options.tcp_port))
    server.listen(_unix_listener(options.socket))
    signal.sigwait(signals)
    server.close()
    os._exit(0)  # the library's own threads would keep the process


if __name__ == "__main__":
    main()
