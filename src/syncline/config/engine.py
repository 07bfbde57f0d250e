"""An application's database URL for SQLAlchemy: with what poolers and other clients write into it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from syncline.config.urls import source_url, without_pooler
from syncline.errors import ConfigError


def engine_arguments(url: str) -> tuple[str, dict[str, Any]]:
    """Give URL and options for ``create_engine`` or ``create_async_engine`` with psycopg.

        url, options = engine_arguments(os.environ["DATABASE_URL"])
        engine = create_async_engine(url, **{"pool_pre_ping": True, **options})

    SQLAlchemy and psycopg refuse ``pgbouncer=true``, ``connection_limit=5``, ``pool_timeout=10`` and ``schema=…``. Here
    the first means that nothing is prepared, the next two are the pool's size and patience; the last is left out.

    Raises:
        ConfigError: the URL is not of PostgreSQL or CockroachDB; it says what to write instead.

    """
    try:
        address, pooled = without_pooler(source_url(url))
        options = _options(dict(parse_qsl(url.partition("?")[2])))
    except ValueError as error:
        raise ConfigError(f"the database's URL: {error}") from None
    dialect = "cockroachdb" if url.strip().startswith("cockroachdb") else "postgresql"
    prepared = {"connect_args": {"prepare_threshold": None}} if pooled else {}
    return f"{dialect}+psycopg://{address.partition('://')[2]}", options | prepared


def _options(given: dict[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "connection_limit" in given:
        options |= {"pool_size": _number(given, "connection_limit"), "max_overflow": 0}
    if "pool_timeout" in given:
        options["pool_timeout"] = _number(given, "pool_timeout")
    return options


def _number(given: dict[str, str], name: str) -> int:
    if not given[name].isdecimal() or int(given[name]) == 0:
        raise ValueError(f"{name}={given[name]}: it must be a whole number above 0")
    return int(given[name])
