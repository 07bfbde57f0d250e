"""``syncline serve``."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
import signal
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from syncline.cli.common import ConfigOption, run, say, settings_from
from syncline.errors import ConfigError, SynclineError

if TYPE_CHECKING:
    from syncline.config import Settings

PORT = 8737
WAITING = 128
"""Connections that may wait until the server runs: the address is told before."""


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any free one.", min=0, max=65535)] = PORT,
    config: ConfigOption = None,
) -> None:
    """Serve the operations page until told to stop (SIGTERM, Ctrl-C).

    It asks for the admin credential, SYNCLINE_ADMIN_TOKEN. Without one, and on the loopback interface only, it makes
    one for this run and prints it.
    """
    from syncline.config import passwords
    from syncline.telemetry import logs

    settings = settings_from(config)
    logs.setup(settings.log, secrets=passwords(settings.source.url) | passwords(settings.target.url))
    run(_serve(settings, host, port))


async def _serve(settings: Settings, host: str, port: int) -> None:
    try:
        import uvicorn

        from syncline.web.auth import AdminCredential
        from syncline.web.page import OperationsPage
    except ImportError as error:
        raise ConfigError("the page needs FastAPI and uvicorn", hint="pip install 'syncline[web]'") from error

    credential = AdminCredential.from_environment()
    made = None if credential.is_set else _make_credential(host)
    page = OperationsPage(settings, credential if made is None else AdminCredential(made))

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await page.watch.end_streams()  # or it would wait for those who watch
            await super().shutdown(sockets)

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.handle_exit, number, None)
            yield

    options: dict[str, Any] = {"log_config": None, "access_log": False, "lifespan": "off", "server_header": False}
    server = Server(uvicorn.Config(page, timeout_graceful_shutdown=5, **options))
    listening = _listen(host, port)
    with listening:
        _announce(host, listening.getsockname()[1], made)
        async with page.running():
            await server.serve(sockets=[listening])


def _make_credential(host: str) -> str:
    if not _is_loopback(host):
        raise ConfigError(
            f"no admin credential is set, and {host} can be reached by others",
            hint="set SYNCLINE_ADMIN_TOKEN; make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'",
        )
    return secrets.token_urlsafe(24)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SynclineError(f"cannot listen at {host}: {error.strerror}", hint="choose another --host") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(WAITING)
    except OSError as error:
        listening.close()
        raise SynclineError(
            f"cannot listen at {host}, port {port}: {error.strerror}",
            hint="choose another --port, or 0 for any free one",
        ) from error
    return listening


def _announce(host: str, port: int, made: str | None) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    say(f"operations page: {address}", "bold")
    if made is None:
        say("log in with the value of SYNCLINE_ADMIN_TOKEN", "dim")
    else:
        say(f"log in with {made}")
        say(f"or open {address}login#{made}")
        say("made for this run; set SYNCLINE_ADMIN_TOKEN to keep one", "dim")
