"""System checks of a project that moves from MongoDB to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  Django's name
from psycopg.conninfo import conninfo_to_dict
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.synchronous.collection import Collection

from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.contrib.django.project import document_databases
from syncline.errors import ConfigError
from syncline.phases.repositories import MongoRepository

_BARE = (Collection, AsyncCollection)
MIDDLEWARE = "syncline.contrib.django.PhaseMiddleware"


def check_documents(app_configs: Any, **_: Any) -> list[CheckMessage]:  # noqa: ARG001  Django's signature
    """Check the manager, the database of Django, the middleware, and who writes collections without marks."""
    try:
        databases = document_databases()
        databases.documents.url("source")
    except ConfigError as error:
        return [Error(error.message, hint=error.hint, id="syncline.E010")]
    return [*_default(databases), *_middleware(), *_unwrapped(databases)]


def _default(databases: DocumentDatabases) -> Iterator[CheckMessage]:
    default = settings.DATABASES.get("default", {})
    if default.get("ENGINE") != "django.db.backends.postgresql":
        hint = 'DATABASES = {"default": postgres_settings(os.environ)}'
        yield Error("DATABASES['default'] is no PostgreSQL", hint=hint, id="syncline.E011")
        return
    for name in differing(default, databases):
        yield Error(
            f"DATABASES['default'] is not the repositories' database: {name} differs",
            hint="make both of POSTGRES_*: postgres_settings(…), DocumentDatabases.from_environment(…)",
            id="syncline.E012",
        )


def differing(given: Mapping[str, Any], databases: DocumentDatabases) -> Iterator[str]:
    """Name the settings by which a database of Django's is another one than the repositories'."""
    wanted = conninfo_to_dict(databases.postgres)
    for ours, theirs, without in (("NAME", "dbname", ""), ("HOST", "host", "localhost"), ("PORT", "port", "5432")):
        if str(given.get(ours) or without) != str(wanted.get(theirs) or without):
            yield ours


def _middleware() -> Iterator[CheckMessage]:
    if MIDDLEWARE not in settings.MIDDLEWARE:
        said = "in a ramp the reads of one caller would go to both databases"
        yield Warning(f"{MIDDLEWARE} is not in MIDDLEWARE", hint=f"add it: {said}", id="syncline.W013")


def _unwrapped(databases: DocumentDatabases) -> Iterator[CheckMessage]:
    """Look through the modules of the project's applications: what is written by a bare collection has no mark."""
    names = {mapping.collection.name for mapping in databases.documents.mappings}
    for where, value in _globals():
        # By their types: isinstance would have a lazy object of Django's made.
        bare = value.collection if issubclass(type(value), MongoRepository) else value
        if type(bare) in _BARE and bare.name in names:
            yield Warning(
                f"{where} is a collection that does not mark what it writes: {bare.full_name}",
                hint="take a repository, or SYNCLINE_DOCUMENTS.collection(…): other writes are found late",
                id="syncline.W014",
            )


def _globals() -> Iterator[tuple[str, Any]]:
    ours = tuple(one.name for one in apps.get_app_configs() if not one.name.startswith(("django.", "syncline.")))
    for name, module in sorted(sys.modules.items()):
        if any(name == one or name.startswith(f"{one}.") for one in ours):
            yield from ((f"{name}.{each}", value) for each, value in [*vars(module).items()])
