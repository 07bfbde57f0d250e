"""URLs of the two sides, checked before a driver sees them: drivers quote what they cannot parse, secrets included."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from urllib.parse import quote, unquote, urlsplit

_WITH_PORT = re.compile(r":[0-9]+$")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_OF_CLIENTS = frozenset(
    {
        *("connection_limit", "pool_timeout", "socket_timeout", "schema", "statement_cache_size"),  # Prisma
        *("prepared_statement_cache_size", "prepared_statement_name_func"),  # SQLAlchemy with asyncpg
        *("uselibpqcompat", "pool_size", "max_overflow", "pool", "prepared_statements"),
    }
)
"""Parameters by which other clients tune themselves: an application's URL has them, and they change nothing here."""
_INSTEAD = {
    "sslaccept": "sslmode=verify-full (sslaccept=accept_invalid_certs may stay)",
    "sslidentity": "sslcert and sslkey",
    "ssl": "sslmode, such as sslmode=require",
    "currentschema": "the tables with their schema, in the configuration",
    "user": "the user before the host: postgresql://user@host/database",
}
_BY_DATABASE = frozenset({"", "default", "scram-sha-1", "scram-sha-256", "plain"})
"""MongoDB's mechanisms that look for a user in the URL's database, unless ``authSource`` names another one."""
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def source_url(url: str) -> str:
    """Check a URL of PostgreSQL or CockroachDB and return it as libpq knows it.

    SQLAlchemy's ``+driver`` is taken off, and its name for CockroachDB: a connection knows by itself what it leads to.
    What other clients' parameters mean for themselves is taken out; ``pgbouncer=true`` stays, for ``without_pooler``.

    Raises:
        ValueError: it says what to write instead.

    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres", "cockroachdb"):
        raise ValueError("a PostgreSQL URL is expected: postgresql://user@host:5432/database")
    _check(rest)
    address, question, query = rest.partition("?")
    kept = [pair for given in query.split("&") if given and (pair := _parameter(*_pair(given), given))]
    return f"postgresql://{address}{question if kept else ''}{'&'.join(kept)}"


def without_pooler(url: str) -> tuple[str, bool]:
    """Take ``pgbouncer=…`` out of a URL; tell whether it said that a pooler in transaction mode is in between."""
    address, _, query = url.partition("?")
    if "://" not in address or "pgbouncer=" not in query:
        return url, False
    pairs = query.split("&")
    kept = [pair for pair in pairs if _pair(pair)[0] != "pgbouncer"]
    declared = any(name == "pgbouncer" and value.lower() in _TRUE for name, value in map(_pair, pairs))
    return address + ("?" + "&".join(kept) if kept else ""), declared


def of_primary(url: str) -> str:
    """Have libpq take the primary, where a URL of PostgreSQL names several servers and does not say which one.

    By itself it takes the first that answers: a standby, which is read as it was a while ago, and takes no writes.
    """
    given = dict(map(_pair, filter(None, url.partition("?")[2].split("&"))))
    hosts = url.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")[0] or given.get("host", "")
    if "," not in hosts or "target_session_attrs" in given:
        return url
    return f"{url}{'&' if given else '' if url.endswith('?') else '?'}target_session_attrs=read-write"


def target_url(url: str) -> str:
    """Check the URL of a MongoDB, or of a PostgreSQL, which is returned as libpq knows it.

    Raises:
        ValueError: it says what to write instead.

    """
    scheme, separator, rest = url.strip().partition("://")
    if scheme == "cockroachdb":
        raise ValueError("CockroachDB cannot be a target; a PostgreSQL 14 or newer can, or a MongoDB")
    if is_postgresql(url):
        direct, pooled = without_pooler(source_url(url))
        if pooled:
            raise ValueError("a target is written directly, without a pooler: name the server itself")
        return direct
    if not separator or scheme not in ("mongodb", "mongodb+srv"):
        raise ValueError(
            "the URL of a MongoDB is expected, mongodb://user@host:27017/database, "
            "or of a PostgreSQL, postgresql://user@host:5432/database"
        )
    _check(rest)
    return f"{scheme}://{rest}"


def is_postgresql(url: str) -> bool:
    """Tell whether a URL leads to a PostgreSQL, by its scheme."""
    scheme, separator, _ = url.strip().partition("://")
    return bool(separator) and scheme.partition("+")[0] in ("postgresql", "postgres")


def database_of(url: str) -> str:
    """Name the database in a URL's path; empty when there is none."""
    rest = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    return unquote(rest.partition("/")[2])


