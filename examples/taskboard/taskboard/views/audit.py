"""Who did what, newest first."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from taskboard.permissions import Permission
from taskboard.repositories import Repositories
from taskboard.security import Caller, require
from taskboard.shown import page
from taskboard.views.common import by_method

FILTERS = {"action": "action", "collection": "collection_name", "document": "document_id", "user": "user_id"}


@require(Permission.AUDIT_READ)
def _list(request: HttpRequest, _: Caller, repositories: Repositories) -> HttpResponse:
    where = {path: request.GET[name] for name, path in FILTERS.items() if name in request.GET}
    return page(request, repositories.audit, where, ["at"], "-at")


logs = by_method(GET=_list)
