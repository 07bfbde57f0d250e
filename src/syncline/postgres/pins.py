"""The settings that our work needs, whatever roles and databases say: what values look like, how long work may take."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from psycopg import sql

from syncline.model.types import PINNED_SETTINGS

FIRST_WITH_TRANSACTION_TIMEOUT = 170000

POSTGRESQL: Mapping[str, str] = MappingProxyType(
    {
        # What values, and definitions read from the catalogue, look like.
        **PINNED_SETTINGS,
        "xmlbinary": "base64",
        "quote_all_identifiers": "off",
        # What our statements and their parameters mean.
        "standard_conforming_strings": "on",
        "array_nulls": "on",
        "transform_null_equals": "off",
        "row_security": "off",
        "check_function_bodies": "on",
        # How our transactions run.
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "default_transaction_read_only": "off",
        "default_transaction_deferrable": "off",
        "statement_timeout": "60s",
        "lock_timeout": "0",
        "idle_in_transaction_session_timeout": "60s",
        "idle_session_timeout": "0",
        "jit": "off",
    }
)
COCKROACHDB: Mapping[str, str] = MappingProxyType(
    {
        # Only what CockroachDB documents among its session variables. SERIALIZABLE whatever the role's default is:
        # there the acknowledgement is right without locks (FOR SHARE takes none by default), and
        # cluster_logical_timestamp() is allowed.
        **{name: value for name, value in PINNED_SETTINGS.items() if name not in {"lc_monetary", "xmloption"}},
        "default_transaction_isolation": "serializable",
        "default_transaction_read_only": "off",
        "statement_timeout": "60s",
        "idle_in_transaction_session_timeout": "60s",
    }
)
KEYED: Mapping[str, str] = MappingProxyType(
    # A keyed read of a table whose statistics are old must not become a scan of it.
    {"enable_seqscan": "off", "enable_sort": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
)


def on_postgresql(server_version: int, more: Mapping[str, str], *, keyed: bool) -> dict[str, str]:
    """Put together what a connection to PostgreSQL needs."""
    recent = {"transaction_timeout": "0"} if server_version >= FIRST_WITH_TRANSACTION_TIMEOUT else {}
    return {**POSTGRESQL, **recent, **(KEYED if keyed else {}), **more}


def statement(settings: Mapping[str, str], *, local: bool) -> sql.Composed:
    """Set all of them in one statement, for the session or (``local``) until the transaction ends."""
    calls = [
        sql.SQL("set_config({}, {}, {})").format(sql.Literal(name), sql.Literal(value), sql.Literal(local))
        for name, value in settings.items()
    ]
    return sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls))
