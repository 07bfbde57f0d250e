"""The page as an application to serve or to mount: its routes, its guard, its headers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from html import escape

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from syncline.config import Settings
from syncline.config.urls import database_of, host_of
from syncline.errors import SourceUnavailableError, SynclineError
from syncline.insight.health import DEADLINE
from syncline.model.json_names import camelled
from syncline.model.thresholds import Thresholds
from syncline.web.auth import AdminCredential
from syncline.web.page.guard import Guard, Handler, read_body, template
from syncline.web.page.headers import WithHeaders
from syncline.web.page.history import History
from syncline.web.page.jobs import Jobs
from syncline.web.page.moves import Moves
from syncline.web.page.records import ACTIONS, MOST, Records
from syncline.web.page.runbook import OTHER_ALERTS, anchor, runbook
from syncline.web.page.session import Session
from syncline.web.page.watch import PAUSE_SECONDS, Watch
from syncline.web.problems import Problem, problem_of
from syncline.wiring import make_health, opened_target

LONGEST_KEY = 8000
STREAM_SECONDS = 600.0
"""A stream ends after so long; the browser asks for a new one, which renews its session."""


class OperationsPage:
    """The operations page as an ASGI application.

        page = OperationsPage(settings, AdminCredential.from_environment())
        app.mount("/ops", page)

    It begins to watch when it is first asked for. To have the hour before that, run it with the application:
    ``async with page.running(): ...`` in its lifespan.

    Args:
        settings: which databases and entities.
        credential: lets people in; while it is not set nobody gets in.
        thresholds: the bounds in force.
        values: gives further measures to judge, such as ``api_p95_ms``.
        pause: seconds between two looks at the databases.
        deadline: limit for a look.
        moves: reads the moves of named databases, as ``split status --json`` has them.

    """

    def __init__(
        self,
        settings: Settings,
        credential: AdminCredential,
        *,
        thresholds: Thresholds | None = None,
        values: Callable[[], Mapping[str, float]] = dict,
        pause: float = PAUSE_SECONDS,
        deadline: timedelta = DEADLINE,
        moves: Moves | None = None,
    ) -> None:
        health = make_health(settings, deadline=deadline, thresholds=thresholds, values=values)
        self._jobs = Jobs(settings, self._look)
        self.watch = Watch(
            health,
            settings.source,
            thresholds=thresholds,
            pause=pause,
            deadline=deadline,
            moves=moves,
            also=lambda: {"jobs": self._jobs.as_list(), "addresses": addresses(settings)},
        )
        self._records = Records(settings, lambda: opened_target(settings))
        self._guard = Guard(credential)
        self._page = template("page.html")
        self._link = f" of link {settings.link.name}" if settings.link.name else ""
        self._runbook_page = runbook()
        self._app = WithHeaders(Starlette(routes=self._routes()))

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

    async def _look(self) -> None:
        await self.watch.soon()

    def _routes(self) -> list[Route | Mount]:
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
            Route("/notices/resolve", guard.posts(told(self._resolve)), methods=["POST"]),
            Route("/parked", guard.reads(told(self._parked))),
            Route("/parked/{record:int}", guard.reads(told(self._record))),
            Route("/parked/{action}", guard.posts(told(self._act)), methods=["POST"]),
        ]

    async def _show(self, _: Request, session: Session) -> Response:
        token = escape(self._guard.sessions.form_token(session))
        return HTMLResponse(self._page.substitute(token=token, link=self._link))

    async def _state(self, _: Request, __: Session) -> Response:
        state = await self.watch.current()
        return Response(b'{"state":' + state + b',"history":' + self._history() + b"}", media_type="application/json")

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

    async def _parked(self, request: Request, _: Session) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise Problem(422, "after is the id of a parked record")
        return JSONResponse({"rows": camelled(await self._records.page(int(after)))})

    async def _record(self, request: Request, _: Session) -> Response:
        record: int = request.path_params["record"]
        found = await self._records.one(record) if record < 2**63 else None
        if found is None:
            raise Problem(404, "this record is not parked (any more)")
        return Response(orjson.dumps(camelled(found), default=str), media_type="application/json")

    async def _explain(self, request: Request, _: Session) -> Response:
        entity, key = (request.query_params.get(name, "") for name in ("entity", "key"))
        if not entity or not key or len(key) > LONGEST_KEY:
            raise Problem(422, "an entity and a key are needed")
        found = camelled(await self._records.explain(entity, key))
        return Response(orjson.dumps(found, default=str), media_type="application/json")

    async def _ask(self, request: Request, _: Session) -> Response:
        body = await read_body(request)
        job = await self._jobs.ask(request.path_params["action"], _text(body, "entity"), _who(request))
        return JSONResponse(job.as_dict(), 202)

    async def _resolve(self, request: Request, _: Session) -> Response:
        closed = await self._records.resolve(_ids(await read_body(request)), _who(request))
        await self.watch.soon()
        return JSONResponse({"resolved": closed})

    async def _runbook(self, request: Request, _: Session) -> Response:
        alert = request.query_params.get("for")
        if alert is None:
            return HTMLResponse(self._runbook_page)
        place = anchor(alert)
        known = f' id="{place}"' in self._runbook_page
        return RedirectResponse(f"runbook#{place if known else OTHER_ALERTS}", 303)

    async def _act(self, request: Request, _: Session) -> Response:
        action = request.path_params["action"]
        if action not in ACTIONS:
            raise Problem(404, "parked records can be retried or discarded")
        done = await self._records.act(action, _ids(await read_body(request)), _who(request))
        await self.watch.soon()
        return JSONResponse({"records": done})


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


def addresses(settings: Settings) -> list[str]:
    """Say where the source and the target are: host and database, never a password."""
    source, target = settings.source.url, settings.target
    return [
        f"{host_of(source)}, database {database_of(source) or 'of the role'}",
        f"{host_of(target.url)}, database {target.database}",
    ]


def _who(request: Request) -> str:
    return f"{request.client.host if request.client else 'somebody'} (operations page)"


def _text(body: bytes, name: str) -> str:
    try:
        value = orjson.loads(body)[name]
    except (ValueError, KeyError, TypeError):
        value = None
    if not isinstance(value, str) or not value:
        raise Problem(422, f"send the {name}")
    return value


def _ids(body: bytes) -> list[int]:
    try:
        ids = orjson.loads(body)["ids"]
    except (ValueError, KeyError, TypeError):
        ids = None
    if not isinstance(ids, list) or not 0 < len(ids) <= MOST:
        raise Problem(422, f"send the ids of 1 to {MOST} parked records")
    if not all(type(one) is int and 0 < one < 2**63 for one in ids):
        raise Problem(422, "an id is a positive integer")
    return ids
