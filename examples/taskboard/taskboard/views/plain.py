"""Labels and roles: records without rules of their own, and the five routes that each has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse

from syncline.phases.repositories import AbstractRepository
from taskboard.audit import audit
from taskboard.permissions import Permission
from taskboard.problems import missing
from taskboard.repositories import Repositories
from taskboard.schemas import LabelChange, NewLabel, NewRole, RoleChange, Shape
from taskboard.security import Caller, require
from taskboard.shown import answer, page
from taskboard.views.common import View, body, by_method, changed, found, nothing


@dataclass(frozen=True, slots=True)
class Plain:
    """A kind of record."""

    what: str
    of: Callable[[Repositories], AbstractRepository]
    new: type[Shape]
    change: type[Shape]
    may_write: Permission

    def routes(self) -> tuple[View, View]:
        """Make the views of all of them, and of one."""
        write = require(self.may_write)
        all_of_them = by_method(GET=require()(self._list), POST=write(self._create))
        return all_of_them, by_method(GET=require()(self._get), PATCH=write(self._change), DELETE=write(self._delete))

    def _list(self, request: HttpRequest, _: Caller, repositories: Repositories) -> HttpResponse:
        return page(request, self.of(repositories), None, ["name"], "name")

    def _get(self, _: HttpRequest, __: Caller, repositories: Repositories, id_: str) -> HttpResponse:
        return answer(found(self.of(repositories), id_, self.what))

    def _create(self, request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
        fields = body(request, self.new).fields()
        record = self.of(repositories).create(fields)
        self._audit(repositories, caller, "created", record["_id"], fields)
        return answer(record, 201)

    def _change(self, request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
        fields = body(request, self.change).fields()
        record = changed(self.of(repositories), id_, fields, self.what)
        self._audit(repositories, caller, "changed", record["_id"], fields)
        return answer(record)

    def _delete(self, _: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
        if not self.of(repositories).delete(id_):
            raise missing(self.what)
        self._audit(repositories, caller, "deleted", id_)
        return nothing()

    def _audit(self, repositories: Repositories, caller: Caller, done: str, id_: Any, changes: Any = None) -> None:
        collection = self.of(repositories).collection_name
        audit(repositories, caller, f"{self.what}.{done}", collection, id_, changes)


labels, label = Plain("label", lambda all_: all_.labels, NewLabel, LabelChange, Permission.LABELS_WRITE).routes()
roles, role = Plain("role", lambda all_: all_.roles, NewRole, RoleChange, Permission.ADMIN).routes()
