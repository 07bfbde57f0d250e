"""Django's admin: how each collection stands, read when it is shown; nothing can be changed there."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from syncline.contrib.django.document_health import read_health
from syncline.contrib.django.project import document_databases, has_documents


class CollectionStateAdmin(admin.ModelAdmin):  # type: ignore[misc]
    """A page for who may view it."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:  # noqa: ARG002
        """Show both databases, and a line a collection.

        Raises:
            PermissionDenied: who asks may not view it; the site's own views let every member of the staff in.

        """
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        found = read_health(document_databases())
        shown = {
            **self.admin_site.each_context(request),
            "title": "Synchronisation",
            "health": found.as_dict(),
            "collections": found.collections,
        }
        return TemplateResponse(request, "admin/syncline/collections.html", shown)

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Refuse."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002
        """Refuse."""
        return False


if has_documents():
    from syncline.contrib.django.models import CollectionState

    admin.site.register(CollectionState, CollectionStateAdmin)
