"""Syncline in a Django project: named databases, a router for their models, system checks, statements looked at.

from syncline.contrib.django import database_settings
from syncline.split import Databases

SYNCLINE_DATABASES = Databases.from_environment(BASE_DIR / "syncline.toml", dotenv=BASE_DIR / ".env")
DATABASES = database_settings(SYNCLINE_DATABASES)
DATABASE_ROUTERS = ["syncline.contrib.django.Router"]
INSTALLED_APPS = ["syncline.contrib.django", ...]

And for one that moves from MongoDB to PostgreSQL: both databases, repositories, checks, health, commands.

from syncline.contrib.django import DocumentDatabases, postgres_settings

SYNCLINE_DOCUMENTS = DocumentDatabases.from_environment(BASE_DIR / "syncline.toml")
DATABASES = {"default": postgres_settings(os.environ)}
"""

from syncline.contrib.django.again import atomic_again
from syncline.contrib.django.database_settings import database_settings
from syncline.contrib.django.document_databases import DocumentDatabases
from syncline.contrib.django.document_health import alive, metrics, read_health, sync_health
from syncline.contrib.django.phase_middleware import PhaseMiddleware
from syncline.contrib.django.postgres_variables import postgres_settings, postgres_url
from syncline.contrib.django.project import document_databases
from syncline.contrib.django.router import Router

__all__ = [
    "DocumentDatabases",
    "PhaseMiddleware",
    "Router",
    "alive",
    "atomic_again",
    "database_settings",
    "document_databases",
    "metrics",
    "postgres_settings",
    "postgres_url",
    "read_health",
    "sync_health",
]
