"""Problem details (RFC 9457) for the whole application."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from syncline.errors import SynclineError, TokenError
from syncline.web.problems import Problem, invalid, problem_of


def problem_details(app: FastAPI) -> None:
    """Have the application's own errors, FastAPI's and Syncline's answered as problem details.

    ``HTTPException`` keeps its status and headers, what fails validation is a 422 that names each place, a bad token a
    400, a database that is away a 503 with ``Retry-After``.
    """

    async def http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  registered for it
        if isinstance(error, Problem):
            return error.response()
        detail = error.detail if isinstance(error.detail, str) else "the request cannot be answered"
        more: dict[str, Any] = {} if isinstance(error.detail, str) else {"errors": error.detail}
        return Problem(error.status_code, detail, headers=error.headers, **more).response()

    async def validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return invalid(error).response()

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, SynclineError)  # noqa: S101
        if isinstance(error, TokenError):
            return Problem(400, error.message, hint=error.hint).response()
        return problem_of(error).response()

    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(RequestValidationError, validation)
    app.add_exception_handler(SynclineError, ours)
