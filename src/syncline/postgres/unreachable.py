"""Saying why there is no connection to a source: one sentence for every command, and what to look at."""

from __future__ import annotations

from syncline.config.secrets import redact
from syncline.config.urls import host_of
from syncline.errors import SourceUnavailableError, SynclineError

_HINTS = (
    ("password authentication failed", "check user and password in the URL"),
    ("no password supplied", "put the password into the URL, after the user and a colon"),
    ("no pg_hba.conf entry", "the server does not let this user in from here, or only with TLS: add ?sslmode=require"),
    ("does not support SSL", "the server offers no TLS; take sslmode=require out of the URL, or turn TLS on there"),
    ("certificate", "check sslrootcert and the host's name in the URL"),
    ("does not exist", "check the database's and the role's name in the URL"),
    ("Connection refused", "is the server running, and is this its port?"),
    ("could not translate host name", "check the host's name in the URL"),
    ("failed to resolve host", "check the host's name in the URL"),
    ("unsupported startup parameter", "PgBouncer takes no such setting in a URL: take it out, or connect directly"),
    ("timeout expired", "is a firewall between here and the server?"),
    ("too many clients", "free a connection, or raise max_connections"),
    ("remaining connection slots", "free a connection, or raise max_connections"),
)


def unreachable(url: str, error: SynclineError) -> SourceUnavailableError:
    """Name the server, the reason and what to look at, in one line each."""
    reason = redact(error.message).removeprefix("PostgreSQL: ").removeprefix("connection failed: ")
    hint = next((hint for text, hint in _HINTS if text in reason), "check the URL and that the server runs")
    return SourceUnavailableError(f"PostgreSQL at {host_of(url)} cannot be reached: {reason}", hint=hint)
