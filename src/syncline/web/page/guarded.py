"""A page of a link as an application: what is the same whatever its source is. Routes, guard, headers, streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from syncline.errors import SourceUnavailableError, SynclineError
from syncline.model.json_names import camelled
from syncline.web.auth import AdminCredential
from syncline.web.page.guard import Guard, Handler, read_body, template
from syncline.web.page.headers import WithHeaders
from syncline.web.page.history import History
from syncline.web.page.jobs import Jobs
from syncline.web.page.runbook import OTHER_ALERTS, anchor, runbook
from syncline.web.page.session import Session
from syncline.web.page.watch import Watch
from syncline.web.problems import Problem, problem_of

LONGEST_KEY = 8000
JSON = "application/json"
STREAM_SECONDS = 600.0
"""A stream ends after so long; the browser asks for a new one, which renews its session."""


class GuardedPage:
    """A page that watches, and does what it is asked for.

    Args:
        credential: lets people in; while it is not set nobody gets in.
        watch: looks at the databases.
        jobs: what can be asked for.
        link: which link it is, for the title.

    """

    def __init__(self, credential: AdminCredential, watch: Watch, jobs: Jobs, *, link: str = "") -> None:
        self.watch, self._jobs = watch, jobs
        self._guard = Guard(credential)
        self._page = template("page.html")
        self._link = link
        self._runbook_page = runbook()
        self._app = WithHeaders(Starlette(routes=[*self._shared_routes(), *self._routes(self._guard)]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as an ASGI application."""
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Watch for as long as the block runs."""
        self.watch.start()
        try:
            yield
        finally:
            await self.close()

    async def end_streams(self) -> None:
        """Let go of everybody who listens, so that the server can stop."""
        await self.watch.end_streams()

    async def close(self) -> None:
        """Stop to watch, and cancel what was asked for here."""
        await self._jobs.close()
        await self.watch.close()

    def _routes(self, guard: Guard) -> list[Route]:
        """Give the routes that depend on the source."""
        raise NotImplementedError

    def _shared_routes(self) -> list[Route | Mount]:
        guard = self._guard
        return [
            Mount("/static", StaticFiles(packages=[("syncline.web.page", "static")])),
            Route("/", guard.people(self._show)),
            Route("/login", guard.login_form),
            Route("/login", guard.log_in, methods=["POST"]),
            Route("/logout", guard.posts(guard.log_out), methods=["POST"]),
            Route("/state", guard.reads(told(self._state))),
            Route("/events", guard.reads(self._events)),
            Route("/runbook", guard.people(self._runbook)),
            Route("/explain", guard.reads(told(self._explain))),
            Route("/entities/{action}", guard.posts(told(self._ask)), methods=["POST"]),
        ]

    async def _show(self, _: Request, session: Session) -> Response:
        token = escape(self._guard.sessions.form_token(session))
        return HTMLResponse(self._page.substitute(token=token, link=self._link))

    async def _state(self, _: Request, __: Session) -> Response:
        state = await self.watch.current()
        return Response(b'{"state":' + state + b',"history":' + self._history() + b"}", media_type=JSON)

    async def _events(self, _: Request, __: Session) -> Response:
        async def stream() -> AsyncIterator[bytes]:
            yield b"retry: 2000\nevent: history\ndata: " + self._history() + b"\n\n"
            async for state in self.watch.states(STREAM_SECONDS):
                yield b"event: state\ndata: " + state + b"\n\n"

        return StreamingResponse(stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    def _history(self) -> bytes:
        history = self.watch.history
        return orjson.dumps(
            {"names": History.names, "span": history.span, "step": history.bucket, "points": history.points()}
        )

    async def _explain(self, request: Request, _: Session) -> Response:
        entity, key = (request.query_params.get(name, "") for name in ("entity", "key"))
        if not entity or not key or len(key) > LONGEST_KEY:
            raise Problem(422, "an entity and a key are needed")
        return Response(orjson.dumps(camelled(await self._explained(entity, key)), default=str), media_type=JSON)

    async def _explained(self, entity: str, key: str) -> dict[str, Any]:
        """Tell everything that is known of a record."""
        raise NotImplementedError

    async def _ask(self, request: Request, _: Session) -> Response:
        body = await read_body(request)
        job = await self._jobs.ask(request.path_params["action"], text(body, "entity"), who(request))
        return JSONResponse(job.as_dict(), 202)

    async def _runbook(self, request: Request, _: Session) -> Response:
        alert = request.query_params.get("for")
        if alert is None:
            return HTMLResponse(self._runbook_page)
        place = anchor(alert)
        known = f' id="{place}"' in self._runbook_page
        return RedirectResponse(f"runbook#{place if known else OTHER_ALERTS}", 303)


def told(handle: Handler) -> Handler:
    """Turn errors into problem details."""

    async def handled(request: Request, session: Session) -> Response:
        try:
            return await handle(request, session)
        except Problem as problem:
            return problem.response()
        except TimeoutError:
            return problem_of(SourceUnavailableError("there is no answer in time", hint="try again")).response()
        except SynclineError as error:
            return problem_of(error).response()

    return handled


def who(request: Request) -> str:
    return f"{request.client.host if request.client else 'somebody'} (operations page)"


def text(body: bytes, name: str) -> str:
    try:
        value = orjson.loads(body)[name]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, str) or not value:
        raise Problem(422, f"send the {name}")
    return value
