"""Opening a connection to a named database; what goes wrong is said in one sentence, with the variable's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

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
    with told(address):
        return psycopg.connect(address.conninfo, **{**address.arguments(), **options})


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
