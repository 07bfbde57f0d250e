"""Opening a connection to a named database; what goes wrong is said in one sentence, with the variable's name."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from syncline.config.secrets import MASK, redact
from syncline.errors import NamedDatabaseError, NamedDatabaseUnavailableError
from syncline.split.address import Address

_REFUSALS = (
    (r"password authentication failed|no password supplied|SASL|wrong password", "the server refuses the password"),
    (r'role ".*" does not exist|no such user', "the server has no such role"),
    (r'database ".*" does not exist|no such database', "the server has no such database"),
    (r"no pg_hba.conf entry", "the server lets this role in from elsewhere only (pg_hba.conf)"),
    (r"server does not support SSL", "the server does not offer TLS, and sslmode asks for it"),
    (r"root certificate file .* does not exist", "the file of sslrootcert does not exist"),
    (r"certificate verify failed|does not match host name", "the server's certificate cannot be trusted"),
    (r"unsupported startup parameter", "the pooler refuses a setting of the session"),
    (r"permission denied for database", "the role may not connect to this database"),
)
_WHERE = """
SELECT version(), current_schema(), EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = %s)
"""
_PLACES = ("host", "hostaddr", "connect_timeout")
_BUSY = r"too many (clients|connections)|remaining connection slots|no more connections allowed"


@contextmanager
def told(address: Address) -> Iterator[None]:
    """Turn errors of opening a connection into ours."""
    try:
        yield
    except psycopg.OperationalError as error:
        raise refusal(address, error) from None  # the driver's own text may have more than ours may show


def refusal(address: Address, error: BaseException) -> NamedDatabaseError:
    """Say why there is no connection."""
    text = clean(address, error)
    for pattern, meaning in _REFUSALS:
        if re.search(pattern, text, re.IGNORECASE):
            return NamedDatabaseError(f"{address.called}: {meaning} ({address.place})", hint=text)
    if re.search(_BUSY, text, re.IGNORECASE):
        what = "has no connection left"
    elif isinstance(error, psycopg.errors.ConnectionTimeout) or "timeout" in text:
        what = "does not answer in time"
    else:
        what = "cannot be reached"
    return NamedDatabaseUnavailableError(f"{address.called}: {address.place} {what}", hint=text)


def clean(address: Address, error: BaseException) -> str:
    """Shorten a driver's message to the line that says it, without secrets."""
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    text = next((line for line in lines if "FATAL" in line), lines[0] if lines else type(error).__name__)
    for secret in address.secrets:
        text = text.replace(secret, MASK)
    return redact(text)


def connect(address: Address, **options: Any) -> psycopg.Connection[Any]:
    """Open one connection, outside of any pool.

    Raises:
        NamedDatabaseError: it says which variable is wrong, and how.

    """
    given = {**address.arguments(), **options}
    see_resolved(address, {name: value for name, value in given.items() if name in _PLACES})
    with told(address):
        return psycopg.connect(address.conninfo, **given)


def see_resolved(address: Address, given: Mapping[str, Any]) -> None:
    """See that names of hosts are resolved in time: libpq's limit for connecting does not count while it asks.

    Raises:
        NamedDatabaseUnavailableError: the resolver does not answer. (What it answers libpq is left to find out.)

    """
    place = conninfo_to_dict(address.conninfo, **given)
    if place.get("hostaddr"):
        return
    seconds = max(1.0, float(place.get("connect_timeout") or 0)) if place.get("connect_timeout") != "0" else None
    for host in str(place.get("host") or "").split(","):
        if host and not host.startswith(("/", "@")) and not _answered(host, seconds):
            text = f"the name {host} was not resolved within {seconds:g} s; ask the resolver (`getent hosts {host}`)"
            raise NamedDatabaseUnavailableError(f"{address.called}: {address.place} cannot be reached", hint=text)


def _answered(host: str, seconds: float | None) -> bool:
    def resolve() -> None:
        with suppress(OSError, UnicodeError):
            socket.getaddrinfo(host, None)

    asking = threading.Thread(target=resolve, name="syncline resolver", daemon=True)
    asking.start()
    asking.join(seconds)
    return not asking.is_alive()


def probe(address: Address) -> None:
    """See that a connection can be opened, and that it leads to what the URL says.

    Raises:
        NamedDatabaseError: it cannot, it is CockroachDB, or ``schema=…`` cannot be had through this pooler.

    """
    with connect(address, autocommit=True) as connection:
        row = connection.execute(_WHERE, [address.schema])
        version, schema, known = row.fetchone() or ("", None, False)
    if "CockroachDB" in version:
        raise NamedDatabaseError(f"{address.called}: this is CockroachDB; named databases are PostgreSQL only")
    if not known:
        raise NamedDatabaseError(
            f"{address.called}: there is no schema {address.schema!r} in {address.place}",
            hint=f'CREATE SCHEMA "{address.schema}", or take schema=… out',
        )
    if address.pooled and schema != address.schema:
        raise NamedDatabaseError(
            f"{address.called}: schema={address.schema} cannot be set through a pooler in transaction mode",
            hint=f'on the server: ALTER ROLE … IN DATABASE … SET search_path = "{address.schema}", public',
        )
