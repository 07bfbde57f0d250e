"""People and their roles."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.http import HttpRequest, HttpResponse

from syncline.errors import AlreadyThereError
from syncline.phases.repositories import Contains
from taskboard.audit import audit
from taskboard.permissions import Permission
from taskboard.repositories import Repositories
from taskboard.schemas import NewUser, Roles, UserChange
from taskboard.security import Caller, now, require
from taskboard.shown import answer, page
from taskboard.views.common import body, by_method, changed, found, pair_id, require_there


@require(Permission.USERS_READ)
def _list(request: HttpRequest, _: Caller, repositories: Repositories) -> HttpResponse:
    wanted = request.GET.get("q")
    where = {"name": Contains(wanted, ignore_case=True)} if wanted else {}
    return page(request, repositories.users, where, ["name", "email_id", "created_at"], "name")


@require(Permission.USERS_READ)
def _get(_: HttpRequest, __: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    return answer(found(repositories.users, id_, "user"))


@require(Permission.USERS_WRITE)
def _create(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    new = body(request, NewUser)
    fields = new.fields()
    del fields["password"]
    hashed = make_password(new.password.get_secret_value())
    if fields.get("google_id") is None:
        fields.pop("google_id", None)
    user = repositories.users.create({**fields, "password_hash": hashed, "active": True, "created_at": now()})
    audit(repositories, caller, "user.created", "users", user["_id"], fields)
    return answer(user, 201)


@require(Permission.USERS_WRITE)
def _change(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    changes = body(request, UserChange).fields()
    user = changed(repositories.users, id_, changes, "user")
    audit(repositories, caller, "user.changed", "users", user["_id"], changes)
    return answer(user)


@require(Permission.USERS_READ)
def _roles(_: HttpRequest, __: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    user = found(repositories.users, id_, "user")
    return answer({"role_ids": sorted(repositories.user_roles.roles_of(user["_id"]))})


@require(Permission.ADMIN)
def _set_roles(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    wanted = body(request, Roles).role_ids
    user = found(repositories.users, id_, "user")
    require_there(repositories.roles, [*wanted], "role")
    for role_id in repositories.user_roles.roles_of(user["_id"]):
        if role_id not in wanted:
            repositories.user_roles.delete(pair_id(user["_id"], role_id))
    for role_id in wanted:
        give_role(repositories, user["_id"], role_id)
    audit(repositories, caller, "user.roles", "users", user["_id"], {"role_ids": wanted})
    return answer({"role_ids": sorted(wanted)})


def give_role(repositories: Repositories, user_id: object, role_id: object) -> None:
    """Give somebody a role; once is enough."""
    given = {"user_id": user_id, "role_id": role_id}
    try:
        repositories.user_roles.create({"_id": pair_id(user_id, role_id), **given})  # type: ignore[arg-type]
    except AlreadyThereError:
        return


everybody = by_method(GET=_list, POST=_create)
one = by_method(GET=_get, PATCH=_change)
roles = by_method(GET=_roles, PUT=_set_roles)
