"""Errors as problem details (RFC 9457): the same shape for every error, and no secret in any."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from studybuddy.correlation import correlation_id
from syncline import TargetUnavailableError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "5"}

CONFLICTS = {
    "uq_users_email": "this email address is taken",
    "uq_users_username_key": "this username is taken",
    "uq_friendships_pair": "there is a friendship or a request already",
    "uq_reports_user_id_date": "there is a report for this day already",
    "uq_study_sessions_running": "a session is running already; stop it first",
    "uq_responses_form_id_user_id": "you have answered this form already",
}


class Wrong(BaseModel):
    """One thing that is wrong with the request."""

    place: str = Field(examples=["body.title"])
    message: str = Field(examples=["String should have at least 1 character"])


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no such todo"])
    correlationId: str = Field(examples=["5f0c0a9e0d6f4f7f9b1c1f6f0f3b6d1e"])  # noqa: N815  as it is on the wire
    errors: list[Wrong] | None = None


class Problem(HTTPException):
    """The request cannot be done: a status, and why in a few words for the caller."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


def missing(what: str) -> Problem:
    """Say that something is not there, or is none of the caller's business: nobody can tell which."""
    return Problem(404, f"there is no such {what}")


def answer(
    status: int, detail: str, headers: Mapping[str, str] | None = None, errors: list[dict[str, str]] | None = None
) -> Response:
    """Make the response."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "correlationId": correlation_id(),
    }
    if errors is not None:
        body["errors"] = errors
    content = json.dumps(body, ensure_ascii=True)  # whatever the request held, this can be encoded
    return Response(content, status, dict(headers or {}), MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route may answer with, for its OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "model": ProblemDetails, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Turn every error of the application into problem details."""
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IntegrityError, _conflict)
    app.add_exception_handler(StaleDataError, _gone)
    for away in (OperationalError, NoConnectionError):
        app.add_exception_handler(away, _primary_away)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(TargetUnavailableError, _secondary_away)
    app.add_exception_handler(Exception, _unexpected)


async def _http(_: Request, error: Any) -> Response:
    return answer(error.status_code, str(error.detail), error.headers)


async def _invalid(_: Request, error: Any) -> Response:
    wrong = [
        {"place": ".".join(str(part) for part in one["loc"]), "message": one["msg"]} for one in error.errors()[:20]
    ]
    return answer(422, "the request is not valid", errors=wrong)


async def _conflict(request: Request, error: Any) -> Response:
    if error.orig.sqlstate == "23503":  # a user or a form that went away, or never was
        return answer(404, "something that the request names does not exist")
    constraint = error.orig.diag.constraint_name
    if constraint not in CONFLICTS:
        return await _unexpected(request, error)
    return answer(409, CONFLICTS[constraint])


async def _gone(_: Request, __: Any) -> Response:
    return answer(404, "it was deleted meanwhile")


async def _primary_away(_: Request, error: Any) -> Response:
    structlog.get_logger().error("the primary does not answer", error=str(error).partition("\n")[0])
    return answer(503, "the database does not answer at the moment", RETRY_AFTER)


async def _database(request: Request, error: Any) -> Response:
    return await (_primary_away if error.connection_invalidated else _unexpected)(request, error)


async def _secondary_away(_: Request, error: Any) -> Response:
    structlog.get_logger().warning("the secondary does not answer", error=error.message)
    return answer(503, "these figures are not to be had at the moment", RETRY_AFTER)


async def _unexpected(request: Request, error: Exception) -> Response:
    id_ = request.state.request_id  # the context of the log is left already
    with structlog.contextvars.bound_contextvars(request_id=id_):
        structlog.get_logger().error("unexpected error", exc_info=error)
        detail = "something went wrong; it has been written down under the correlation id"
        return answer(500, detail, {"X-Request-ID": id_})
