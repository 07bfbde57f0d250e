"""Errors as problem details (RFC 9457): the same shape for every error, and no secret in any."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from pydantic import ValidationError

from syncline.errors import (
    AlreadyThereError,
    GateClosedError,
    MovedError,
    PhaseError,
    RefusedDocumentError,
    RepositoryError,
    SourceUnavailableError,
    TargetUnavailableError,
    UnknownOutcomeError,
)

LOG = logging.getLogger("taskboard")
MEDIA_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818  it is one
    """What is answered instead of what was asked for."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.more = status, detail, headers, more

    def response(self) -> HttpResponse:
        """Make the answer."""
        title = HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail, **self.more}
        return JsonResponse(body, status=self.status, headers=self.headers, content_type=MEDIA_TYPE)


def missing(what: str) -> Problem:
    """Say that something is not there."""
    return Problem(404, f"there is no such {what}")


class ProblemMiddleware:
    """Answers every error as problem details."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        response = self._get_response(request)
        if response.status_code == 404 and not response.headers["Content-Type"].endswith("json"):
            return Problem(404, "there is nothing at this address").response()
        return response

    def process_exception(self, _: HttpRequest, error: Exception) -> HttpResponse:
        """Answer what a view has raised."""
        return problem_of(error).response()


def problem_of(error: Exception) -> Problem:
    """Say what an error is to the client."""
    match error:
        case Problem():
            return error
        case ValidationError():
            return _invalid(error)
        case AlreadyThereError():
            return Problem(409, f"there is one with this {_camel(error.field or 'value')} already")
        case RepositoryError() | RefusedDocumentError():
            return Problem(422, error.message)
        case SourceUnavailableError() | TargetUnavailableError() | PhaseError():
            LOG.error("a database does not answer: %s", error.message)
            return Problem(503, "the database does not answer at the moment", headers={"Retry-After": "5"})
        case UnknownOutcomeError():
            LOG.error("nobody knows whether it is written: %s", error.message)
            return Problem(503, "it is not known whether this was written: look before you send it again")
        case GateClosedError() | MovedError():
            LOG.error("no database accepts writes: %s", error.message)
            return Problem(503, "nothing was written; send it again", headers={"Retry-After": "1"})
        case RequestDataTooBig():
            return Problem(413, "the request is too large")
        case Http404():
            return Problem(404, "there is nothing at this address")
    LOG.error("unexpected error", exc_info=error)
    return Problem(500, "something went wrong; it has been written down")


def _invalid(error: ValidationError) -> Problem:
    errors = [
        {"field": ".".join(str(part) for part in one["loc"]), "detail": one["msg"]}
        for one in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return Problem(422, "the request is not valid", errors=errors)


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(one.capitalize() for one in others)
