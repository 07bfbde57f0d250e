"""The Django application: for ``INSTALLED_APPS``."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.db.backends.signals import connection_created

from syncline.contrib.django.checks import check_databases
from syncline.contrib.django.looking import watch


class SynclineDjango(AppConfig):  # type: ignore[misc]
    """Registers the checks, and has statements looked at."""

    name = "syncline.contrib.django"
    label = "syncline_django"
    verbose_name = "Syncline"

    def ready(self) -> None:
        """Begin."""
        register(check_databases)
        connection_created.connect(watch, dispatch_uid="syncline")
