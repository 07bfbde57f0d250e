"""The routes."""

from __future__ import annotations

from django.urls import path

from syncline.contrib.django import alive, metrics, sync_health
from taskboard.views import audit, auth, plain, tasks, teams, users, watchlists

urlpatterns = [
    path("health", alive),
    path("api/health/sync", sync_health),
    path("metrics", metrics),
    path("v1/auth/login", auth.login),
    path("v1/auth/logout", auth.logout),
    path("v1/auth/me", auth.me),
    path("v1/users", users.everybody),
    path("v1/users/<str:id_>", users.one),
    path("v1/users/<str:id_>/roles", users.roles),
    path("v1/roles", plain.roles),
    path("v1/roles/<str:id_>", plain.role),
    path("v1/labels", plain.labels),
    path("v1/labels/<str:id_>", plain.label),
    path("v1/teams", teams.all_of_them),
    path("v1/teams/join", teams.join),
    path("v1/teams/<str:id_>", teams.one),
    path("v1/teams/<str:id_>/members", teams.members),
    path("v1/teams/<str:id_>/members/<str:user_id>", teams.member),
    path("v1/tasks", tasks.all_of_them),
    path("v1/tasks/<str:id_>", tasks.one),
    path("v1/tasks/<str:id_>/deferred", tasks.deferred),
    path("v1/tasks/<str:id_>/assignments", tasks.assignments),
    path("v1/watchlists", watchlists.all_of_them),
    path("v1/watchlists/<str:id_>", watchlists.one),
    path("v1/audit-logs", audit.logs),
]