def with_database(url: str, name: str) -> str:
    """Give the URL of another database of the same server, for the same user."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    user, at, place = address.rpartition("@")
    host, _, database = place.partition("/")
    given = [pair for pair in query.split("&") if pair and _pair(pair)[0] != "dbname"]
    if at and database and scheme.startswith("mongodb"):
        options = {option.lower(): value.lower() for option, value in map(_pair, given)}
        if "authsource" not in options and options.get("authmechanism", "") in _BY_DATABASE:
            given.append(f"authSource={database}")
    return f"{scheme}://{user}{at}{host}/{quote(name, safe='')}{'?' if given else ''}{'&'.join(given)}"


def host_of(url: str) -> str:
    """Name host and port (or the socket's folder), for messages."""
    rest = url.partition("://")[2].rpartition("@")[2]
    host = unquote(rest.partition("/")[0].partition("?")[0])
    if host:
        return host
    match = re.search(r"[?&]host=([^&]+)", url)
    return unquote(match[1]) if match else "localhost"


def place_of(url: str) -> tuple[str, str]:
    """Name server and database so that two URLs of one place give the same, as far as URLs tell."""
    address, _, query = url.partition("://")[2].rpartition("@")[2].partition("?")
    given = dict(map(_pair, filter(None, query.split("&"))))
    hosts = (unquote(address.partition("/")[0]) or given.get("host") or "localhost").lower().split(",")
    ports = given.get("port", "5432" if is_postgresql(url) else "27017").split(",")
    ports = ports if len(ports) == len(hosts) else ports[:1] * len(hosts)
    server = [host if _WITH_PORT.search(host) else f"{host}:{port}" for host, port in zip(hosts, ports, strict=True)]
    return ",".join(sorted(server)), given.get("dbname") or unquote(address.partition("/")[2])


def _pair(given: str) -> tuple[str, str]:
    name, _, value = given.partition("=")
    return unquote(name), unquote(value)


def _parameter(name: str, value: str, given: str) -> str | None:
    """Give a parameter as libpq takes it; ``None`` for what means nothing to it."""
    if name == "pgbouncer":
        if value.lower() not in (*_TRUE, *_FALSE):
            raise ValueError(f"pgbouncer={value}: it must be true or false")
        return given
    if name in _OF_CLIENTS or (name, value) == ("sslaccept", "accept_invalid_certs"):
        return None
    if name == "ssl" and value in _SSL_MODES:  # SQLAlchemy with asyncpg
        return f"sslmode={value}"
    if name == "sslmode" and value not in _SSL_MODES:
        raise ValueError(f"sslmode={value}: it must be one of {', '.join(_SSL_MODES)}")
    if name in _libpq_parameters() or (name, value) == ("ssl", "true"):
        return given
    if instead := _INSTEAD.get(name.lower()):
        raise ValueError(f"the parameter {name!r} is not known here; write {instead} instead")
    meant = get_close_matches(name.lower(), sorted(_libpq_parameters()), n=1, cutoff=0.7)
    raise ValueError(
        f"the parameter {name!r} is not known here; " + (f"did you mean {meant[0]!r}?" if meant else "take it out")
    )


@cache
def _libpq_parameters() -> frozenset[str]:
    from psycopg.pq import Conninfo  # the library's own list; loaded only where a URL has parameters

    return frozenset(option.keyword.decode() for option in Conninfo.get_defaults())


def _check(rest: str) -> None:
    userinfo, at, _ = rest.rpartition("@")
    if at and re.search(r"[@/?#\s]", userinfo):
        raise ValueError("user and password must be percent-encoded in a URL: @ is %40, / is %2F, : is %3A, # is %23")
    if _BAD_PERCENT.search(rest):
        raise ValueError("a % that is not followed by two hex digits; write %25 for the sign itself")
    try:
        ports = [urlsplit(f"x://{host}").port for host in rest.rpartition("@")[2].partition("/")[0].split(",")]
    except ValueError:
        raise ValueError("the port must be a number below 65536") from None
    del ports
