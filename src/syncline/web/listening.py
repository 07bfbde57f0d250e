"""Serving HTTP from a process that has other work: it keeps its signals, and an address that is taken is an error."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Iterator
from typing import Any

from syncline.errors import ConfigError, SynclineError

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:  # pragma: no cover
    raise ConfigError("serving HTTP needs uvicorn", hint="pip install 'syncline[web]'") from error

CONNECTION_SECONDS = 5.0
AT_ONCE = 16
"""Connections; who comes beyond them is sent away, so that nobody can use up the process's files."""
WAITING = 128
"""Connections that may wait until the server runs: the address is told before."""


class Server(uvicorn.Server):
    """A server that leaves signals to the process; set ``should_exit`` to end it.

    Args:
        app: the ASGI application.
        seconds: how long requests under way are waited for at the end.
        options: see ``uvicorn.Config``.

    """

    def __init__(self, app: Any, *, seconds: int, **options: Any) -> None:
        fixed: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "server_header": False}
        super().__init__(uvicorn.Config(app, timeout_graceful_shutdown=seconds, **fixed, **options))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them as they are."""
        yield


class BriefProtocol(H11Protocol):
    """Sends away who comes beyond ``AT_ONCE``, and ends each connection after ``CONNECTION_SECONDS``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take it in, or send it away."""
        super().connection_made(transport)
        self._end = asyncio.get_running_loop().call_later(CONNECTION_SECONDS, transport.close)
        if len(self.connections) > AT_ONCE:
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._end.cancel()
        super().connection_lost(exc)


@contextlib.contextmanager
def listening(host: str, port: int, *, option: str) -> Iterator[list[socket.socket]]:
    """Listen at every address that a host has, all with one port, during a block; ``port`` 0: any free one.

    Raises:
        SynclineError: it cannot be had; ``option`` chooses another port.

    """
    sockets: list[socket.socket] = []
    try:
        for family, address in _addresses(host, port):
            chosen = sockets[0].getsockname()[1] if sockets else port
            sockets += _bound(family, (address[0], chosen, *address[2:]))
        if not sockets:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        _close(sockets)
        raise SynclineError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            hint=f"choose another {option}, or 0 for any free one",
        ) from error
    try:
        yield sockets
    finally:
        _close(sockets)


def _addresses(host: str, port: int) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise SynclineError(f"cannot listen at {host}: {error.strerror}", hint="choose another host") from error
    return list(dict.fromkeys((family, address) for family, _, _, _, address in found))


def _bound(family: int, address: Any) -> list[socket.socket]:
    """Bind one; none where the machine has no such address: a name may stand for more than it has (``::1``)."""
    try:
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        return []
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(WAITING)
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRNOTAVAIL:
            return []
        raise
    return [made]


def _close(sockets: list[socket.socket]) -> None:
    for one in sockets:
        one.close()
