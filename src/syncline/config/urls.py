"""URLs of the two sides, checked before a driver sees them: drivers quote what they cannot parse, secrets included."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def source_url(url: str) -> str:
    """Check a URL of PostgreSQL or CockroachDB and return it as libpq knows it.

    SQLAlchemy's ``+driver`` is taken off, and its name for CockroachDB: a connection knows by itself what it leads to.

    Raises:
        ValueError: it says what to write instead.

    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme.partition("+")[0] not in ("postgresql", "postgres", "cockroachdb"):
        raise ValueError("a PostgreSQL URL is expected: postgresql://user:password@host:5432/database")
    _check(rest)
    return f"postgresql://{rest}"


def target_url(url: str) -> str:
    """Check a MongoDB URL.

    Raises:
        ValueError: it says what to write instead.

    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in ("mongodb", "mongodb+srv"):
        raise ValueError("a MongoDB URL is expected: mongodb://user:password@host:27017/database")
    _check(rest)
    return f"{scheme}://{rest}"


def database_of(url: str) -> str:
    """Name the database in a URL's path; empty when there is none."""
    rest = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    return unquote(rest.partition("/")[2])


def host_of(url: str) -> str:
    """Name host and port (or the socket's folder), for messages."""
    rest = url.partition("://")[2].rpartition("@")[2]
    host = unquote(rest.partition("/")[0].partition("?")[0])
    if host:
        return host
    match = re.search(r"[?&]host=([^&]+)", url)
    return unquote(match[1]) if match else "localhost"


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
