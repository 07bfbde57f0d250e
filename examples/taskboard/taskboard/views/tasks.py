"""Tasks: whose, how far, until when they rest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bson import ObjectId
from django.http import HttpRequest, HttpResponse

from syncline.phases.repositories import Between, Condition, Contains, OneOf
from taskboard.audit import audit
from taskboard.permissions import Permission
from taskboard.problems import Problem, missing
from taskboard.repositories import Repositories
from taskboard.schemas import Deferral, NewTask, Priority, Status, TaskChange
from taskboard.security import Caller, now, require
from taskboard.shown import answer, page
from taskboard.views.common import body, by_method, changed, nothing, require_there
from taskboard.views.membership import is_member, teams_of, visible_task

SORTS = ("title", "status", "priority", "due", "created_at", "updated_at")
FILTERS = {"assignee": "assignee", "team": "team_id", "label": "labels", "createdBy": "created_by"}


@require(Permission.TASKS_READ)
def _list(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    where = _where(request)
    if not caller.may(Permission.ADMIN):
        where["team_id"] = _among(where, teams_of(repositories, caller))
    return page(request, repositories.tasks, where, SORTS, "created_at")


def _among(where: Mapping[str, Any], mine: list[ObjectId]) -> OneOf:
    """Give the teams that are asked for, and are the caller's; None is no team."""
    if "team_id" not in where:
        return OneOf(None, *mine)
    asked = where["team_id"]
    return OneOf(*(one for one in (None, *mine) if asked == (one if one is None else str(one))))


def _where(request: HttpRequest) -> dict[str, Any]:
    where: dict[str, Any] = {}
    for name, known in (("status", Status), ("priority", Priority)):
        if given := request.GET.get(name):
            values = given.split(",")
            if unknown := set(values) - {*known}:
                raise Problem(422, f"{name} is one of {', '.join(known)}, not {min(unknown)}")
            where[name] = OneOf(*values)
    for name, path in FILTERS.items():
        if (given := request.GET.get(name)) is not None:
            where[path] = None if given == "none" and path != "labels" else given
    if text := request.GET.get("q"):
        where["title"] = Contains(text, ignore_case=True)
    if request.GET.get("deferred") in {"true", "false"}:
        where["deferred.until"] = _deferred(rests=request.GET["deferred"] == "true")
    return where


def _deferred(*, rests: bool) -> Condition | None:
    return Between() if rests else None


@require(Permission.TASKS_WRITE)
def _create(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    new = body(request, NewTask)
    _require_named(repositories, caller, new)
    at = now()
    fields = {name: _stored(getattr(new, name)) for name in NewTask.model_fields}
    task = repositories.tasks.create({**fields, "created_by": caller.id, "created_at": at, "updated_at": at})
    _assigned(repositories, caller, task["_id"], new.assignee)
    audit(repositories, caller, "task.created", "tasks", task["_id"], fields)
    return answer(task, 201)


def _stored(value: Any) -> Any:
    return value.value if isinstance(value, Status | Priority) else value


@require(Permission.TASKS_READ)
def _get(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    return answer(visible_task(repositories, caller, id_))


@require(Permission.TASKS_WRITE)
def _change(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    change = body(request, TaskChange)
    before = visible_task(repositories, caller, id_)
    _require_named(repositories, caller, change)
    fields = change.fields()
    task = changed(repositories.tasks, id_, {**fields, "updated_at": now()}, "task")
    if "assignee" in fields and fields["assignee"] != before.get("assignee"):
        _assigned(repositories, caller, task["_id"], change.assignee)
    audit(repositories, caller, "task.changed", "tasks", task["_id"], fields)
    return answer(task)


@require(Permission.TASKS_WRITE)
def _delete(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    if not repositories.tasks.delete(visible_task(repositories, caller, id_)["_id"]):
        raise missing("task")
    for one in repositories.assignments.list({"task_id": id_}):
        repositories.assignments.delete(one["_id"])
    audit(repositories, caller, "task.deleted", "tasks", ObjectId(id_))
    return nothing()


@require(Permission.TASKS_WRITE)
def _defer(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    deferral = body(request, Deferral)
    visible_task(repositories, caller, id_)
    rests = {"until": deferral.until, "reason": deferral.reason, "by": caller.id}
    task = changed(repositories.tasks, id_, {"deferred": rests, "updated_at": now()}, "task")
    audit(repositories, caller, "task.deferred", "tasks", task["_id"], rests)
    return answer(task)


@require(Permission.TASKS_WRITE)
def _resume(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    visible_task(repositories, caller, id_)
    task = changed(repositories.tasks, id_, {"deferred": None, "updated_at": now()}, "task")
    audit(repositories, caller, "task.resumed", "tasks", task["_id"])
    return answer(task)


@require(Permission.TASKS_READ)
def _assignments(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    visible_task(repositories, caller, id_)
    return page(request, repositories.assignments, {"task_id": id_}, ["assigned_at"], "assigned_at")


def _require_named(repositories: Repositories, caller: Caller, task: NewTask) -> None:
    require_there(repositories.users, [task.assignee], "user")
    require_there(repositories.teams, [task.team_id], "team")
    if task.team_id is not None and not is_member(repositories, caller, task.team_id):
        raise Problem(422, "there is no such team", id=str(task.team_id))
    require_there(repositories.labels, [*task.labels], "label")


def _assigned(repositories: Repositories, caller: Caller, task_id: ObjectId, user_id: ObjectId | None) -> None:
    if user_id is not None:
        new = {"task_id": task_id, "user_id": user_id, "assigned_by": caller.id, "assigned_at": now()}
        repositories.assignments.create(new)


all_of_them = by_method(GET=_list, POST=_create)
one = by_method(GET=_get, PATCH=_change, DELETE=_delete)
deferred = by_method(PUT=_defer, DELETE=_resume)
assignments = by_method(GET=_assignments)
