"""Watchlists: each is somebody's own."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse

from syncline.phases.repositories import Document
from taskboard.audit import audit
from taskboard.problems import missing
from taskboard.repositories import Repositories
from taskboard.schemas import NewWatchlist, WatchlistChange
from taskboard.security import Caller, require
from taskboard.shown import answer, page
from taskboard.views.common import body, by_method, changed, found, nothing
from taskboard.views.membership import require_visible


@require()
def _list(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    return page(request, repositories.watchlists, {"user_id": caller.id}, ["name"], "name")


@require()
def _create(request: HttpRequest, caller: Caller, repositories: Repositories) -> HttpResponse:
    new = body(request, NewWatchlist)
    require_visible(repositories, caller, new.tasks)
    watchlist = repositories.watchlists.create({"name": new.name, "user_id": caller.id, "tasks": new.tasks})
    audit(repositories, caller, "watchlist.created", "watchlists", watchlist["_id"])
    return answer(watchlist, 201)


@require()
def _get(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    return answer(_own(repositories, caller, id_))


@require()
def _change(request: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    change = body(request, WatchlistChange)
    require_visible(repositories, caller, change.tasks)
    id_of_own = _own(repositories, caller, id_)["_id"]
    watchlist = changed(repositories.watchlists, id_of_own, change.fields(), "watchlist")
    audit(repositories, caller, "watchlist.changed", "watchlists", id_of_own, change.fields())
    return answer(watchlist)


@require()
def _delete(_: HttpRequest, caller: Caller, repositories: Repositories, id_: str) -> HttpResponse:
    watchlist = _own(repositories, caller, id_)
    repositories.watchlists.delete(watchlist["_id"])
    audit(repositories, caller, "watchlist.deleted", "watchlists", watchlist["_id"])
    return nothing()


def _own(repositories: Repositories, caller: Caller, id_: str) -> Document:
    watchlist = found(repositories.watchlists, id_, "watchlist")
    if watchlist["user_id"] != caller.id:
        raise missing("watchlist")
    return watchlist


all_of_them = by_method(GET=_list, POST=_create)
one = by_method(GET=_get, PATCH=_change, DELETE=_delete)
