"""The page of a link whose source is an SQL database, to serve or to mount."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from syncline.config import Settings
from syncline.config.urls import database_of, host_of
from syncline.insight.health import DEADLINE
from syncline.model.json_names import camelled
from syncline.model.thresholds import Thresholds
from syncline.web.auth import AdminCredential
from syncline.web.page.details import SourceDetails
from syncline.web.page.guard import Guard, read_body
from syncline.web.page.guarded import GuardedPage, told, who
from syncline.web.page.jobs import Jobs
from syncline.web.page.moves import Moves
from syncline.web.page.records import ACTIONS, MOST, Records
from syncline.web.page.session import Session
from syncline.web.page.table_works import TableWorks
from syncline.web.page.watch import PAUSE_SECONDS, Watch
from syncline.web.problems import Problem
from syncline.wiring.sides import make_health, opened_target


class OperationsPage(GuardedPage):
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
        entities = {one.name for one in settings.entities}
        jobs = Jobs(TableWorks(settings).by_name(), entities, self._look)
        watch = Watch(
            health,
            SourceDetails(settings.source, seconds=deadline.total_seconds()),
            thresholds=thresholds,
            pause=pause,
            deadline=deadline,
            moves=moves,
            also=lambda: {"jobs": jobs.as_list(), "addresses": addresses(settings)},
        )
        self._records = Records(settings, lambda: opened_target(settings))
        link = f" of link {settings.link.name}" if settings.link.name else ""
        super().__init__(credential, watch, jobs, link=link)

    async def _look(self) -> None:
        await self.watch.soon()

    def _routes(self, guard: Guard) -> list[Route]:
        return [
            Route("/notices/resolve", guard.posts(told(self._resolve)), methods=["POST"]),
            Route("/parked", guard.reads(told(self._parked))),
            Route("/parked/{record:int}", guard.reads(told(self._record))),
            Route("/parked/{action}", guard.posts(told(self._act)), methods=["POST"]),
        ]

    async def _explained(self, entity: str, key: str) -> dict[str, Any]:
        return await self._records.explain(entity, key)

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

    async def _resolve(self, request: Request, _: Session) -> Response:
        closed = await self._records.resolve(_ids(await read_body(request)), who(request))
        await self.watch.soon()
        return JSONResponse({"resolved": closed})

    async def _act(self, request: Request, _: Session) -> Response:
        action = request.path_params["action"]
        if action not in ACTIONS:
            raise Problem(404, "parked records can be retried or discarded")
        done = await self._records.act(action, _ids(await read_body(request)), who(request))
        await self.watch.soon()
        return JSONResponse({"records": done})


def addresses(settings: Settings) -> list[str]:
    """Say where the source and the target are: host and database, never a password."""
    source, target = settings.source.url, settings.target
    return [
        f"{host_of(source)}, database {database_of(source) or 'of the role'}",
        f"{host_of(target.url)}, database {target.database}",
    ]


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
