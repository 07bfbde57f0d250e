"""System checks of a project that moves from MongoDB to PostgreSQL."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004  Django's name
from psycopg.conninfo import conninfo_to_dict

from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.contrib.django.project import document_databases
from syncline.errors import ConfigError

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
    wanted = conninfo_to_dict(databases.postgres)
    for ours, theirs in (("NAME", "dbname"), ("HOST", "host"), ("PORT", "port")):
        if str(default.get(ours, "")) != str(wanted.get(theirs, "")):
            yield Error(
                f"DATABASES['default'] is not the repositories' database: {ours} differs",
                hint="make both of POSTGRES_*: postgres_settings(…), DocumentDatabases.from_environment(…)",
                id="syncline.E012",
            )


def _middleware() -> Iterator[CheckMessage]:
    if MIDDLEWARE not in settings.MIDDLEWARE:
        said = "in a ramp the reads of one caller would go to both databases"
        yield Warning(f"{MIDDLEWARE} is not in MIDDLEWARE", hint=f"add it: {said}", id="syncline.W013")


def _unwrapped(databases: DocumentDatabases) -> Iterator[CheckMessage]:
    """Look for clients of others: what they write has no mark."""
    from pymongo.synchronous.collection import Collection

    names = {mapping.collection.name for mapping in databases.documents.mappings}
    ours = databases.__dict__.get("client")
    for one in gc.get_objects():
        if type(one) is Collection and one.name in names and one.database.client is not ours:
            yield Warning(
                f"a collection of PyMongo's is open beside Syncline's: {one.full_name}",
                hint="write by a repository, or SYNCLINE_DOCUMENTS.collection(…): other writes are found late",
                id="syncline.W014",
            )
