"""The operations pages of several links under one address: one a link, at its name, and a list of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Receive, Scope, Send

from syncline.config import Settings
from syncline.web.auth import AdminCredential
from syncline.web.page.guard import template
from syncline.web.page.headers import WithHeaders
from syncline.web.page.moves import Moves
from syncline.web.page.page import OperationsPage

NAMELESS = "_"
"""Where the page of the link without a name is; no other link can be called so."""


class Pages:
    """The pages as an ASGI application; each asks for the credential by itself.

    Args:
        links: the settings of each link.
        credential: lets people in.
        moves: reads the moves of named databases.

    """

    def __init__(self, links: Sequence[Settings], credential: AdminCredential, *, moves: Moves | None = None) -> None:
        self._pages = {one.link.name or NAMELESS: OperationsPage(one, credential, moves=moves) for one in links}
        self._links = template("links.html")
        mounts = [Mount(f"/{name}", page) for name, page in self._pages.items()]
        self._app = WithHeaders(Starlette(routes=[Route("/", self._list), *mounts]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        await self._app(scope, receive, send)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch every link for as long as the block runs."""
        async with contextlib.AsyncExitStack() as stack:
            for page in self._pages.values():
                await stack.enter_async_context(page.running())
            yield

    async def end_streams(self) -> None:
        """Let go of everybody who listens, so that the server can stop."""
        await asyncio.gather(*(page.end_streams() for page in self._pages.values()))

    async def _list(self, _: Request) -> Response:
        items = "".join(f'<li><a href="{name}/">{name}</a></li>' for name in self._pages)
        static = f"{next(iter(self._pages))}/static"  # each page has it, and no link's name is taken for it
        return HTMLResponse(self._links.substitute(links=items, static=static))
