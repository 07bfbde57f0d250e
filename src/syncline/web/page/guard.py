"""Who may see and do what: a form to log in, a cookie to stay so, a token against other sites' forms."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from html import escape
from importlib.resources import files
from string import Template
from urllib.parse import parse_qs, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from syncline.web.auth import VARIABLE, AdminCredential
from syncline.web.page.session import Session, Sessions
from syncline.web.problems import Problem

COOKIE = "syncline_session"
TOKEN_HEADER = "X-Syncline-Form"  # noqa: S105  a name
BODY_BYTES = 64 * 1024
WRONG_SECONDS = 0.3
"""How long a wrong credential waits for its answer."""

Handler = Callable[[Request, Session], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


class Guard:
    """Wraps the page's routes.

    Args:
        credential: what opens a session. Processes with the same one accept each other's sessions.

    """

    def __init__(self, credential: AdminCredential) -> None:
        self.sessions = Sessions(credential.key("operations page"))
        self._credential = credential
        self._form = template("login.html")

    # -- routes for those who are logged in

    def people(self, handle: Handler) -> Endpoint:
        """Guard a page: who is not logged in is sent to the form."""

        async def handled(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return RedirectResponse(_base(request) + "login", 303)
            return self._renewed(request, await handle(request, session), session)

        return handled

    def reads(self, handle: Handler) -> Endpoint:
        """Guard what the page's script reads."""

        async def handled(request: Request) -> Response:
            session = self._session(request)
            if session is None:
                return Problem(401, "this session is over", hint="log in again").response()
            return self._renewed(request, await handle(request, session), session)

        return handled

    def posts(self, handle: Handler) -> Endpoint:
        """Guard what changes something: it must come from our own page."""

        async def checked(request: Request, session: Session) -> Response:
            if not same_site(request) or not self.sessions.accepts(session, request.headers.get(TOKEN_HEADER)):
                return Problem(403, "this did not come from the operations page", hint="load the page again").response()
            return await handle(request, session)

        return self.reads(checked)

    # -- in and out

    async def login_form(self, request: Request) -> Response:
        """Show the form."""
        if self._session(request) is not None:
            return RedirectResponse(_base(request), 303)
        if not self._credential.is_set:
            return self._answer(f"Nobody can log in: no admin credential is set. Set {VARIABLE} and restart.", 403)
        return self._answer("")

    async def log_in(self, request: Request) -> Response:
        """Take the form; on success set the cookie."""
        if not same_site(request):
            return self._answer("This form did not come from this page. Try again.", 403)
        try:
            fields = parse_qs((await read_body(request)).decode("utf-8", "replace"))
        except Problem as problem:
            return self._answer(problem.detail, problem.status_code)
        if not self._credential.accepts(fields.get("credential", [""])[0].strip()):
            await asyncio.sleep(WRONG_SECONDS)
            return self._answer("This is not the admin credential.", 403)
        return self._renewed(request, RedirectResponse(_base(request), 303), self.sessions.begin())

    async def log_out(self, _: Request, session: Session) -> Response:
        """End the session here and now."""
        self.sessions.end(session)
        return Response(status_code=204)

    def _answer(self, problem: str, status: int = 200) -> Response:
        return HTMLResponse(self._form.substitute(problem=escape(problem)), status)

    # -- the cookie

    def _session(self, request: Request) -> Session | None:
        return self.sessions.read(request.cookies.get(COOKIE)) if self._credential.is_set else None

    def _renewed(self, request: Request, response: Response, session: Session) -> Response:
        """Renew the session's cookie, or take it away when it was ended."""
        path, secure = _base(request), request.url.scheme == "https"
        cookie = self.sessions.cookie(self.sessions.renewed(session))
        if self.sessions.read(cookie) is None:
            response.delete_cookie(COOKIE, path, httponly=True, samesite="strict", secure=secure)
        else:
            response.set_cookie(COOKIE, cookie, path=path, httponly=True, samesite="strict", secure=secure)
        return response


def same_site(request: Request) -> bool:
    """Whether a browser says that a request comes from our own page (or from the person: an address typed in)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.headers.get("host")
    except ValueError:  # no URL at all
        return False


async def read_body(request: Request) -> bytes:
    """Read a small body.

    Raises:
        Problem: it is too large, or did not come to its end.

    """
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES:
                raise Problem(413, "this is too large")
    except ClientDisconnect:
        raise Problem(400, "the request ended early") from None
    return body


def template(name: str) -> Template:
    """Read one of our pages."""
    return Template(files("syncline.web.page").joinpath(name).read_text("utf-8"))


def _base(request: Request) -> str:
    """Give the path at which the page is mounted, with a slash at its end."""
    root: str = request.scope.get("root_path", "")
    return f"{root.rstrip('/')}/"
