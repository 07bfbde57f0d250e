"""Routes for operators: sync now; resync everything, follow it, cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Path
from fastapi.responses import JSONResponse, Response, StreamingResponse

from syncline.errors import SynclineError
from syncline.insight import reach
from syncline.journal import resync
from syncline.journal.resync import Resync
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import on_cockroach
from syncline.postgres.sql import ours
from syncline.web.auth import AdminCredential, require_admin
from syncline.web.problems import Problem, ProblemRoute, problem_of
from syncline.web.shapes import GUARDED, ResyncShape, Triggered, problems
from syncline.web.source import SourceCalls
from syncline.wiring.sides import require_right_side_of

LOOK_SECONDS = 0.5
"""Between two looks at a resync that somebody follows."""
SILENCE_SECONDS = 15.0
"""After so long without news a comment is sent, so that nothing on the way takes the stream for dead."""

_UNBUFFERED = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_MISSING = problems(_404="there is no such resync")


Number = Annotated[int, Path(description="the resync's id", ge=1, le=2**63 - 1)]


class EventStream(StreamingResponse):
    """Server-sent events."""

    media_type = "text/event-stream"


def admin_router(calls: SourceCalls, credential: AdminCredential) -> APIRouter:
    """Make ``POST /api/admin/sync/trigger``."""
    router = APIRouter(
        prefix="/api/admin",
        tags=["admin"],
        route_class=ProblemRoute,
        dependencies=[Depends(require_admin(credential))],
        responses=GUARDED,
    )

    @router.post("/sync/trigger", status_code=202, response_model=Triggered, summary="Sync now")
    async def trigger() -> Any:
        """Wake the workers: they look at once instead of at their next poll. It never waits for the target."""
        return await calls.run(_trigger)

    return router


def backup_router(calls: SourceCalls, credential: AdminCredential) -> APIRouter:
    """Make ``POST /api/backup/full`` and what follows a resync."""
    router = APIRouter(
        prefix="/api/backup",
        tags=["admin"],
        route_class=ProblemRoute,
        dependencies=[Depends(require_admin(credential))],
        responses=GUARDED,
    )

    @router.post(
        "/full",
        status_code=202,
        response_model=ResyncShape,
        responses=problems(_409="the link's way back serves: it would be written over"),
        summary="Start a full resync",
    )
    async def full(response: Response) -> Any:
        """Mark every record again and remove documents that no record has. Safe at any time, beside traffic.

        While one is under way it is given instead of a second one.
        """
        await require_right_side_of(calls.settings, (), "a resync")
        found = await calls.run(resync.start)
        response.headers["Location"] = f"/api/backup/{found.id}"
        return _body(found)

    @router.get("/{number}", response_model=ResyncShape, responses=_MISSING, summary="How far is a resync?")
    async def progress(number: Number) -> Any:
        """Tell how much is marked, and what is left."""
        return _body(_found(await calls.run(lambda connection: resync.look(connection, number)), number))

    @router.get(
        "/{number}/events",
        response_class=EventStream,
        responses=_MISSING | {200: {"content": {"text/event-stream": {}}, "description": "server-sent events"}},
        summary="Follow a resync",
    )
    async def events(number: Number) -> Any:
        """Send an event ``progress`` with the resync at each change, and ``end`` with its last state."""
        _found(await calls.run(lambda connection: resync.look(connection, number)), number)
        return EventStream(_follow(calls, number), headers=_UNBUFFERED)

    @router.delete(
        "/{number}",
        response_model=ResyncShape,
        responses=problems(_404="there is no such resync", _409="it is over already"),
        summary="Cancel a resync",
    )
    async def cancel(number: Number) -> Any:
        """Drop what is left of it. What is marked already is still written."""
        found = _found(await calls.run(lambda connection: resync.cancel(connection, number)), number)
        if found.state is resync.ResyncState.FINISHED:
            raise Problem(409, f"the resync {number} is finished: there is nothing to cancel")
        return JSONResponse(_body(found))

    return router


async def _trigger(connection: Connection) -> dict[str, int]:
    if not on_cockroach(connection):  # it has no NOTIFY: its workers poll
        await reach.query(connection, ours("/* syncline */ NOTIFY syncline"))
    measures = await reach.one(connection, "measures")
    workers = [one for one in await reach.rows(connection, "workers") if one["alive"]]
    return {"queueSize": measures["queue_size"], "workers": len(workers)}


async def _follow(calls: SourceCalls, id_: int) -> AsyncIterator[bytes]:
    yield b"retry: 2000\n\n"
    sent, silent = b"", 0.0
    while True:
        over = False
        try:
            found = await calls.run(lambda connection: resync.look(connection, id_))
        except SynclineError as error:
            data = _event("problem", problem_of(error).body())
        else:
            over = found is None or found.state.is_over
            data = _event("end" if over else "progress", _body(found) if found else {"id": str(id_)})
        if data != sent or over:
            sent, silent = data, 0.0
            yield data
        elif silent >= SILENCE_SECONDS:
            silent = 0.0
            yield b": nothing new\n\n"
        if over:
            return
        await asyncio.sleep(LOOK_SECONDS)
        silent += LOOK_SECONDS


def _event(name: str, data: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(data) + b"\n\n"


def _found(found: Resync | None, id_: int) -> Resync:
    if found is None:
        raise Problem(404, f"there is no resync {id_}")
    return found


def _body(found: Resync) -> dict[str, Any]:
    return ResyncShape.model_validate(found, from_attributes=True).model_dump(mode="json", by_alias=True)
