"""Accounts, profiles, the leaderboard, search."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy import schemas
from studybuddy.models import Login, Todo, User
from studybuddy.problems import Problem, documented, missing
from studybuddy.reads import HEADERS, Reading, Rows, selected
from studybuddy.routes.reports import ANALYTICS
from studybuddy.security import Caller
from studybuddy.services import Serving, Session, Tokens, commit
from syncline import Secondary

router = APIRouter(prefix="/api/users", tags=["users"])

LEADERBOARD = "leaderboard"
FRESH = timedelta(seconds=5)
MOST = 100
LAST = "\U0010ffff"
PUBLIC = {"username": 1, "totalPoints": 1, "avatar": 1}

Limit = Annotated[int, Query(ge=1, le=MOST)]


def profile_of(user_id: int) -> str:
    """Name the cache's entry of a profile."""
    return f"profile:{user_id}"


@router.post("", status_code=201, responses=documented(409, 422))
async def register(
    new: schemas.Registration, services: Serving, session: Session, tokens: Tokens
) -> schemas.Registered:
    """Open an account, with a first todo if there is one: one transaction, so both are there or neither."""
    user = User(
        email=new.email,
        username=new.username,
        password_hash=await services.passwords.hash(new.password.get_secret_value()),
        avatar=str(new.avatar) if new.avatar else None,
        show_profile=new.show_profile,
    )
    session.add(user)
    todo = None
    if new.first_todo is not None:
        await session.flush()  # the todo needs the user's number
        todo = Todo(user_id=user.id, **new.first_todo.model_dump())
        session.add(todo)
    await commit(session, tokens)
    opened = schemas.Registered.model_validate(user)
    opened.first_todo = schemas.Todo.model_validate(todo) if todo else None
    return opened


@router.get("/me", responses=documented(401))
async def own_profile(caller: Caller, session: Session) -> schemas.Own:
    """Give the caller's account, always from the primary."""
    return schemas.Own.model_validate(await _account(session, caller.id))


@router.patch("/me", responses=documented(401, 403, 409, 422))
async def change_profile(
    change: schemas.ProfileChange, caller: Caller, services: Serving, session: Session, tokens: Tokens
) -> schemas.Own:
    """Change the caller's account. A new password ends all other log-ins.

    What the cache has of it is removed, not only outdated: it must not be shown as an old answer when it is hidden now.
    """
    user = await _account(session, caller.id)
    if change.email is not None or change.password is not None:
        given = change.current_password.get_secret_value() if change.current_password else ""
        if not await services.passwords.right(given, user.password_hash):
            raise Problem(403, "currentPassword is needed to change email or password, and must be right")
    for name in change.model_fields_set & {"username", "email", "show_profile"}:
        if (value := getattr(change, name)) is not None:
            setattr(user, name, value)
    if "avatar" in change.model_fields_set:
        user.avatar = str(change.avatar) if change.avatar else None
    if change.password is not None:
        user.password_hash = await services.passwords.hash(change.password.get_secret_value())
        await session.execute(delete(Login).where(Login.user_id == caller.id, Login.id != caller.login))
    await commit(session, tokens)
    await services.cache.remove(profile_of(caller.id), LEADERBOARD, *([] if user.show_profile else [ANALYTICS]))
    return schemas.Own.model_validate(user)


@router.delete("/me", status_code=204, responses=documented(401))
async def close_account(caller: Caller, services: Serving, session: Session, tokens: Tokens) -> None:
    """Delete the caller's account and everything that belongs to it."""
    await session.execute(delete(User).where(User.id == caller.id))
    await commit(session, tokens)
    await services.cache.remove(profile_of(caller.id), LEADERBOARD, ANALYTICS)


@router.get("/leaderboard", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def leaderboard(_: Caller, reading: Reading, limit: Limit = 10) -> list[schemas.LeaderboardEntry]:
    """List those with the most points, of who shows their profile."""

    async def secondary(mongodb: Secondary) -> Rows:
        best = [("totalPoints", -1), ("usernameKey", 1)]
        return await mongodb.query("users", {"showProfile": True}, sort=best, limit=MOST, projection=PUBLIC)

    async def primary(session: AsyncSession) -> Rows:
        best = (User.total_points.desc(), User.username_key)
        return await selected(session, _public().where(User.show_profile).order_by(*best).limit(MOST))

    rows = await reading.cached(LEADERBOARD, secondary, primary, ttl=FRESH, tag=LEADERBOARD)
    return [schemas.LeaderboardEntry.model_validate(row) for row in rows[:limit]]


@router.get("/search", responses={200: {"headers": HEADERS}, **documented(400, 401, 422)})
async def search(
    _: Caller,
    reading: Reading,
    q: Annotated[str, Query(pattern=r"^[A-Za-z0-9._-]{1,30}$", description="Begin of a username.", examples=["an"])],
    limit: Limit = 20,
) -> list[schemas.Profile]:
    """Find users by the begin of their name, of who shows their profile."""
    begin = q.lower()

    async def secondary(mongodb: Secondary) -> Rows:
        named = {"usernameKey": {"$gte": begin, "$lt": begin + LAST}, "showProfile": True}
        return await mongodb.query("users", named, sort=[("usernameKey", 1)], limit=limit, projection=PUBLIC)

    async def primary(session: AsyncSession) -> Rows:
        named = (User.username_key >= begin, User.username_key < begin + LAST, User.show_profile)
        return await selected(session, _public().where(*named).order_by(User.username_key).limit(limit))

    return [schemas.Profile.model_validate(row) for row in await reading.rows(secondary, primary)]


@router.get("/{user_id}", responses={200: {"headers": HEADERS}, **documented(400, 401, 404, 422)})
async def profile(
    user_id: Annotated[int, Path(ge=1, le=schemas.MAX_ID)], caller: Caller, reading: Reading
) -> schemas.Profile:
    """Give what others may see of a user; nothing, where the user does not show it."""

    async def secondary(mongodb: Secondary) -> Rows:
        return await mongodb.query("users", {"_id": user_id}, projection={**PUBLIC, "showProfile": 1})

    async def primary(session: AsyncSession) -> Rows:
        return await selected(session, _public().add_columns(User.show_profile).where(User.id == user_id))

    tag = profile_of(user_id)
    rows = await reading.cached(tag, secondary, primary, ttl=FRESH, tag=tag)
    if not rows or not (user_id == caller.id or rows[0].get("showProfile", rows[0].get("show_profile"))):
        raise missing("user")
    return schemas.Profile.model_validate(rows[0])


async def award(session: AsyncSession, user_id: int, points: int) -> None:
    """Add points to a user, in the session's transaction."""
    await session.execute(update(User).where(User.id == user_id).values(total_points=User.total_points + points))


async def _account(session: AsyncSession, user_id: int) -> User:
    user = await session.get(User, user_id)
    if user is None:
        raise missing("user")
    return user


def _public() -> Any:
    return select(User.id, User.username, User.total_points, User.avatar)
