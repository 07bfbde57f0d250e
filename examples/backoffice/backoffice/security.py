"""Authentication and authorization: every route that is not public asks here, and here the session cache is asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from typing import Annotated

import structlog
from fastapi import Depends, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import select

from backoffice.callers import Caller
from backoffice.models.people import LoginSession, Role, User
from backoffice.permissions import Permission
from backoffice.services import Services, Serving
from syncline.contrib.fastapi import Problem

CHALLENGE = {"WWW-Authenticate": "Bearer"}

bearer = HTTPBearer(auto_error=False, description="The token that POST /api/auth/login gives.")


def new_token() -> str:
    """Make the token of a log-in; the client keeps it, the database its digest."""
    return secrets.token_urlsafe(32)


def digest(token: str) -> str:
    """Stand for a token in the database, the cache and the log: it is long and random, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


async def find_caller(services: Services, token: str) -> Caller | None:
    """Give who has this token: from the cache, else by one query."""
    wanted = digest(token)

    async def load() -> Caller | None:
        async with services.reads() as session:  # its own: the load may serve other requests, too
            found = await session.execute(
                select(LoginSession.id, LoginSession.expires_at, User, Role)
                .join(User, User.id == LoginSession.user_id)
                .join(Role, Role.id == User.role_id)
                .where(LoginSession.token_digest == wanted, User.active)
            )
            row = found.one_or_none()
        if row is None:
            return None
        id_, expires_at, user, role = row
        return Caller(
            session_id=id_,
            user_id=user.id,
            email=user.email,
            name=user.name,
            role_id=role.id,
            role=role.name,
            admin=role.admin,
            permissions=frozenset(role.permissions),
            expires_at=expires_at,
        )

    caller = await services.callers.get(wanted, load)
    return caller if caller and caller.expires_at > dt.datetime.now(dt.UTC) else None


async def require_session(
    services: Serving, credentials: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)]
) -> Caller:
    """Let in who has logged in."""
    if credentials is None:
        raise Problem(401, "log in first: POST /api/auth/login", headers=CHALLENGE)
    caller = await find_caller(services, credentials.credentials)
    if caller is None:
        raise Problem(401, "this session has ended; log in again", headers=CHALLENGE)
    structlog.contextvars.bind_contextvars(user_id=caller.user_id)
    return caller


Authenticated = Annotated[Caller, Depends(require_session)]
"""The caller of a route."""


class require_permission:  # noqa: N801  it is used as a function: Depends(require_permission(…))
    """Let in whose role has a permission; administrators always."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, caller: Authenticated) -> Caller:
        if not caller.may(self.permission):
            raise Problem(403, f"this needs the permission {self.permission}", permission=self.permission)
        return caller


async def require_admin(caller: Authenticated) -> Caller:
    """Let in administrators."""
    if not caller.admin:
        raise Problem(403, "only administrators may do this")
    return caller


Admin = Annotated[Caller, Depends(require_admin)]
