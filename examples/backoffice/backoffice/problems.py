"""Errors as problem details (RFC 9457): the same shape for every error, and no secret in any."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionError
from sqlalchemy.orm.exc import StaleDataError

from syncline.contrib.fastapi import Problem, problem_details
from syncline.errors import GateClosedError, NamedDatabaseError, UnknownOutcomeError

MEDIA_TYPE = "application/problem+json"
AWAY = "the database does not answer at the moment"
RETRY_AFTER = {"Retry-After": "5"}
UNKNOWN = "the connection was lost at the last moment: look whether it was done before you do it again"

CONFLICTS = {
    "uq_users_email": "this email address is taken",
    "uq_roles_name": "there is a role of this name already",
    "uq_organizations_name": "there is an organization of this name already",
    "uq_facilities_organization_id_name": "the organization has a facility of this name already",
    "uq_integrations_name": "there is an integration of this name already",
    "uq_integration_runs_running": "a run of this integration is under way already",
    "uq_carriers_code": "there is a carrier of this code already",
    "uq_transforms_name_version": "somebody has saved a version meanwhile; look at it and try again",
    "fk_users_role_id": "the role is in use, or there is no such role",
    "fk_facilities_organization_id": "the organization has facilities, or there is no such organization",
    "fk_integrations_organization_id": "the organization has integrations, or there is no such organization",
    "fk_delivery_rates_carrier_id": "there is no such carrier",
}
"""What a constraint that is in the way means."""


class Wrong(BaseModel):
    """One thing that is wrong with the request."""

    place: str = Field(examples=["body.name"])
    message: str = Field(examples=["String should have at least 1 character"])


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 describes it."""

    type: str = Field(examples=["about:blank"])
    title: str = Field(examples=["Not Found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["there is no such carrier"])
    hint: str | None = None
    errors: list[Wrong] | None = None


def missing(what: str) -> Problem:
    """Say that something is not there."""
    return Problem(404, f"there is no such {what}")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe the problems that a route may answer with, for its OpenAPI document."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "model": ProblemDetails, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Turn every error of the application into problem details."""
    problem_details(app)
    app.add_exception_handler(IntegrityError, _conflict)
    app.add_exception_handler(StaleDataError, _gone)
    for away in (OperationalError, NoConnectionError, NamedDatabaseError):
        app.add_exception_handler(away, _away)
    app.add_exception_handler(GateClosedError, _away)
    app.add_exception_handler(UnknownOutcomeError, _unknown)
    app.add_exception_handler(DBAPIError, _database)
    app.add_exception_handler(Exception, _unexpected)


async def _conflict(request: Request, error: Any) -> Response:
    constraint = error.orig.diag.constraint_name
    if constraint not in CONFLICTS:
        return await _unexpected(request, error)
    return Problem(409, CONFLICTS[constraint]).response()


async def _gone(_: Request, __: Any) -> Response:
    return Problem(404, "it was deleted meanwhile").response()


async def _away(_: Request, error: Any) -> Response:
    structlog.get_logger().error("a database does not answer", error=str(error).partition("\n")[0])
    return Problem(503, AWAY, headers=RETRY_AFTER).response()  # which one, and where, is nobody's business outside


async def _unknown(_: Request, error: Any) -> Response:
    structlog.get_logger().error("what became of a transaction is unknown", error=str(error).partition("\n")[0])
    return Problem(503, UNKNOWN).response()


async def _database(request: Request, error: Any) -> Response:
    return await (_away if error.connection_invalidated else _unexpected)(request, error)


async def _unexpected(request: Request, error: Exception) -> Response:
    id_ = request.state.request_id  # the context of the log is left already
    with structlog.contextvars.bound_contextvars(request_id=id_):
        structlog.get_logger().error("unexpected error", exc_info=error)
        detail = "something went wrong; it has been written down under X-Request-ID"
        return Problem(500, detail, headers={"X-Request-ID": id_}).response()
