"""Logging in and out."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from sqlalchemy import delete, select

from studybuddy import schemas
from studybuddy.models import Login, User
from studybuddy.problems import Problem, documented
from studybuddy.security import CHALLENGE, Caller, count_attempt, forget_attempts, log_in
from studybuddy.services import Serving, Session

router = APIRouter(prefix="/api/auth", tags=["auth"])


@router.post("/login", responses=documented(401, 422, 429))
async def login(
    credentials: schemas.Credentials, services: Serving, session: Session, request: Request
) -> schemas.AccessToken:
    """Log in with an email address and a password; a few attempts in five minutes."""
    attempt = await count_attempt(session, request, credentials.email, services.settings)
    found = await session.execute(select(User.id, User.password_hash).where(User.email == credentials.email))
    row = found.one_or_none()
    await session.commit()  # no connection is held while the password is hashed
    if not await services.passwords.right(credentials.password.get_secret_value(), row.password_hash if row else None):
        raise Problem(401, "no account has this email address and this password", CHALLENGE)
    assert row is not None  # noqa: S101  right() is never true without a stored hash
    token, expires_at = await log_in(session, row.id, services.settings)
    await forget_attempts(session, attempt)
    await session.commit()
    return schemas.AccessToken(access_token=token, expires_at=expires_at)


@router.post("/logout", status_code=204, responses=documented(401))
async def logout(caller: Caller, session: Session) -> Response:
    """Log out: the access token is no good any more, from now on."""
    await session.execute(delete(Login).where(Login.id == caller.login))
    await session.commit()
    return Response(status_code=204)
