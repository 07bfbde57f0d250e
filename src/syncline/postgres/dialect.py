"""Which database answers: PostgreSQL, or CockroachDB, which speaks its protocol and differs in what is said here.

A connection knows it by itself: CockroachDB reports ``crdb_version`` when a session begins (so does psycopg tell them
apart). The statements that differ stand beside the others, in ``<file>_cockroach.sql`` with the same block names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import psycopg

from syncline.errors import SourceError, UnsuitableSourceError
from syncline.postgres.sql import blocks

OLDEST_COCKROACH = (24, 3)
"""The first with triggers."""
OLDEST_POSTGRES = 14
NEWEST_POSTGRES = 18
"""The first that our statements are written for, and the last that the tests have run on."""
_VERSION = re.compile(r"\bv(\d+)\.(\d+)")


class Dialect(StrEnum):
    """A kind of source."""

    POSTGRESQL = "postgresql"
    COCKROACHDB = "cockroachdb"


def dialect_of(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> Dialect:
    """Tell what is at the other end; costs nothing."""
    return Dialect.COCKROACHDB if connection.info.parameter_status("crdb_version") else Dialect.POSTGRESQL


def on_cockroach(connection: psycopg.AsyncConnection[Any] | psycopg.Connection[Any]) -> bool:
    """Tell whether CockroachDB is at the other end."""
    return dialect_of(connection) is Dialect.COCKROACHDB


def cockroach_version(connection: psycopg.AsyncConnection[Any]) -> tuple[int, int]:
    """Read the cluster's release, e.g. (25, 2)."""
    text = connection.info.parameter_status("crdb_version") or ""
    match = _VERSION.search(text)
    if match is None:
        raise SourceError(f"CockroachDB says a version that means nothing here: {text!r}")
    return int(match[1]), int(match[2])


def refuse_hidden(version: str, dialect: Dialect) -> None:
    """Refuse a pooler that hides what is behind it: PostgreSQL's statements would go to CockroachDB.

    Raises:
        SourceError: ``version()`` says CockroachDB, the session does not.

    """
    if version.startswith("CockroachDB") and dialect is not Dialect.COCKROACHDB:
        raise SourceError(
            "this is CockroachDB behind a pooler that does not pass on its parameter crdb_version",
            hint="PgBouncer: track_extra_parameters = crdb_version; or connect to the cluster directly",
        )


def refuse_old(number: int) -> None:
    """Refuse a PostgreSQL that lacks what our statements use.

    Args:
        number: as ``server_version_num`` has it, e.g. 140023.

    Raises:
        UnsuitableSourceError: it is older than 14.

    """
    if number // 10_000 < OLDEST_POSTGRES:
        raise UnsuitableSourceError(
            f"this is PostgreSQL {number // 10_000}, and Syncline needs PostgreSQL {OLDEST_POSTGRES} or newer",
            hint="upgrade the server, or connect to another one",
        )


def statements(
    file: str, dialect: Dialect, package: str = "syncline.journal", *, comment: bool = True
) -> Mapping[str, str]:
    """Read the named blocks of one of our ``.sql`` files as this dialect has them."""
    common = blocks(file, package, comment=comment)
    if dialect is Dialect.POSTGRESQL:
        return common
    return {**common, **blocks(file.replace(".sql", "_cockroach.sql"), package, comment=comment)}
