"""Who calls, and what they may: tokens, roles and permissions are read from repositories."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from bson import ObjectId
from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.http import HttpRequest, HttpResponse

from syncline.phases.dual_write import acting_as
from syncline.phases.repositories import Document, from_truth
from taskboard.permissions import Permission
from taskboard.problems import Problem
from taskboard.repositories import Repositories
from taskboard.services import served

CHALLENGE = {"WWW-Authenticate": "Bearer"}
NOBODY = make_password("nobody's password")
"""Checked where there is no account, so that it takes as long."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who has sent a request."""

    id: ObjectId
    token_id: ObjectId
    user: Document
    permissions: frozenset[str]

    def may(self, permission: Permission) -> bool:
        """Tell whether a role of theirs allows it."""
        return bool({Permission.ADMIN, permission} & self.permissions)


def now() -> datetime:
    """Give the time as documents have it."""
    return datetime.now(UTC).replace(tzinfo=None)


def digest(token: str) -> str:
    """Stand for a token in the database: it is long and random, so no salt is needed."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def log_in(repositories: Repositories, email: str, password: str) -> Document:
    """Make a token.

    Raises:
        Problem: 401.

    """
    with from_truth():
        user = repositories.users.get_by_email(email)
    right = check_password(password, user["password_hash"] if user else NOBODY)
    if user is None or not right or not user["active"]:
        raise Problem(401, "no account has this email address and this password", headers=CHALLENGE)
    token, until = secrets.token_urlsafe(32), now() + timedelta(hours=settings.TOKEN_HOURS)
    repositories.tokens.create({"digest": digest(token), "user_id": user["_id"], "expires_at": until})
    return {"token": token, "expires_at": until}


def caller_of(request: HttpRequest, repositories: Repositories) -> Caller:
    """Find who has sent a request: the truth says it, so that whoever was logged out or deactivated stays out.

    Raises:
        Problem: 401.

    """
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        raise Problem(401, "log in first: POST /v1/auth/login", headers=CHALLENGE)
    with from_truth():
        found = repositories.tokens.get_by("digest", digest(token))
        user = repositories.users.get(found["user_id"]) if found and found["expires_at"] > now() else None
        if found is None or user is None or not user["active"]:
            raise Problem(401, "this token is no good any more; log in again", headers=CHALLENGE)
        allowed = repositories.roles.permissions(repositories.user_roles.roles_of(user["_id"]))
    return Caller(user["_id"], found["_id"], user, allowed)


View = Callable[..., HttpResponse]


def require(permission: Permission | None = None) -> Callable[[View], View]:
    """Let in who has logged in, and has the permission: the view is given the request, the caller and repositories.

    What a request changes it decides by the truth: in a ramp PostgreSQL may lack what other processes have written.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def allowed(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
            repositories = served().repositories
            caller = caller_of(request, repositories)
            if permission is not None and not caller.may(permission):
                raise Problem(403, f"this needs the permission {permission}", permission=str(permission))
            deciding = nullcontext() if request.method == "GET" else from_truth()
            with acting_as(str(caller.id)), deciding:  # the log of the dual writes has who it was
                return view(request, caller, repositories, *args, **named)

        return allowed

    return decorate
