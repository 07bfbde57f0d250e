"""The study timer."""

from __future__ import annotations

from fastapi import APIRouter
from sqlalchemy import cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.models import MOMENT, StudySession
from studybuddy.paging import Before, Limit, PathId, page_of
from studybuddy.problems import Problem, documented, missing
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.security import Caller
from studybuddy.services import Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/sessions", tags=["sessions"])


@router.post("", status_code=201, responses=documented(401, 409, 422))
async def start(new: schemas.NewSession, caller: Caller, session: Session, tokens: Tokens) -> schemas.StudySession:
    """Start the timer; one can run."""
    timer = StudySession(user_id=caller.id, subject=new.subject)
    session.add(timer)
    await commit(session, tokens)
    return schemas.StudySession.model_validate(timer)


@router.post("/{session_id}/stop", responses=documented(401, 404, 409, 422))
async def stop(session_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> schemas.StudySession:
    """Stop the timer."""
    timer = await session.get(StudySession, session_id, with_for_update=True)
    if timer is None or timer.user_id != caller.id:
        raise missing("session")
    if timer.ended is not None:
        raise Problem(409, "it is stopped already")
    timer.ended = await session.scalar(select(cast(func.now(), MOMENT)))
    await commit(session, tokens)
    return schemas.StudySession.model_validate(timer)


@router.get("", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def list_own(
    caller: Caller, reading: Reading, before: Before = None, limit: Limit = 50
) -> schemas.Page[schemas.StudySession]:
    """List the caller's own, newest first."""

    async def secondary(mongodb: Secondary) -> Rows:
        where = {"userId": caller.id, **({"_id": {"$lt": before}} if before else {})}
        return await mongodb.query("sessions", where, sort=[("_id", -1)], limit=limit + 1)

    async def primary(session: AsyncSession) -> Rows:
        own = select(*StudySession.__table__.columns).where(StudySession.user_id == caller.id)
        older = own.where(StudySession.id < (before or schemas.MAX_ID))
        return await selected(session, older.order_by(StudySession.id.desc()).limit(limit + 1))

    return page_of(schemas.StudySession, await reading.rows(secondary, primary), limit)
