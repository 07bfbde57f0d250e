"""The Django application: for ``INSTALLED_APPS``."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import register
from django.core.management.base import CommandError
from django.db import connections
from django.db.backends.signals import connection_created
from django.db.models.signals import post_migrate

from syncline.contrib.django.checks import check_databases
from syncline.contrib.django.document_checks import check_documents, differing
from syncline.contrib.django.looking import watch
from syncline.contrib.django.project import document_databases, has_documents, has_named_databases
from syncline.errors import SynclineError


class SynclineDjango(AppConfig):  # type: ignore[misc]
    """Registers the checks, and has statements looked at where there are named databases."""

    name = "syncline.contrib.django"
    label = "syncline_django"
    verbose_name = "Syncline"

    def ready(self) -> None:
        """Begin."""
        if has_named_databases():
            register(check_databases)
            connection_created.connect(watch, dispatch_uid="syncline")
        if has_documents():
            register(check_documents)
            post_migrate.connect(_install, sender=self)


def _install(verbosity: int = 1, using: str = "default", stdout: Any = None, **_: Any) -> None:
    """Install what carries documents when ``manage.py migrate`` has made their tables, and not those of a test run."""
    if using != "default":
        return
    try:
        databases = document_databases()
        if differs := [*differing(connections[using].settings_dict, databases)]:
            done = [f"not installed: this is another database than the repositories' ({', '.join(differs)} differs)"]
        else:
            done = databases.install()
    except SynclineError as error:
        raise CommandError(f"the tables are made, and what carries documents is not installed: {error}") from None
    for line in done if verbosity and stdout is not None else ():
        stdout.write(f"  syncline: {line}\n")
