"""Logging in and out."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from taskboard.repositories import Repositories
from taskboard.schemas import Credentials
from taskboard.security import Caller, log_in, require
from taskboard.services import served
from taskboard.shown import answer
from taskboard.views.common import body, by_method, nothing


def _login(request: HttpRequest) -> HttpResponse:
    given = body(request, Credentials)
    return answer(log_in(served().repositories, given.email, given.password.get_secret_value()))


@require()
def _logout(_: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    repositories.tokens.delete(caller.token_id)
    return nothing()


@require()
def _me(_: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    teams = repositories.members.teams_of(caller.id)
    return answer({**caller.user, "permissions": sorted(caller.permissions), "teams": teams})


login = by_method(POST=_login)
logout = by_method(POST=_logout)
me = by_method(GET=_me)
