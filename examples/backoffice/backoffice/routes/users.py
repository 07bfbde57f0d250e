"""People. Whoever may see them; administrators change them."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.audit import audit
from backoffice.models.people import LoginSession, PrimaryAudit, Role, User
from backoffice.paging import Before, Limit, PathId, page_of
from backoffice.permissions import Permission
from backoffice.problems import documented, missing
from backoffice.schemas import people as schemas
from backoffice.schemas.common import Page, changes
from backoffice.security import Admin, require_permission
from backoffice.services import Reads, Serving, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/users", tags=["users"])
may_read = [Depends(require_permission(Permission.USERS_READ))]


@router.get("", dependencies=may_read, responses=documented(401, 403, 422))
async def list_users(session: Reads, before: Before = None, limit: Limit = 50) -> Page[schemas.User]:
    """List people, newest first."""
    return await page_of(session, schemas.User, User, before, limit)


@router.get("/{user_id}", dependencies=may_read, responses=documented(401, 403, 404, 422))
async def get_user(user_id: PathId, session: Reads) -> schemas.User:
    """Give one."""
    return schemas.User.model_validate(await _user(session, user_id))


@router.post("", status_code=201, responses=documented(401, 403, 409, 422))
async def create_user(new: schemas.NewUser, caller: Admin, services: Serving, session: Session) -> schemas.User:
    """Add somebody."""
    hashed = await services.passwords.hash(new.password.get_secret_value())
    user = User(email=new.email, name=new.name, password_hash=hashed, role_id=new.role_id)
    session.add(user)
    await session.flush()
    audit(session, PrimaryAudit, caller, "user.created", user.id, email=user.email, roleId=user.role_id)
    await session.commit()
    return schemas.User.model_validate(user)


@router.patch("/{user_id}", responses=documented(401, 403, 404, 409, 422))
async def change_user(
    user_id: PathId, change: schemas.UserChange, caller: Admin, services: Serving, session: Session
) -> schemas.User:
    """Change somebody: name, role, password, or whether they may log in. It counts at once, in every process."""
    wanted: dict[str, Any] = changes(change)
    if password := wanted.pop("password", None):
        wanted["password_hash"] = await services.passwords.hash(password.get_secret_value())
    await _lock_administrators(session)
    user = await _user(session, user_id, lock=True)
    for name, value in wanted.items():
        setattr(user, name, value)
    if not user.active or "password_hash" in wanted:
        await session.execute(delete(LoginSession).where(LoginSession.user_id == user.id))
    await session.flush()
    await _see_an_administrator(session)
    told = {name: value for name, value in wanted.items() if name != "password_hash"}
    audit(session, PrimaryAudit, caller, "user.changed", user.id, **told, password="password_hash" in wanted)
    await session.commit()
    return schemas.User.model_validate(user)


async def _user(session: AsyncSession, user_id: int, *, lock: bool = False) -> User:
    user = await session.get(User, user_id, with_for_update=lock or None)
    if user is None:
        raise missing("user")
    return user


async def _lock_administrators(session: AsyncSession) -> None:
    """One change at a time: two at once could take the last two administrators away."""
    await session.scalars(select(Role.id).where(Role.admin).with_for_update())


async def _see_an_administrator(session: AsyncSession) -> None:
    left = select(User.id).join(Role, Role.id == User.role_id).where(Role.admin, User.active).limit(1)
    if await session.scalar(left) is None:
        raise Problem(409, "somebody must stay an administrator")
