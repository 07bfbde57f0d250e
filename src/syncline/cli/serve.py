"""``syncline serve``."""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.common import ConfigOption, every_link, run, say
from syncline.cli.documents.common import documents_from
from syncline.cli.watched_moves import Moves, opened_moves
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.config import Settings
    from syncline.config.documents import Documents
    from syncline.web.auth import AdminCredential
    from syncline.web.page import DocumentPage, OperationsPage
    from syncline.web.page.moves import Moves as ReadMoves
    from syncline.web.page.pages import Pages

    Page = DocumentPage | OperationsPage | Pages

PORT = 8737


def serve(
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen at; 0: any free one.", min=0, max=65535)] = PORT,
    config: ConfigOption = None,
) -> None:
    """Serve the operations page until stopped (SIGTERM, Ctrl-C).

    Of several links each has a page of its own, at its name. Each shows how the moves of named databases stand;
    where nothing but a move is declared, its links have the pages. Where the file declares collections it shows these:
    phases, what waits, what was rejected, verifications, shadow reads.

    It asks for the admin credential, SYNCLINE_ADMIN_TOKEN. Without one, and on the loopback interface only, it makes
    one for this run and prints it.
    """
    from syncline.config import passwords
    from syncline.telemetry import logs

    if documents := documents_from(config):
        logs.setup(documents.log, secrets=frozenset().union(*map(passwords, documents.urls)))
        run(_serve(lambda credential: _document_page(documents, credential), host, port))
        return
    with opened_moves(config) as moves:
        links = _links(config, moves)
        urls = [url for one in links for url in (one.source.url, one.target.url)]
        logs.setup(links[0].log, secrets=frozenset().union(*map(passwords, urls)))
        read, names = moves.read if moves.known else None, [one.link.name for one in links] if len(links) > 1 else ()
        run(_serve(lambda credential: _pages(links, credential, read), host, port, names))


def _links(config: Path | None, moves: Moves) -> Sequence[Settings]:
    """Give the links that are declared; where none is, those of the moves that have begun.

    Raises:
        ConfigError: there is neither.

    """
    try:
        return every_link(config, with_entities=False)
    except ConfigError:
        if found := moves.links():
            return found
        raise


def _document_page(documents: Documents, credential: AdminCredential) -> Page:
    from syncline.web.page import DocumentPage

    return DocumentPage(documents, credential)


def _pages(links: Sequence[Settings], credential: AdminCredential, moves: ReadMoves | None) -> Page:
    from syncline.web.page import OperationsPage
    from syncline.web.page.pages import Pages

    if len(links) == 1:
        return OperationsPage(links[0], credential, moves=moves)
    return Pages(links, credential, moves=moves)


async def _serve(make: Callable[[AdminCredential], Page], host: str, port: int, names: Sequence[str] = ()) -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "the page needs FastAPI, uvicorn and prometheus-client", hint="pip install 'syncline[web]'"
        ) from error
    from syncline.web.auth import AdminCredential
    from syncline.web.listening import Server, listening
    from syncline.web.page.pages import NAMELESS

    credential = AdminCredential.from_environment()
    made = None if credential.is_set else _make_credential(host)
    page = make(credential if made is None else AdminCredential(made))

    class PageServer(Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await page.end_streams()  # or it would wait for those who watch
            await super().shutdown(sockets)

    server = PageServer(page, seconds=5)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.handle_exit, number, None)
    with listening(host, port, option="--port") as sockets:
        _announce(host, sockets[0].getsockname()[1], made, [name or NAMELESS for name in names])
        async with page.running():
            await server.serve(sockets=sockets)


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


def _announce(host: str, port: int, made: str | None, names: Sequence[str]) -> None:
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}/"
    say(f"operations page: {address}", "bold")
    if made is None:
        say("log in with the value of SYNCLINE_ADMIN_TOKEN", "dim")
    else:
        say(f"log in with {made}")
        for place in [f"{name}/" for name in names] or [""]:
            say(f"or open {address}{place}login#{made}")
        say("made for this run; set SYNCLINE_ADMIN_TOKEN to keep one", "dim")
