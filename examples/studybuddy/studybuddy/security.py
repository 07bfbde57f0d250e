"""Who calls: log-ins, access tokens, and the limit on attempts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID, uuid4

import jwt
import structlog
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from studybuddy.models import Login, LoginAttempt
from studybuddy.problems import Problem
from studybuddy.services import Serving
from studybuddy.settings import Settings

ALGORITHM = "HS256"
ISSUER = "studybuddy"
WINDOW = timedelta(minutes=5)
CHALLENGE = {"WWW-Authenticate": "Bearer"}

bearer = HTTPBearer(auto_error=False, description="The accessToken that POST /api/auth/login gives.")


@dataclass(frozen=True, slots=True)
class Account:
    """The caller."""

    id: int
    login: UUID


async def log_in(session: AsyncSession, user_id: int, settings: Settings) -> tuple[str, datetime]:
    """Begin a log-in; give its access token, and when that expires. Commit afterwards."""
    now = datetime.now(UTC)
    login = Login(id=uuid4(), user_id=user_id, expires_at=now + timedelta(hours=settings.token_hours))
    await session.execute(delete(Login).where(Login.user_id == user_id, Login.expires_at < now))
    session.add(login)
    claims = {"iss": ISSUER, "sub": str(user_id), "jti": str(login.id), "iat": now, "exp": login.expires_at}
    return jwt.encode(claims, settings.secret.get_secret_value(), ALGORITHM), login.expires_at


async def _caller(
    services: Serving, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Account:
    if credentials is None:
        raise Problem(401, "log in first: POST /api/auth/login", CHALLENGE)
    account = _claimed(credentials.credentials, services.settings)
    async with (
        services.sessions() as session
    ):  # its own: the connection is free again before the route waits for MongoDB
        owner = await session.scalar(
            select(Login.user_id).where(Login.id == account.login, Login.expires_at > func.now())
        )
    if owner != account.id:
        raise Problem(401, "this log-in has ended; log in again", CHALLENGE)
    structlog.contextvars.bind_contextvars(user_id=account.id)
    return account


Caller = Annotated[Account, Depends(_caller)]
"""The account that calls. Asked of the primary each time, so that logging out counts at once, everywhere."""


def _claimed(token: str, settings: Settings) -> Account:
    """Read the token: it is ours, complete and not expired."""
    try:
        claims = jwt.decode(
            token,
            settings.secret.get_secret_value(),
            algorithms=[ALGORITHM],
            issuer=ISSUER,
            options={"require": ["exp", "sub", "jti"]},
        )
        return Account(int(claims["sub"]), UUID(claims["jti"]))
    except (jwt.InvalidTokenError, ValueError):
        raise Problem(401, "this access token is not valid; log in again", CHALLENGE) from None


async def count_attempt(session: AsyncSession, request: Request, email: str, settings: Settings) -> str:
    """Count an attempt to log in, and refuse it when there were too many: for the account, from the address, or both.

    It is counted before the password is looked at.

    Returns:
        What ``forget_attempts`` takes.

    """
    address = request.client.host if request.client else "unknown"
    one = settings.login_attempts
    limits = {_key(address, email): one, _key(address): one * 10, _key(email): one * 20}
    await session.execute(delete(LoginAttempt).where(LoginAttempt.at < func.now() - WINDOW))
    await session.execute(insert(LoginAttempt), [{"key": key} for key in sorted(limits)])
    await session.commit()  # first: those who try at the same time must see each other
    counted = await session.execute(
        select(LoginAttempt.key, func.count()).where(LoginAttempt.key.in_(limits)).group_by(LoginAttempt.key)
    )
    counts = dict(counted.all())
    await session.commit()
    if any(counts.get(key, 0) > limit for key, limit in limits.items()):
        wait = {"Retry-After": str(int(WINDOW.total_seconds()))}
        raise Problem(429, "too many attempts to log in; wait a few minutes", wait)
    return _key(address, email)


async def forget_attempts(session: AsyncSession, key: str) -> None:
    """Forget the attempts of somebody who has logged in."""
    await session.execute(delete(LoginAttempt).where(LoginAttempt.key == key))


def _key(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
