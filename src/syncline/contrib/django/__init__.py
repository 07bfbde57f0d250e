"""Syncline in a Django project: named databases, a router for their models, system checks, statements looked at.

from syncline.contrib.django import database_settings
from syncline.split import Databases

SYNCLINE_DATABASES = Databases.from_environment(BASE_DIR / "syncline.toml", dotenv=BASE_DIR / ".env")
DATABASES = database_settings(SYNCLINE_DATABASES)
DATABASE_ROUTERS = ["syncline.contrib.django.Router"]
INSTALLED_APPS = ["syncline.contrib.django", ...]
"""

from syncline.contrib.django.again import atomic_again
from syncline.contrib.django.database_settings import database_settings
from syncline.contrib.django.router import Router

__all__ = ["Router", "atomic_again", "database_settings"]
