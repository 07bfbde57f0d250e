"""URLs of databases exactly as people have them: what libpq knows is passed on, what other clients mean is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from syncline.config import passwords
from syncline.config.databases import NamedDatabase, Place
from syncline.config.named import DatabaseSettings
from syncline.config.urls import database_of, host_of, source_url, without_pooler
from syncline.errors import ConfigError

POOL_SIZE = 10
POOL_TIMEOUT_SECONDS = 10.0
_FOREVER = 86400.0
_ALTER = (
    "through a pooler in transaction mode no session is one's own: ALTER ROLE … IN DATABASE … SET does it on the server"
)


@dataclass(frozen=True, slots=True)
class Address:
    """How one database is reached."""

    called: str
    """The variable that holds the URL, for messages."""
    conninfo: str = field(repr=False)
    """The URL as libpq knows it, with the password."""
    pooled: bool
    """There is a pooler in transaction mode in between: no prepared statements, no state of a session."""
    schema: str
    """Where names without a schema are found."""
    pool_size: int
    pool_timeout: float
    """Seconds to wait for a free connection."""
    parameters: tuple[tuple[str, str], ...] = ()
    """More of libpq's parameters."""
    settings: tuple[tuple[str, str], ...] = ()
    """The server's settings for each session."""

    @property
    def place(self) -> str:
        """Say where it leads, without user and password."""
        database = dict(self.parameters).get("dbname") or database_of(self.conninfo)
        return f"{database or 'the default database'} at {host_of(self.conninfo)}"

    @property
    def secrets(self) -> set[str]:
        """What must stand in no message."""
        return {secret for secret in passwords(self.conninfo) if len(secret) > 2}

    def arguments(self) -> dict[str, Any]:
        """Give the arguments of ``psycopg.connect``, beside ``conninfo``."""
        given: dict[str, Any] = dict(self.parameters)
        if self.pooled:
            return {**given, "prepare_threshold": None}
        wanted = dict(self.settings)
        if self.schema != "public":
            wanted.setdefault("search_path", f'"{self.schema}", public')
        if wanted:
            given["options"] = " ".join(f"-c {name}={_escaped(value)}" for name, value in wanted.items())
        return given


def address_of(database: NamedDatabase, *, direct: bool = False, split: bool = True) -> Address:
    """Read a database's URL.

    Args:
        database: as it is configured.
        direct: take the URL that leads past the pooler.
        split: what its section says of connections counts, too.

    Raises:
        ConfigError: it names the variable and what to write instead; never the password.

    """
    place = database.direct if direct and database.direct else database.place
    settings = database.settings if split else DatabaseSettings()
    try:
        return _read(place, settings, direct=direct and database.direct is not None)
    except ValueError as error:
        raise ConfigError(f"{place.called}: {error}") from None


def _read(place: Place, settings: DatabaseSettings, *, direct: bool) -> Address:
    if place.url.strip().lower().startswith("cockroachdb"):
        raise ValueError("a CockroachDB URL; named databases are PostgreSQL only")
    conninfo, pooled = without_pooler(source_url(place.url))
    given = dict(parse_qsl(place.url.partition("?")[2], keep_blank_values=True))
    if settings.pgbouncer is not None and not direct:
        pooled = settings.pgbouncer
    if pooled and (settings.settings or "options" in given):
        raise ValueError(f"settings of a session are asked for, and {_ALTER}")
    parameters = {name: str(value) for name, value in settings.parameters.items()}
    if "connect_timeout" not in given:
        parameters.setdefault("connect_timeout", str(max(1, round(settings.connect_timeout.total_seconds()))))
    timeout = settings.pool_timeout.total_seconds() if settings.pool_timeout else _number(given, "pool_timeout")
    return Address(
        called=place.called,
        conninfo=conninfo,
        pooled=pooled,
        schema=settings.search_schema or given.get("schema") or "public",
        pool_size=settings.pool_size or int(_number(given, "connection_limit") or POOL_SIZE),
        pool_timeout=POOL_TIMEOUT_SECONDS if timeout is None else timeout or _FOREVER,
        parameters=tuple(sorted(parameters.items())),
        settings=tuple(settings.settings.items()),
    )


def _number(given: dict[str, str], name: str) -> float | None:
    """Read a whole number; Prisma's ``pool_timeout=0`` means for ever."""
    if name not in given:
        return None
    if not given[name].isdecimal() or (name == "connection_limit" and int(given[name]) == 0):
        raise ValueError(f"{name}={given[name]}: it must be a whole number" + " above 0" * (name != "pool_timeout"))
    return float(given[name])


def _escaped(value: str) -> str:
    """Write a value as libpq's ``options`` want it."""
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
