"""What views share: bodies, methods, and the five routes of a plain record."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bson import ObjectId
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from syncline.phases.repositories import AbstractRepository, Document
from taskboard.problems import Problem, missing
from taskboard.schemas import Shape

S = TypeVar("S", bound=Shape)
View = Callable[..., HttpResponse]


def body(request: HttpRequest, shape: type[S]) -> S:
    """Read and validate a body.

    Raises:
        ValidationError: it is not valid.

    """
    return shape.model_validate_json(request.body)


def by_method(**views: View) -> View:
    """Choose a view by the request's method; the API has tokens, not cookies, so that nothing can be forged."""

    def chosen(request: HttpRequest, *args: Any, **named: Any) -> HttpResponse:
        view = views.get(request.method or "")
        if view is None:
            allowed = ", ".join(views)
            raise Problem(405, f"this address knows {allowed}", headers={"Allow": allowed})
        return view(request, *args, **named)

    exempt: View = csrf_exempt(chosen)
    return exempt


def found(repository: AbstractRepository, id_: Any, what: str) -> Document:
    """Read a record.

    Raises:
        Problem: 404.

    """
    document: Document | None = repository.get(id_)
    if document is None:
        raise missing(what)
    return document


def changed(repository: AbstractRepository, id_: Any, changes: Mapping[str, Any], what: str) -> Document:
    """Change a record.

    Raises:
        Problem: 404.

    """
    document: Document | None = repository.update(id_, changes)
    if document is None:
        raise missing(what)
    return document


def require_there(repository: AbstractRepository, ids: list[ObjectId | None], what: str) -> None:
    """See that what a record names is there.

    Raises:
        Problem: 422.

    """
    for one in ids:
        if one is not None and repository.get(one) is None:
            raise Problem(422, f"there is no such {what}", id=str(one))


def pair_id(*ids: ObjectId) -> ObjectId:
    """Make the one id of a pair: it can be there once only."""
    return ObjectId(hashlib.sha256(b"".join(one.binary for one in ids)).digest()[:12])


def nothing() -> HttpResponse:
    """Answer that it is done."""
    return HttpResponse(status=204)
