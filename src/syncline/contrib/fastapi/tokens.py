"""Read-your-writes in FastAPI: the token goes out in a header and comes back in one; a helper says if it is synced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fastapi import Request, Response

from syncline.errors import TokenError
from syncline.tokens.freshness import Freshness
from syncline.tokens.token import INFO, merge, parse
from syncline.web.problems import Problem

HEADER = "Syncline-Token"


class HasInfo(Protocol):
    """A SQLAlchemy session, sync or async."""

    @property
    def info(self) -> dict[Any, Any]:
        """Its own notes."""
        ...


class Fresh:
    """What a route needs for read-your-writes: a dependency, made by ``Syncline.fresh``.

    @app.post("/api/todos")
    async def create(body: NewTodo, session: Session, fresh: Annotated[Fresh, Depends(syncline.fresh)]):
        ...
        await session.commit()
        fresh.wrote(session)                       # the response carries Syncline-Token

    @app.get("/api/todos")
    async def todos(fresh: Annotated[Fresh, Depends(syncline.fresh)]):
        if await fresh.synced(timeout=0.2):
            ...                                    # MongoDB has what this client wrote
    """

    def __init__(
        self, request: Request, response: Response, freshness: Freshness, told: Callable[[str], None] = lambda _: None
    ) -> None:
        """Take the request's token.

        Raises:
            Problem: 400, the header is not a token.

        """
        self._response = response
        self._freshness = freshness
        self._told = told
        self.token: str | None = request.headers.get(HEADER) or None
        """What the client wants to see; ``None``: nothing in particular."""
        try:
            parse(self.token or "")
        except TokenError as error:
            told("bad")
            raise Problem(400, f"the header {HEADER} is not a token: {error.message}", hint=error.hint) from None

    def wrote(self, *sessions: HasInfo) -> str | None:
        """Hand out the token of what these sessions committed, together with what the client wanted to see before.

        Where that is too much for one token, what it wrote just now counts.
        """
        new = [session.info.get(INFO) for session in sessions]
        try:
            self.token = merge(self.token, *new)
        except TokenError:
            self.token = merge(*new)
        if self.token is not None:
            self._response.headers[HEADER] = self.token
        return self.token

    async def synced(self, timeout: float = 0.2) -> bool:  # noqa: ASYNC109  it is the answer
        """Tell within ``timeout`` seconds whether MongoDB has what the client wrote; without a token it has.

        ``False``: read from the primary, or answer stale and say so.
        """
        if self.token is None:
            return True
        found = await self._freshness.synced(self.token, timeout)
        self._told("synced" if found else "not_synced")
        return found
