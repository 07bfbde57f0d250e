"""What goes out: documents as JSON, a page at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId
from django.http import HttpRequest, JsonResponse
from pydantic.alias_generators import to_camel

from syncline.phases.repositories import AbstractRepository, Where
from taskboard.problems import Problem

HIDDEN = frozenset({"password_hash", "digest"})
MOST = 100
FRESH = {"Cache-Control": "no-store"}


def shown(value: Any) -> Any:
    """Give a document, or a value of one, as JSON has it."""
    if isinstance(value, Mapping):
        return {_name(name): shown(one) for name, one in value.items() if name not in HIDDEN}
    if isinstance(value, list):
        return [shown(one) for one in value]
    if isinstance(value, ObjectId):
        return str(value)
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _name(name: str) -> str:
    return "id" if name == "_id" else to_camel(name)


def answer(value: Any, status: int = 200) -> JsonResponse:
    """Answer with a document."""
    return JsonResponse(shown(value), status=status, headers=FRESH)


def page(
    request: HttpRequest, repository: AbstractRepository, where: Where, sorts: Sequence[str], default: str
) -> JsonResponse:
    """Answer with a page: ``items``, and ``total`` of all pages; ``sort`` is one of ``sorts``, or ``-`` and one."""
    limit, offset = _number(request, "limit", 50, MOST), _number(request, "offset", 0, 1_000_000)
    by = _sort(request.GET["sort"], sorts) if "sort" in request.GET else default
    items = repository.list(where, sort=[by], limit=limit, offset=offset)
    return answer({"items": items, "total": repository.count(where), "limit": limit, "offset": offset})


def _sort(given: str, sorts: Sequence[str]) -> str:
    known = {to_camel(one): one for one in sorts}
    if given.removeprefix("-") not in known:
        raise Problem(422, f"sort is one of {', '.join(known)}, with - in front to turn it round")
    return ("-" if given.startswith("-") else "") + known[given.removeprefix("-")]


def _number(request: HttpRequest, name: str, default: int, most: int) -> int:
    given = request.GET.get(name, str(default))
    if not (given.isascii() and given.isdigit() and int(given[:10]) <= most and len(given) < 10):
        raise Problem(422, f"{name} is a number from 0 to {most}")
    return int(given)
