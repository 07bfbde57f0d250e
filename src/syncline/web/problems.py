"""Errors as problem details (RFC 9457), for routes that are mounted in applications that we do not know."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from fastapi.exceptions import HTTPException, RequestValidationError
from fastapi.requests import Request
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute

from syncline.config import redact
from syncline.errors import ReverseServesError, SynclineError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5


class Problem(HTTPException):
    """A request that cannot be answered as asked. Applications that do not know it show it as any ``HTTPException``."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        hint: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        """Describe it.

        Args:
            status: the HTTP status.
            detail: what happened, for people.
            hint: what to do next.
            headers: of the response.
            more: further members of the body, in JSON's types.

        """
        super().__init__(status, detail, headers=dict(headers or {}))
        self.hint = hint
        self.more = more

    def body(self) -> dict[str, Any]:
        """Give the members: ``type``, ``title``, ``status``, ``detail``, and ``hint`` where there is one."""
        hint = {} if self.hint is None else {"hint": self.hint}
        title = HTTPStatus(self.status_code).phrase
        return {"type": "about:blank", "title": title, "status": self.status_code, "detail": self.detail, **hint} | (
            self.more
        )

    def response(self) -> Response:
        """Give the response."""
        return JSONResponse(self.body(), self.status_code, headers=self.headers, media_type=MEDIA_TYPE)


def problem_of(error: SynclineError) -> Problem:
    """Say it as a problem: 503 with ``Retry-After`` where waiting helps, 409 where refused, else 500; no secret."""
    detail, hint = redact(error.message), error.hint and redact(error.hint)
    if isinstance(error, ReverseServesError):
        return Problem(409, detail, hint=hint)
    if error.retryable:
        return Problem(503, detail, hint=hint, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})
    return Problem(500, detail, hint=hint)


def invalid(error: RequestValidationError) -> Problem:
    """Name what is wrong with a request; never what was sent."""
    errors = [{"place": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
    return Problem(422, "the request is not valid", errors=errors)


class ProblemRoute(APIRoute):
    """A route whose errors are problem details, wherever it is mounted."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the handler, dependencies included."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except Problem as problem:
                return problem.response()
            except RequestValidationError as error:
                return invalid(error).response()
            except SynclineError as error:
                return problem_of(error).response()

        return handled
