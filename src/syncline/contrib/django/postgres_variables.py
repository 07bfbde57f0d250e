"""``POSTGRES_HOST``, ``_PORT``, ``_NAME``, ``_USER``, ``_PASSWORD``, ``_SSLMODE``, ``_SSLROOTCERT``: one PostgreSQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from syncline.errors import ConfigError

_LOCAL = frozenset({"", "localhost", "127.0.0.1", "::1"})


def postgres_settings(env: Mapping[str, str]) -> dict[str, Any]:
    """Give ``DATABASES['default']``; TLS is verified unless the server is on this machine.

    Raises:
        ConfigError: no database is named.

    """
    found = _variables(env)
    names = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    options = {name: found[name] for name in ("sslmode", "sslrootcert") if name in found}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{ours: found.get(theirs, "") for ours, theirs in names.items()},
        "OPTIONS": {**options, "connect_timeout": 5},
    }


def postgres_url(env: Mapping[str, str]) -> str:
    """Give the same as a URL.

    Raises:
        ConfigError: no database is named.

    """
    found = _variables(env)
    who = quote(found.pop("user", ""), safe="")
    if password := found.pop("password", ""):
        who = f"{who}:{quote(password, safe='')}"
    name = quote(found.pop("dbname"), safe="")
    return f"postgresql://{who and who + '@'}/{name}?{urlencode(found)}".removesuffix("?")


def _variables(env: Mapping[str, str]) -> dict[str, str]:
    names = {
        "host": "POSTGRES_HOST",
        "port": "POSTGRES_PORT",
        "dbname": "POSTGRES_NAME",
        "user": "POSTGRES_USER",
        "password": "POSTGRES_PASSWORD",
        "sslmode": "POSTGRES_SSLMODE",
        "sslrootcert": "POSTGRES_SSLROOTCERT",
    }
    found = {option: env[name] for option, name in names.items() if env.get(name)}
    if "dbname" not in found:
        raise ConfigError("POSTGRES_NAME is not set", hint="set POSTGRES_HOST, POSTGRES_NAME, POSTGRES_USER, …")
    host = found.get("host", "")
    if host not in _LOCAL and not host.startswith("/"):
        found.setdefault("sslmode", "verify-full")
        if found["sslmode"].startswith("verify"):
            found.setdefault("sslrootcert", "system")
    return found
