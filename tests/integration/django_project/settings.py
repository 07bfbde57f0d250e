"""Settings as a project has them: the environment says which databases there are."""

from pathlib import Path

from syncline.contrib.django import database_settings
from syncline.split import Databases

SYNCLINE_DATABASES = Databases.from_environment(Path(__file__).parent / "syncline.toml", dotenv=None)
DATABASES = database_settings(SYNCLINE_DATABASES)
DATABASE_ROUTERS = ["syncline.contrib.django.Router"]
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "syncline.contrib.django",
    "tests.integration.django_project.shop.Shop",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "for tests only"
USE_TZ = True
