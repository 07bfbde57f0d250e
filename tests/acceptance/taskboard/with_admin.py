"""Taskboard with Django's admin: prints the page of the collections, as somebody sees it who may look."""

from __future__ import annotations

import sys

import django
from django.conf import settings
from taskboard import settings as given

ADMIN = ["admin", "auth", "contenttypes", "sessions", "messages"]

if __name__ == "__main__":
    chosen = {name: getattr(given, name) for name in dir(given) if name.isupper() and name != "ENVIRONMENT"}
    chosen |= {
        "INSTALLED_APPS": [*(f"django.contrib.{one}" for one in ADMIN), *given.INSTALLED_APPS],
        "ROOT_URLCONF": "tests.acceptance.taskboard.with_admin_urls",
        "TEMPLATES": [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        "STATIC_URL": "static/",
    }
    settings.configure(**chosen)
    django.setup()
    from django.contrib import admin
    from django.contrib.auth.models import User
    from django.core.handlers.exception import convert_exception_to_response
    from django.test import RequestFactory
    from django.urls import resolve

    from syncline.contrib.django.models import CollectionState

    request = RequestFactory().get("/admin/syncline_django/collectionstate/")
    request.user = User(username="root", is_staff=True, is_superuser=True)
    view = admin.site.get_model_admin(CollectionState)
    assert not view.has_add_permission(request)
    assert not view.has_change_permission(request)
    assert not view.has_delete_permission(request)
    page = convert_exception_to_response(resolve(request.path).func)
    for permissions, status in ((set(), 403), ({"syncline_django.view_collectionstate"}, 200)):
        request.user = User(username="clerk", is_staff=True)
        request.user._perm_cache = permissions  # what Django reads of its tables, which are not here
        assert page(request).status_code == status, permissions
    request.user = User(username="root", is_staff=True, is_superuser=True)
    sys.stdout.write(view.changelist_view(request).render().content.decode())
    settings.SYNCLINE_DOCUMENTS.close()
    sys.exit(0)
