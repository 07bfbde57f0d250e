"""Logging in and out, one's own account and sessions. Everybody who has logged in may do these."""

from __future__ import annotations

import datetime as dt

from fastapi import APIRouter, Request
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from backoffice.attempts import address_of, count_attempt, forget_attempts
from backoffice.audit import audit
from backoffice.models.people import LoginSession, PrimaryAudit, User
from backoffice.paging import PathId
from backoffice.problems import documented, missing
from backoffice.schemas import people as schemas
from backoffice.security import CHALLENGE, Authenticated, digest, new_token
from backoffice.services import Reads, Serving, Session
from syncline.contrib.fastapi import Problem

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post("/login", responses=documented(401, 422, 429))
async def login(
    credentials: schemas.Credentials, services: Serving, session: Session, request: Request
) -> schemas.Token:
    """Log in with an email address and a password; a few attempts in five minutes."""
    attempt = await count_attempt(session, request, credentials.email, services.settings.login_attempts)
    found = await session.execute(select(User.id, User.password_hash, User.active).filter_by(email=credentials.email))
    row = found.one_or_none()
    await session.commit()  # no connection is held while the password is hashed
    given = credentials.password.get_secret_value()
    right = await services.passwords.right(given, row.password_hash if row else None)
    if row is None or not right or not row.active or not await _is_still(session, row.id, row.password_hash):
        raise Problem(401, "no account has this email address and this password", headers=CHALLENGE)
    token, now = new_token(), dt.datetime.now(dt.UTC)
    expires_at = now + dt.timedelta(hours=services.settings.session_hours)
    await session.execute(delete(LoginSession).where(LoginSession.user_id == row.id, LoginSession.expires_at < now))
    session.add(
        LoginSession(
            token_digest=digest(token),
            user_id=row.id,
            expires_at=expires_at,
            address=address_of(request),
            agent=request.headers.get("User-Agent", "")[:200],
        )
    )
    await forget_attempts(session, attempt)
    await session.commit()
    return schemas.Token(token=token, expires_at=expires_at)


async def _is_still(session: AsyncSession, user_id: int, password_hash: str) -> bool:
    """Tell whether a password is an active account's, up to the commit: a change after that ends the new session."""
    unchanged = select(User.id).where(User.id == user_id, User.password_hash == password_hash, User.active)
    return await session.scalar(unchanged.with_for_update(read=True)) is not None


@router.post("/logout", status_code=204, responses=documented(401))
async def logout(caller: Authenticated, session: Session) -> None:
    """Log out: the token is no good any more, from now on, in every process."""
    await session.execute(delete(LoginSession).where(LoginSession.id == caller.session_id))
    await session.commit()


@router.get("/me", responses=documented(401))
async def me(caller: Authenticated) -> schemas.Me:
    """Give the caller, as the session cache knows them: no query."""
    return schemas.Me.model_validate(caller)


@router.post("/password", status_code=204, responses=documented(401, 403, 422))
async def change_password(
    change: schemas.PasswordChange, caller: Authenticated, services: Serving, session: Session
) -> None:
    """Change one's own password; all other sessions end."""
    stored = await session.scalar(select(User.password_hash).where(User.id == caller.user_id))
    await session.commit()
    if not await services.passwords.right(change.current.get_secret_value(), stored):
        raise Problem(403, "this is not the current password")
    hashed = await services.passwords.hash(change.new.get_secret_value())
    unchanged = update(User).where(User.id == caller.user_id, User.password_hash == stored)
    if await session.scalar(unchanged.values(password_hash=hashed).returning(User.id)) is None:
        raise Problem(403, "the password was changed meanwhile")
    others = delete(LoginSession).where(LoginSession.user_id == caller.user_id, LoginSession.id != caller.session_id)
    await session.execute(others)
    audit(session, PrimaryAudit, caller, "password.changed", caller.user_id)
    await session.commit()


@router.get("/sessions", responses=documented(401))
async def sessions(caller: Authenticated, session: Reads) -> list[schemas.LoginSession]:
    """List one's own sessions, newest first."""
    mine = select(LoginSession).where(LoginSession.user_id == caller.user_id, LoginSession.expires_at > func.now())
    found = await session.scalars(mine.order_by(LoginSession.id.desc()).limit(200))
    given = [schemas.LoginSession.model_validate(one) for one in found]
    return [one.model_copy(update={"current": one.id == caller.session_id}) for one in given]


@router.delete("/sessions/{session_id}", status_code=204, responses=documented(401, 404, 422))
async def end_session(session_id: PathId, caller: Authenticated, session: Session) -> None:
    """End one of one's own sessions."""
    own = delete(LoginSession).where(LoginSession.id == session_id, LoginSession.user_id == caller.user_id)
    ended = await session.scalar(own.returning(LoginSession.id))
    if ended is None:
        raise missing("session")
    await session.commit()
