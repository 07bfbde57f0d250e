"""What an SQL target's refusal says: of a row, of another row that stands in the way, or of the server."""

from __future__ import annotations

from types import MappingProxyType

import psycopg

from syncline.engines.postgres.target.session import first_line, is_of_server
from syncline.ports import Rejection

UNIQUE, FOREIGN, EXCLUSION = "23505", "23503", "23P01"
CONFLICTS = frozenset({UNIQUE, FOREIGN, EXCLUSION})
_CODES = MappingProxyType(
    {
        "22001": "too_long",
        "22003": "out_of_range",
        "22P02": "invalid_text",
        "23502": "not_null",
        "23514": "check",
        "54000": "too_large",
        "P0001": "trigger",
    }
)
_ROWS = ("21", "22", "23", "44", "P0", "54")
"""Classes that are about a row: data, constraints, a view's check, a trigger's own refusal, limits of an index."""


def is_of_rows(error: psycopg.Error) -> bool:
    """Tell whether a row is the reason: its values, or another row that stands in its way."""
    state = error.sqlstate
    return state is not None and state.startswith(_ROWS) and not is_of_server(error)


def rejection(key: str, error: psycopg.Error, column: str | None) -> Rejection:
    """Say why the target will never take a row as it is, with the column where PostgreSQL or a look tells it."""
    state = error.sqlstate or ""
    column = error.diag.column_name or column
    where = f"column {column}: " if column else ""
    return Rejection(key, _CODES.get(state, state), f"{where}{first_line(error)}")
