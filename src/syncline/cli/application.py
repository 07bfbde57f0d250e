"""The named databases of a command: as configured, or an application's own with its models declared."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from syncline.cli.common import keep_secret
from syncline.errors import ConfigError

if TYPE_CHECKING:
    from syncline.config.databases import NamedDatabases
    from syncline.split.databases import Databases

AppOption = Annotated[
    str | None,
    typer.Option(
        "--app",
        metavar="MODULE:NAME",
        help="The application's Databases, with its models declared, e.g. shop.db:databases.",
    ),
]


@contextmanager
def named_databases(config: Path | None, app: str | None = None) -> Iterator[Databases]:
    """Open the databases for a command; no message will have a password of theirs.

    Raises:
        ConfigError: they are not configured, or the application cannot be imported.

    """
    from syncline.split.databases import Databases

    if app:
        databases = of_application(app)
        keep_secrets(databases.configured)
        yield databases
        return
    with Databases.from_environment(config) as databases:
        keep_secrets(databases.configured)
        yield databases


def keep_secrets(configured: NamedDatabases) -> None:
    """Keep the passwords of all URLs out of messages."""
    for database in configured.databases:
        for place in (database.place, database.direct):
            if place is not None:
                keep_secret(place.url)


def of_application(name: str) -> Databases:
    """Import an application's databases.

    Raises:
        ConfigError: it cannot be imported, or is something else.

    """
    from syncline.split.databases import Databases

    module, separator, attribute = name.partition(":")
    if not separator:
        raise ConfigError(f"--app {name}: MODULE:NAME is expected", hint="e.g. --app shop.db:databases")
    sys.path.insert(0, "")
    try:
        found = getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"--app {name}: {error}", hint="run it where the application can be imported") from error
    if not isinstance(found, Databases):
        raise ConfigError(f"--app {name} is no syncline.split.Databases")
    return found


def declare_models(databases: Databases) -> None:
    """Declare the models that the configuration names, if it names any.

    Raises:
        ConfigError: they cannot be imported.

    """
    if any(each.settings.models for each in databases.configured.databases):
        from syncline.split.migrations.trees import trees  # Alembic is optional

        trees(databases)
