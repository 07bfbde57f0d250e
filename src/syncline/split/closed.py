"""Connections of a pool that the server, or a pooler, has closed meanwhile: seen without a round trip, and replaced.

Those that are kept open to the side of a move that does not serve are used by nobody until it does: a pooler that was
started anew in between would fail the first requests after the change of sides.
"""

from __future__ import annotations

import select
from typing import Any

import psycopg


def is_open(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> bool:
    """Tell whether the other end has closed an idle connection; then it counts as closed here, too."""
    poll = select.poll()
    poll.register(connection.pgconn.socket, select.POLLIN)
    if poll.poll(0):  # a notice, or the end
        try:
            connection.pgconn.consume_input()
        except psycopg.OperationalError:
            return False
    return not connection.closed
