"""Daily reports, and what they sum up to: an aggregation over all of them, which only MongoDB is asked for."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Numeric, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.models import Report, User
from studybuddy.paging import Before, Limit, page_of
from studybuddy.problems import documented
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.security import Caller
from studybuddy.services import Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/reports", tags=["reports"])

ANALYTICS = "analytics"
FRESH = dt.timedelta(seconds=30)
AHEAD = dt.timedelta(seconds=15)
PATIENCE = dt.timedelta(seconds=10)
MOST = 1000

SUMS: dict[str, Any] = {
    "_id": "$userId",
    "reports": {"$sum": 1},
    "totalHours": {"$sum": "$studyHours"},
    "avgCompletion": {"$avg": "$completionPct"},
}
OWNER: dict[str, Any] = {"from": "users", "localField": "_id", "foreignField": "_id", "as": "user"}
SHAPE: dict[str, Any] = {
    "_id": 0,
    "userId": "$_id",
    "username": {"$first": "$user.username"},
    "reports": 1,
    "totalHours": {"$round": ["$totalHours", 2]},
    "avgCompletion": {"$round": ["$avgCompletion", 2]},
}


@router.post("", status_code=201, responses=documented(401, 409, 422))
async def create(new: schemas.NewReport, caller: Caller, session: Session, tokens: Tokens) -> schemas.Report:
    """Report a day; one report for each."""
    report = Report(user_id=caller.id, **new.model_dump())
    session.add(report)
    await commit(session, tokens)
    return schemas.Report.model_validate(report)


@router.get("", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def list_own(
    caller: Caller, reading: Reading, before: Before = None, limit: Limit = 50
) -> schemas.Page[schemas.Report]:
    """List the caller's own, the one written last first."""

    async def secondary(mongodb: Secondary) -> Rows:
        where = {"userId": caller.id, **({"_id": {"$lt": before}} if before else {})}
        return await mongodb.query("reports", where, sort=[("_id", -1)], limit=limit + 1)

    async def primary(session: AsyncSession) -> Rows:
        own = select(*Report.__table__.columns).where(Report.user_id == caller.id).order_by(Report.id.desc())
        return await selected(session, own.where(Report.id < (before or schemas.MAX_ID)).limit(limit + 1))

    return page_of(schemas.Report, await reading.rows(secondary, primary), limit)


@router.get("/analytics", responses={200: {"headers": HEADERS}, **documented(400, 401, 422, 503)})
async def analytics(
    caller: Caller,
    reading: Reading,
    mine: Annotated[bool, Query(description="Only the caller's own figures.")] = False,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> list[schemas.Analytics]:
    """Sum up hours and average completion for each user who shows their profile, most hours first.

    The figures of all users are heavy work: they come from MongoDB, may be half a minute old, and are marked stale or
    missing (503) while MongoDB is away. The caller's own (`mine`) are to be had at any time.
    """
    if mine:
        rows = await _own_figures(reading, caller.id)
    else:
        stages: list[dict[str, Any]] = [
            {"$group": SUMS},
            {"$sort": {"totalHours": -1, "_id": 1}},
            {"$lookup": OWNER},
            {"$match": {"user.showProfile": True}},
            {"$limit": MOST},
            {"$project": SHAPE},
        ]

        async def secondary(mongodb: Secondary) -> Rows:
            return await mongodb.aggregate("reports", stages, timeout=PATIENCE)

        rows = await reading.cached(ANALYTICS, secondary, ttl=FRESH, tag=ANALYTICS, ahead=AHEAD)
    return [schemas.Analytics.model_validate(row) for row in rows[:limit]]


async def _own_figures(reading: Reading, user_id: int) -> Rows:
    stages = [{"$match": {"userId": user_id}}, {"$group": SUMS}, {"$lookup": OWNER}, {"$project": SHAPE}]

    async def secondary(mongodb: Secondary) -> Rows:
        return await mongodb.aggregate("reports", stages)

    async def primary(session: AsyncSession) -> Rows:
        sums = select(
            Report.user_id,
            User.username,
            func.count().label("reports"),
            func.round(_exact(func.sum(Report.study_hours)), 2).label("total_hours"),
            func.round(_exact(func.avg(Report.completion_pct)), 2).label("avg_completion"),
        )
        own = sums.join(User, User.id == Report.user_id).where(Report.user_id == user_id)
        return await selected(session, own.group_by(Report.user_id, User.username))

    return await reading.rows(secondary, primary)


def _exact(value: Any) -> Any:
    return cast(value, Numeric)
