"""Django's ``DATABASES``, made from the named databases."""

from __future__ import annotations

from typing import Any

from psycopg.conninfo import conninfo_to_dict

from syncline.split.address import Address
from syncline.split.databases import Databases

DEFAULT = "default"


def alias_of(databases: Databases, name: str) -> str:
    """Give Django's name of a database: the first is ``default``."""
    return DEFAULT if next(iter(databases)).name == name else name


def database_settings(databases: Databases) -> dict[str, dict[str, Any]]:
    """Give ``DATABASES``. In single mode all aliases lead to the one database, and the router uses ``default`` only."""
    return {alias_of(databases, each.name): _settings(each.address) for each in databases}


def _settings(address: Address) -> dict[str, Any]:
    info = conninfo_to_dict(address.conninfo)
    given = {**address.arguments()}
    given.pop("prepare_threshold", None)  # Django prepares nothing unless it is told to
    named = {"NAME": "dbname", "USER": "user", "PASSWORD": "password", "HOST": "host", "PORT": "port"}
    taken = {ours: str(info.pop(theirs, "")) for ours, theirs in named.items()}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **taken,
        "DISABLE_SERVER_SIDE_CURSORS": address.pooled,
        "OPTIONS": {
            **info,
            **given,
            "pool": {"min_size": 0, "max_size": address.pool_size, "timeout": address.pool_timeout},
        },
    }
