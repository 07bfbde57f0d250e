"""``manage.py syncline …``: the command ``syncline`` with the project's declaration and databases."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from syncline.contrib.django.project import document_databases
from syncline.errors import ConfigError

COMMAND = "syncline.cli.main"


class Command(BaseCommand):  # type: ignore[misc]
    """Passes everything on; exit statuses are the command's own."""

    help = "Run the command syncline for this project: install, worker, status, verify, … (syncline --help)"
    requires_system_checks: list[str] = []  # noqa: RUF012  as Django has it

    def run_from_argv(self, argv: list[str]) -> None:
        """Run it."""
        try:
            databases = document_databases()
            if databases.documents.file is None:
                raise ConfigError("SYNCLINE_DOCUMENTS is of no file", hint="DocumentDatabases.from_environment(FILE)")
            given = {
                "SYNCLINE_CONFIG": str(databases.documents.file),
                "MONGODB_URL": databases.documents.url("source"),
                "DATABASE_URL": databases.documents.url("target"),
            }
        except ConfigError as error:
            self.stderr.write(str(error))
            raise SystemExit(3) from None
        command = [sys.executable, "-m", COMMAND, *_of_syncline(argv[2:])]
        os.execve(sys.executable, command, {**os.environ, **databases.env, **given})  # noqa: S606

    def handle(self, *_: Any, **__: Any) -> None:
        """Refuse to be called by ``call_command``: the command takes the place of the process."""
        raise CommandError("run it as `manage.py syncline …`, or `syncline …`")


def _of_syncline(given: list[str]) -> Iterator[str]:
    """Leave out what every command of Django takes, and ``manage.py`` has gone by already."""
    arguments = iter(given)
    for one in arguments:
        name, equals, _ = one.partition("=")
        if name not in ("--settings", "--pythonpath"):
            yield one
        elif not equals:
            next(arguments, None)
