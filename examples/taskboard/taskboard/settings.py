"""Django's settings: the environment, then ``.env``."""

from __future__ import annotations

import os
from pathlib import Path

from dotenv import dotenv_values

from syncline.contrib.django import DocumentDatabases, postgres_settings
from syncline.telemetry.metrics import AppMetrics

HOME = Path(__file__).parents[1]
ENVIRONMENT = {name: value for name, value in {**dotenv_values(HOME / ".env"), **os.environ}.items() if value}

SYNCLINE_DOCUMENTS = DocumentDatabases.from_environment(
    HOME / "syncline.toml",
    ENVIRONMENT,
    metrics=AppMetrics(),
    masked={"users": ["password_hash"], "tokens": ["digest"], "teams": ["invite_code"]},
)
"""The manager of both databases: it holds MongoDB, and opens PostgreSQL when a repository needs it."""
DATABASES = {"default": postgres_settings(ENVIRONMENT)}
"""PostgreSQL, for ``migrate`` and the admin; no request of the API goes through it."""

SECRET_KEY = ENVIRONMENT.get("TASKBOARD_SECRET_KEY", "")
DEBUG = ENVIRONMENT.get("TASKBOARD_DEBUG", "") == "true"
ALLOWED_HOSTS = ENVIRONMENT.get("TASKBOARD_HOSTS", "localhost,127.0.0.1").split(",")
TOKEN_HOURS = 12

INSTALLED_APPS = ["syncline.contrib.django", "taskboard"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "taskboard.problems.ProblemMiddleware",
    "syncline.contrib.django.PhaseMiddleware",
]
ROOT_URLCONF = "taskboard.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
APPEND_SLASH = False
USE_TZ = True
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
SECURE_CONTENT_TYPE_NOSNIFF = True
