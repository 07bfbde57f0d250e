"""Friendships: asked for, accepted, removed. Small and critical: always read from the primary."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.correlation import tell
from studybuddy.models import Friendship
from studybuddy.paging import PathId
from studybuddy.problems import Problem, documented, missing
from studybuddy.security import Caller
from studybuddy.services import Session, Tokens, commit

router = APIRouter(prefix="/api/friendships", tags=["friendships"])


@router.post("", status_code=201, responses=documented(401, 404, 409, 422))
async def request(new: schemas.NewFriendship, caller: Caller, session: Session, tokens: Tokens) -> schemas.Friendship:
    """Ask somebody."""
    if new.addressee_id == caller.id:
        raise Problem(422, "nobody is asked to be their own friend")
    friendship = Friendship(requester_id=caller.id, addressee_id=new.addressee_id)
    session.add(friendship)
    await commit(session, tokens)
    return schemas.Friendship.model_validate(friendship)


@router.get("", responses=documented(401, 422))
async def list_own(
    caller: Caller,
    session: Session,
    state: Literal["pending", "accepted"] | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[schemas.Friendship]:
    """List the caller's friendships and requests, sent and received."""
    own = or_(Friendship.requester_id == caller.id, Friendship.addressee_id == caller.id)
    chosen = select(Friendship).where(own, *([Friendship.state == state] if state else []))
    found = await session.scalars(chosen.order_by(Friendship.id.desc()).limit(limit))
    return [schemas.Friendship.model_validate(one) for one in found]


@router.post("/{friendship_id}/accept", responses=documented(401, 403, 404, 409, 422))
async def accept(friendship_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> schemas.Friendship:
    """Accept a request; only who was asked can."""
    friendship = await _own(session, friendship_id, caller.id)
    if friendship.addressee_id != caller.id:
        raise Problem(403, "only who was asked can accept")
    if friendship.state != "pending":
        raise Problem(409, "it is accepted already")
    friendship.state = "accepted"
    await tell(session, "friendship.accepted", friendship.id, {"userId": caller.id})
    await commit(session, tokens)
    return schemas.Friendship.model_validate(friendship)


@router.delete("/{friendship_id}", status_code=204, responses=documented(401, 404, 422))
async def remove(friendship_id: PathId, caller: Caller, session: Session, tokens: Tokens) -> None:
    """End a friendship, take a request back or turn it down; both can."""
    await session.delete(await _own(session, friendship_id, caller.id))
    await commit(session, tokens)


async def _own(session: AsyncSession, friendship_id: int, user_id: int) -> Friendship:
    friendship = await session.get(Friendship, friendship_id, with_for_update=True)
    if friendship is None or user_id not in (friendship.requester_id, friendship.addressee_id):
        raise missing("friendship")
    return friendship
