"""``POSTGRES_HOST``, ``_PORT``, ``_NAME``, ``_USER``, ``_PASSWORD``, ``_SSLMODE``, ``_SSLROOTCERT``: one PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.conninfo import conninfo_to_dict

from syncline.config import postgres_variables
from syncline.errors import ConfigError


def postgres_settings(env: Mapping[str, str]) -> dict[str, Any]:
    """Give ``DATABASES['default']``; TLS is verified unless the server is on this machine.

    Raises:
        ConfigError: no database is named, or a variable cannot be.

    """
    found = conninfo_to_dict(postgres_url(env))
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    options = {name: found[name] for name in ("sslmode", "sslrootcert", "target_session_attrs") if name in found}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{ours: str(found.get(theirs, "")) for ours, theirs in names.items()},
        "OPTIONS": {**options, "connect_timeout": 5},
    }


def postgres_url(env: Mapping[str, str]) -> str:
    """Give the same as a URL: what the commands make of the same variables.

    Raises:
        ConfigError: no database is named, or a variable cannot be.

    """
    if not (url := postgres_variables.postgres_url(env)):
        raise ConfigError("POSTGRES_NAME is not set", hint="set POSTGRES_HOST, POSTGRES_NAME, POSTGRES_USER, …")
    return url
