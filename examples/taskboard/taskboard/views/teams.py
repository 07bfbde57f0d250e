"""Teams: who belongs to them, and how others come in."""

from __future__ import annotations

import secrets

from bson import ObjectId
from django.http import HttpRequest, HttpResponse

from syncline.errors import AlreadyThereError
from syncline.phases.repositories import Document, OneOf
from taskboard.audit import audit
from taskboard.permissions import Permission
from taskboard.problems import Problem, missing
from taskboard.repositories import Repositories
from taskboard.schemas import Join, NewTeam, TeamChange
from taskboard.security import Caller, now, require
from taskboard.shown import answer, page
from taskboard.views.common import body, by_method, changed, found, nothing, pair_id
from taskboard.views.membership import is_member, teams_of


@require()
def _list(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    mine = {"_id": OneOf(*teams_of(repositories, caller))}
    return page(request, repositories.teams, mine, ["name", "created_at"], "name")


@require(Permission.TEAMS_WRITE)
def _create(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    new = body(request, NewTeam)
    fields = {"name": new.name, "description": new.description}
    team = repositories.teams.create({**fields, **_invitation(), "created_by": caller.id, "created_at": now()})
    join_team(repositories, caller.id, team["_id"])
    audit(repositories, caller, "team.created", "teams", team["_id"], fields)
    return answer(team, 201)


@require()
def _get(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    return answer(_team(repositories, caller, id_))


@require(Permission.TEAMS_WRITE)
def _change(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    changes = body(request, TeamChange).fields()
    team = changed(repositories.teams, _own(repositories, caller, id_)["_id"], changes, "team")
    audit(repositories, caller, "team.changed", "teams", team["_id"], changes)
    return answer(team)


@require(Permission.TEAMS_WRITE)
def _delete(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    team = _own(repositories, caller, id_)
    for user_id in repositories.members.members_of(team["_id"]):
        repositories.members.delete(pair_id(user_id, team["_id"]))
    repositories.teams.delete(team["_id"])
    audit(repositories, caller, "team.deleted", "teams", team["_id"])
    return nothing()


@require()
def _join(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    team = repositories.teams.get_by("invite_code", body(request, Join).invite_code)
    if team is None:
        raise Problem(404, "no team has this invite code")
    join_team(repositories, caller.id, team["_id"])
    audit(repositories, caller, "team.joined", "teams", team["_id"])
    return answer(team)


@require()
def _members(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    ids = repositories.members.members_of(_team(repositories, caller, id_)["_id"])
    people = {one["_id"]: one for one in repositories.users.list({"_id": OneOf(*ids)})}
    return answer({"items": [{"_id": one, "name": people[one]["name"]} for one in ids if one in people]})


@require()
def _leave(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str, user_id: str) -> HttpResponse:
    team = _team(repositories, caller, id_)
    if user_id != str(caller.id) and team["created_by"] != caller.id and not caller.may(Permission.ADMIN):
        raise Problem(403, "only who has made the team may remove others")
    if not ObjectId.is_valid(user_id) or not repositories.members.delete(pair_id(ObjectId(user_id), team["_id"])):
        raise missing("member")
    if user_id != str(caller.id):  # who was removed knows the code by which others come in
        changed(repositories.teams, team["_id"], _invitation(), "team")
    audit(repositories, caller, "team.left", "teams", team["_id"], {"user_id": user_id})
    return nothing()


def _invitation() -> Document:
    return {"invite_code": secrets.token_urlsafe(9)}


def join_team(repositories: Repositories, user_id: ObjectId, team_id: ObjectId) -> None:
    """Make somebody a member; once is enough."""
    new = {"user_id": user_id, "team_id": team_id, "joined_at": now()}
    try:
        repositories.members.create({"_id": pair_id(user_id, team_id), **new})
    except AlreadyThereError:
        return


def _team(repositories: Repositories, caller: Caller, id_: str) -> Document:
    team = found(repositories.teams, id_, "team")
    if not is_member(repositories, caller, team["_id"]):
        raise missing("team")
    return team


def _own(repositories: Repositories, caller: Caller, id_: str) -> Document:
    team = _team(repositories, caller, id_)
    if team["created_by"] != caller.id and not caller.may(Permission.ADMIN):
        raise Problem(403, "only who has made the team may do this")
    return team


all_of_them = by_method(GET=_list, POST=_create)
one = by_method(GET=_get, PATCH=_change, DELETE=_delete)
join = by_method(POST=_join)
members = by_method(GET=_members)
member = by_method(DELETE=_leave)
